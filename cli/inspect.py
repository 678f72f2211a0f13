"""`nfkit inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nfkit.cli.grouped import grouped
from nfkit.cli.groups import ModelInput, Record


@grouped
def inspect(
    model: Annotated[str, typer.Argument(help="ONNX file, or https://HOST/v2/models/NAME.")],
    *,
    model_input: ModelInput,
    record_file: Record,
) -> None:
    """Show what a model stores as integers, what it takes, and what stands against protecting it."""
    from nfkit.access.address import is_address

    if is_address(model):
        _inspect_address(model, model_input, record_file)
        return
    from nfkit.cli import console
    from nfkit.errors import NfkitError
    from nfkit.graph.fusion.fused import is_fused
    from nfkit.graph.injection.record import describe_faults
    from nfkit.graph.memory.coverage import coverage
    from nfkit.graph.memory.foreign import vendor_operators
    from nfkit.graph.memory.inventory import inventory
    from nfkit.graph.memory.scales import odd_scales
    from nfkit.graph.memory.sites import sites_of
    from nfkit.graph.memory.survey import Survey
    from nfkit.graph.operators.vendors import explain
    from nfkit.model import load, sha256
    from nfkit.workflows.inputs import find_spec
    from nfkit.workflows.obstacles import find_obstacles

    json = record_file.json
    console.check_outputs(json, models={"the model": Path(model)})
    graph = load(model)
    survey = Survey(graph)
    sites, covered = sites_of(survey), coverage(survey)
    try:
        taken: dict[str, Any] = find_spec(graph, **model_input.settings()).to_dict()
    except NfkitError as error:
        taken = {"error": str(error)}
    record = {
        "schema": "nfkit.inspect/1",
        "model": {"path": str(model), "sha256": sha256(model), "protected": is_fused(graph)},
        "ir_version": graph.ir_version,
        "opset": {domain or "ai.onnx": version for domain, version in graph.opset_imports.items()},
        "input": taken,
        "outputs": _outputs(graph),
        "obstacles": find_obstacles(graph, **model_input.settings()).to_dict(),
        "sites": [site.to_dict() for site in sites if site.role == "weight"],
        "other_initializers": [site.to_dict() for site in sites if site.role != "weight"],
        "tensors": [entry.to_dict() for entry in inventory(survey)],
        "coverage": covered.to_dict(),
        "odd_scales": [str(odd) for odd in odd_scales(survey)],
        "vendor_operators": explain(others) if (others := vendor_operators(graph)) else None,
        "unsupported": _unsupported(graph),
        "faults": describe_faults(graph),
        "metadata": {k: v for k, v in graph.metadata_props.items() if k.startswith("nfkit.")},
    }
    console.write_json(record, json)
    if json != "-":
        _show(record)


def _inspect_address(address: str, model_input: ModelInput, record_file: Record) -> None:
    """What a server says of a model; what that stores cannot be seen from outside."""
    from dataclasses import asdict

    from nfkit.access.remote import describe
    from nfkit.cli import console
    from nfkit.errors import OptionError

    if any(value is not None for value in model_input.settings().values()):
        raise OptionError("--input-layout, --range, --mean and --std: for a file; a server says what its model takes")
    console.check_outputs(record_file.json)
    told = describe(address)
    console.write_json({"schema": "nfkit.inspect-address/1", "address": address, **asdict(told)}, record_file.json)
    if record_file.json == "-":
        return
    versions = f", versions {', '.join(told.versions)}" if told.versions else ""
    print(f"{address}: run by {told.platform or 'what its server does not name'}{versions}")
    print(f"input {told.input}")
    means = {"scores": "one score a class", "top-1": "the best class alone"}[told.answers]
    print("output: not described" if told.output is None else f"output {told.output}: {means}")
    print(
        "what it stores cannot be seen from outside: nfkit evaluate measures it as it is, nfkit protect trains a front "
        "for it; inspect takes the file"
    )


def _outputs(graph: Any) -> list[dict[str, Any]]:
    """Outputs as the file states them."""
    found = []
    for value in graph.graph.outputs:
        extents = None if value.shape is None else [d if isinstance(d, int) else str(d.value) for d in value.shape]
        kind = None if value.dtype is None else value.dtype.name.lower()
        found.append({"name": value.name, "dtype": kind, "shape": extents})
    return found


def _print_verdict(record: dict[str, Any]) -> None:
    """Whether the model can be evaluated and protected, and all that stands against it."""
    for number, output in enumerate(record["outputs"]):
        shape = "of unknown shape" if output["shape"] is None else f"[{', '.join(map(str, output['shape']))}]"
        beside = ", not looked at: accuracy is that of the first" if number else ""
        print(f"output '{output['name']}': {output['dtype'] or 'unknown type'} {shape}{beside}")
    against = record["obstacles"]
    gradients = [f"no gradient for {entry['op']}" for entry in record["unsupported"] or []]
    protecting = [*against["protecting"], *gradients]
    if not against["evaluating"] and not protecting:
        print("can be evaluated and protected")
        return
    for sentence in against["evaluating"]:
        print(f"cannot be evaluated, nor protected: {sentence}")
    if not against["evaluating"]:
        print("can be evaluated")
    for sentence in protecting:
        print(f"cannot be protected: {sentence}" + (" (--surrogate, --distil)" if sentence in gradients else ""))


def _unsupported(graph: Any) -> list[dict[str, Any]] | None:
    """Operators without a gradient; None where torch is not installed to tell."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        return None
    from nfkit.learn.gradients.obstacles import find_unsupported

    return [entry.to_dict() for entry in find_unsupported(graph)]


