"""`nfkit energy`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped
from nfkit.cli.groups import BASIC, ModelInput, Rate, Record

if TYPE_CHECKING:
    from nfkit.energy import Count, Saving
    from nfkit.faults import BitErrors
    from nfkit.plans.energy_analysis import Economy

_NAMED = 5
"""How many layers that cannot be counted are named, unless all are asked for."""


@dataclass(frozen=True)
class Compared:
    """What is counted."""

    TITLE: ClassVar[str] = BASIC
    generator: Annotated[
        list[str] | None, typer.Option("--generator", help="Put this generator in front of the base, or all; repeat.")
    ] = None
    layers: Annotated[bool, typer.Option("--layers", help="List every layer.")] = False


@dataclass(frozen=True)
class Voltage:
    """What errs, and at which voltage."""

    TITLE: ClassVar[str] = "Faults"
    kind: options.Kind = "stuck"
    curve: options.AnyCurve = None
    extrapolate: options.Extrapolate = False


@dataclass(frozen=True)
class Memory:
    """How the array reads its weights."""

    TITLE: ClassVar[str] = "Array"
    array: Annotated[str, typer.Option("--array", metavar="RxC", help="Extent of the systolic array.")] = "32x32"
    dataflow: Annotated[
        str, typer.Option("--dataflow", help="What stays in the array: os (outputs), ws (weights) or is (inputs).")
    ] = "os"
    word_bits: Annotated[int, typer.Option("--word-bits", help="Bits that one access delivers.")] = 64
    weight_bits: Annotated[
        int | None, typer.Option("--weight-bits", help="Bits of every weight; by default as the file stores them.")
    ] = None
    preset: Annotated[
        str, typer.Option("--preset", metavar="true|paper", help="True shapes, or the paper's conventions.")
    ] = "true"


@grouped
def energy(
    model: Annotated[Path, typer.Argument(help="ONNX file: a base, or a protected model (*.nf.onnx).")],
    *,
    compared: Compared,
    rate: Rate,
    voltage: Voltage,
    memory: Memory,
    model_input: ModelInput,
    record_file: Record,
) -> None:
    """Count what an inference reads and computes, and what lower voltage saves with a generator in front."""
    from nfkit.cli import console
    from nfkit.energy import DEFAULT_CURVE, PAPER_CURVE, load_curve, parse_array
    from nfkit.errors import OptionError
    from nfkit.faults import BitErrors
    from nfkit.model import load
    from nfkit.plans.energy_analysis import NETWORKS, analyse
    from nfkit.plans.operating_points import Scale
    from nfkit.workflows.inputs import find_spec

    console.check_outputs(record_file.json, models={"the model": model}, files={"the curve": voltage.curve})
    ber, vdd = rate.settings().values()
    kind, preset, extrapolate = voltage.kind, memory.preset, voltage.extrapolate
    if ber is not None and vdd is not None:
        raise OptionError("--ber and --vdd both say how strong the errors are: give one of them")
    known = load_curve(voltage.curve or (PAPER_CURVE if preset == "paper" else DEFAULT_CURVE))
    scale = Scale(BitErrors(0.0, kind), BitErrors(0.1, kind).flips_per_cell() / 0.1, known, extrapolate)
    if vdd is not None:
        errors, point = scale.at_volts(vdd).errors, known.at_volts(vdd, extrapolate=extrapolate)
    else:
        errors = BitErrors(0.01 if ber is None else ber, kind)
        point = scale.require(errors.rate)
    graph = load(model)
    names = [name for given in compared.generator or () for name in (NETWORKS if given == "all" else (given,))]
    shape = find_spec(graph, **model_input.settings()).image_shape if names else None
    array = parse_array(memory.array, memory.dataflow, memory.word_bits)
    result = analyse(
        graph, point, known, generators=names, image_shape=shape, array=array,
        preset=preset, weight_bits=memory.weight_bits, rate=errors.rate,  # type: ignore[arg-type]
    )  # fmt: skip
    console.write_json({"model": str(model), "ber": errors.rate, "kind": kind, **result.to_dict()}, record_file.json)
    if record_file.json != "-":
        _show(model, result, compared.layers, errors)


def _layers(count: int) -> str:
    return "1 layer differs" if count == 1 else f"{count} layers differ"


def _show(path: Path, result: Economy, layers: bool, errors: BitErrors) -> None:
    from nfkit.cli.console import print_table

    base = result.base
    print(f"{path}: {base.weights:,} weights, {base.parameters:,} parameters, {base.macs:,} MACs")
    each = f" ({base.reads / base.weights:.2f} reads a weight)" if base.weights else ""
    print(f"{base.array}, preset {base.preset}: {base.accesses:,.10g} accesses to the weight memory{each}")
    if different := result.differences():
        print(
            f"preset {result.other.preset} gives {result.other.accesses:,.10g} accesses, {result.other.macs:,} MACs: "
            f"{_layers(len(different))}, such as {different[0]['name']}"
        )
    if result.coverage is not None:
        print(result.coverage.sentence())
    if base.float_bits:
        print(
            f"weights are stored as floats, counted at {base.float_bits} bits: for an int8 device give --weight-bits 8"
        )
    uncounted = [
        entry for count in (base, *(saving.generator for saving in result.savings)) for entry in count.uncounted
    ]
    named = uncounted if layers else uncounted[:_NAMED]
    for entry in named:
        print(f"not counted: {entry}")
    if more := len(uncounted) - len(named):
        print(f"not counted: {more} more; --layers and --json name them")
    for choice in base.choices:
        print(choice)
    at, counted = result.point, result.curve.meaning or "errors"
    beyond = ", extrapolated" if at.extrapolated else ""
    print(
        f"{at.volts:.3f} Vmin: energy per access {at.energy:.3f}{beyond}, by the curve {result.curve.name}, whose rate "
        f"there, {100 * at.rate:.3g} %, counts {counted}"
    )
    if errors.rate:
        print(
            f"a bit error rate of {100 * errors.rate:.3g} % ({errors.kind} cells) flips "
            f"{100 * errors.flips_per_cell():.3g} % of the bits, which is what the voltage is looked up by"
        )
    if layers:
        _show_layers([("base", base), *((saving.name, saving.generator) for saving in result.savings)])
    if result.savings:
        headers = ["generator", "parameters", "MACs", "accesses", "of base", "saved", "saved by MACs", "breaks even at"]
        print_table(headers, [_row(saving) for saving in result.savings])
    if len(result.savings) == 1:
        print(result.savings[0].verdict)
        for name, picojoules in (result.savings[0].picojoules() or {}).items():
            print(f"weight memory, {name.replace('_', ' at ')}: {picojoules:,.0f} pJ an inference")
    if result.efficiency is not None:
        print(f"efficiency ratio: {result.efficiency:.1f} recovered points for each million parameters")


def _row(saving: Saving) -> list[str]:
    even = saving.break_even
    return [
        saving.name,
        f"{saving.generator.parameters:,}",
        f"{saving.generator.macs / 1e6:.2f} M",
        f"{saving.generator.accesses:,.10g}",
        f"{100 * saving.overhead:.1f} %",
        f"{100 * saving.by_accesses:.1f} %",
        f"{100 * saving.by_macs:.1f} %",
        str(even) if even else "–",
    ]


def _show_layers(counts: list[tuple[str, Count]]) -> None:
    from nfkit.cli.console import print_table

    headers = [
        "layer",
        "part",
        "operator",
        "positions x depth x outputs",
        "groups",
        "bits",
        "weights",
        "MACs",
        "accesses",
    ]
    rows = [
        [
            layer.name,
            part,
            layer.op,
            f"{layer.positions} x {layer.depth} x {layer.outputs}" if layer.depth else "–",
            str(layer.groups),
            str(layer.bits) if layer.bits else "–",
            f"{layer.weights:,}",
            f"{layer.macs:,}",
            f"{count.array.accesses(layer):,.10g}",
        ]
        for part, count in counts
        for layer in count.layers
    ]
    print_table(headers, rows)
