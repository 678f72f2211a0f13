"""`nfkit inject`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    from nfkit.cli import console
    from nfkit.faults import Chip, parse_layout
    from nfkit.graph.injection.inject import MODES, count_faults, count_inexact
    from nfkit.graph.injection.inject import inject as inject_faults
    from nfkit.graph.injection.inject import remove as remove_faults
    from nfkit.graph.memory.sites import fault_sites
    from nfkit.model import load, save

    console.check_outputs(json, {"-o": output}, models={"the model": model}, files={"the curve": curve}, force=force)
    if mode not in MODES:
        raise OptionError(f"unknown mode {mode!r}: choose one of {', '.join(MODES)}")
    graph = load(model)
    record: dict[str, object] = {"schema": "nfkit.inject/1", "output": str(output)}
    if remove:
        result, done = remove_faults(graph), "faults removed"
    else:
        strength = options.make_strength(ber, vdd, curve, extrapolate)
        rate = strength.rates[0]
        errors = options.make_errors([rate], kind, set_share, protect_bit, protect_site, protect_top, storage, ecc)[0]
        roles = ("weight", "bias", "constant") if biases else ("weight",)
        sites = fault_sites(graph, generator=fault_generator, roles=roles)  # type: ignore[arg-type]
        device = Chip(chip, parse_layout(layout_map))
        result = inject_faults(graph, sites, device, errors, mode)  # type: ignore[arg-type]
        cells, bits = count_faults(graph, sites, device, errors)
        record |= {"ber": rate, "chip": chip, **errors.to_dict(), "faulty_cells": cells, "flipped_bits": bits}
        record |= strength.to_record()
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