def _not_faulted(tensors: list[dict[str, Any]]) -> list[str]:
    """Tensors that faults do not hit, by reason: how many, and the first of them."""
    groups: dict[str, list[str]] = {}
    for entry in tensors:
        if entry["reason"] is not None:
            groups.setdefault(entry["reason"], []).append(entry["name"])
    if not groups:
        return []
    lines = ["not faulted, of tensors with more than one element:"]
    for reason, names in groups.items():
        more = ", ..." if len(names) > 3 else ""
        lines.append(f"  {len(names):>4}  {reason}: {', '.join(map(_short, names[:3]))}{more}")
    return lines


def _short(name: str, width: int = 56) -> str:
    """A name that fits a table; the record has all of it."""
    return name if len(name) <= width else f"{name[: width // 2]}…{name[-(width // 2 - 1) :]}"


def _show(record: dict[str, Any]) -> None:
    from nfkit.cli.console import print_table

    taken = record["input"]
    print(f"{record['model']['path']}: IR {record['ir_version']}, opset {record['opset']}")
    if "error" not in taken:
        span = "the graph does not say it: give --range or --mean and --std"
        if taken["low"] is not None:
            span = f"{min(taken['low']):g} to {max(taken['high']):g} ({taken['source']})"
        shape = f"{taken['dtype']} {taken['layout']} {list(taken['shape'])}"
        print(f"input '{taken['name']}': {shape}, batch {taken['batch']}")
        print(f"valid range: {span}")
    _print_verdict(record)
    sites = record["sites"]
    stored, bits = sum(s["count"] for s in sites), sum(s["count"] * s["bits"] for s in sites)
    print(f"weight sites: {len(sites)}, {stored} codes, {bits} bits")
    if sites:
        rows = [
            [
                _short(s["name"]),
                s["dtype"],
                "x".join(map(str, s["shape"])),
                str(s["count"]),
                _short(", ".join(s["consumers"])),
            ]
            for s in sites
        ]
        print_table(["initializer", "type", "shape", "codes", "used by"], rows)
    print(record["coverage"]["sentence"])
    for odd in record["odd_scales"]:
        print(odd)
    for line in _not_faulted(record["tensors"]):
        print(line)
    if record["unsupported"] is None:
        print("gradients: not checked (install nfkit[train])")
    elif not record["unsupported"]:
        print("gradients: all operators supported")
    for entry in record["unsupported"] or []:
        print(f"no gradient: {entry['op']} ({entry['reason']}) in {', '.join(entry['nodes'][:5])}")
