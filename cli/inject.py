"""`nfkit inject`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nfkit.cli import options
from nfkit.errors import OptionError


def inject(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    output: options.Output,
    ber: options.OneBer = None,
    vdd: options.OneVdd = None,
    curve: options.CurveName = "stutz-2021",
    extrapolate: options.Extrapolate = False,
    kind: options.Kind = "stuck",
    layout_map: options.LayoutName = "iid",
    set_share: options.SetShare = 0.5,
    protect_bit: options.ProtectBits = None,
    protect_top: options.ProtectTop = 0,
    protect_site: options.ProtectSites = None,
    storage: options.Storage = "as-stored",
    ecc: options.Ecc = "none",
    chip: Annotated[int, typer.Option("--chip", min=0, help="Seed of the chip.")] = 50_000,
    mode: Annotated[
        str, typer.Option("--mode", help="node, input (masks can be fed) or baked (flipped codes).")
    ] = "node",
    biases: Annotated[bool, typer.Option("--biases", help="Fault biases and other constants as well.")] = False,
    fault_generator: Annotated[
        bool, typer.Option("--fault-generator", help="Fault the generator of a fused file too.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take injected faults out again.")] = False,
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Write a copy of a model with the bit errors of one chip in it, or take them out again."""
    from msgspec import to_builtins

    from nfkit.cli import console
    from nfkit.faults import Chip, parse_layout
    from nfkit.graph.injection.inject import MODES, count_faults, count_inexact
    from nfkit.graph.injection.inject import inject as inject_faults
    from nfkit.graph.injection.inject import remove as remove_faults
    from nfkit.graph.injection.record import ORIGINAL_KEY
    from nfkit.graph.memory.coverage import coverage
    from nfkit.graph.memory.original import EQUALITY, save_as_it_was
    from nfkit.graph.memory.scales import odd_scales
    from nfkit.graph.memory.sites import fault_sites
    from nfkit.graph.memory.survey import Survey
    from nfkit.model import load, save
    from nfkit.workflows.inputs import find_scale, find_strengths

    console.check_outputs(json, {"-o": output}, models={"the model": model}, files={"the curve": curve}, force=force)
    if mode not in MODES:
        raise OptionError(f"unknown mode {mode!r}: choose one of {', '.join(MODES)}")
    graph = load(model)
    notes: list[str] = []
    record: dict[str, Any] = {"schema": "nfkit.inject/1", "output": str(output)}
    if remove:
        equal = save_as_it_was(graph.metadata_props.get(ORIGINAL_KEY), remove_faults(graph), output)
        done = f"faults removed; {EQUALITY[equal]}"
        record["equal"] = equal
    else:
        scale = find_scale(
            graph, kind=kind, set_share=set_share, protected_bits=tuple(protect_bit or ()), protected_top=protect_top,
            protected_sites=tuple(protect_site or ()), storage=storage, ecc=ecc, curve=curve, extrapolate=extrapolate,
        )  # fmt: skip
        (strength, *_), _ = find_strengths(scale, ber, vdd)
        errors = strength.errors
        roles = ("weight", "bias", "constant") if biases else ("weight",)
        sites = fault_sites(graph, generator=fault_generator, roles=roles)  # type: ignore[arg-type]
        errors.check_sites([site.name for site in sites])
        device = Chip(chip, parse_layout(layout_map))
        result = inject_faults(graph, sites, device, errors, mode)  # type: ignore[arg-type]
        cells, bits = count_faults(graph, sites, device, errors)
        record |= {"ber": strength.rate, "chip": chip, **errors.to_dict(), "faulty_cells": cells, "flipped_bits": bits}
        record["voltage"] = {"curve": to_builtins(scale.facts), "flips": strength.flips}
        if strength.voltage is not None:
            record["voltage"] |= to_builtins(strength.voltage)
        survey = Survey(graph)
        covered = coverage(survey, [site.name for site in sites], generator=fault_generator)
        notes = [covered.sentence(), *map(str, odd_scales(survey))]
        record |= {"coverage": covered.to_dict(), "odd_scales": notes[1:]}
        inexact = count_inexact(graph, sites, errors)
        if inexact:
            record["inexact_codes"] = inexact
        done = f"chip {chip} at {strength.describe()}: {cells} faulty cells, {bits} flipped bits in {len(sites)} sites"
        if inexact:
            done += f"; {inexact} codes have no word in {storage} and are held as the nearest one"
        if mode == "input":
            done += "; the file is fault-free until the masks are fed"
        save(result, output)
    console.write_json(record, json)
    if json != "-":
        print(f"{output}: {done}")
        for note in notes:
            print(note)
