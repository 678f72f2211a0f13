"""`nfkit serve`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nfkit.cli import options


def serve(
    model: Annotated[Path, typer.Argument(help="Base or protected model; never changed.")],
    ber: Annotated[float | None, typer.Option("--ber", help="Bit error rate per cell; no errors by default.")] = None,
    vdd: options.OneVdd = None,
    curve: options.CurveName = "stutz-2021",
    extrapolate: options.Extrapolate = False,
    chip: Annotated[int, typer.Option("--chip", min=0, help="Seed of the chip.")] = 50_000,
    kind: options.Kind = "stuck",
    layout_map: options.LayoutName = "iid",
    set_share: options.SetShare = 0.5,
    protect_bit: options.ProtectBits = None,
    protect_top: options.ProtectTop = 0,
    protect_site: options.ProtectSites = None,
    storage: options.Storage = "as-stored",
    ecc: options.Ecc = "none",
    port: Annotated[int, typer.Option("--port", help="Port; 0 for one that is free.")] = 8000,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on. Whoever reaches it may ask: there are no users.")
    ] = "127.0.0.1",
    name: Annotated[str | None, typer.Option("--name", help="The model's name; its file's by default.")] = None,
    top_1: Annotated[
        bool, typer.Option("--top-1", help="Answer with the best class alone, as some devices do.")
    ] = False,
    optimization: options.Level = "all",
    json: options.Json = None,
) -> None:
    """Answer at an address with a model, as a device at low voltage would: the Open Inference Protocol (v2) over HTTP.

    One line says when it is ready, and where. Of a protected model, the generator runs without errors. Ctrl-C ends it.
    """
    from nfkit.access.base import Base, GraphBase, best_only
    from nfkit.access.chip import put_on_chip
    from nfkit.access.server import Server
    from nfkit.cli import console
    from nfkit.faults import Chip, parse_layout
    from nfkit.model import load, sha256
    from nfkit.workflows.inputs import find_scale, find_strengths

    console.check_outputs(json, models={"the model": model}, files={"the curve": curve})
    graph = load(model)
    record: dict[str, Any] = {"schema": "nfkit.serve/1", "model": {"path": str(model), "sha256": sha256(model)}}
    base: Base
    if ber is None and vdd is None:
        base, state = GraphBase(graph, level=optimization), "without errors"  # type: ignore[arg-type]
    else:
        scale = find_scale(
            graph, kind=kind, set_share=set_share, protected_bits=tuple(protect_bit or ()), protected_top=protect_top,
            protected_sites=tuple(protect_site or ()), storage=storage, ecc=ecc, curve=curve, extrapolate=extrapolate,
        )  # fmt: skip
        (strength, *_), _ = find_strengths(scale, ber, vdd)
        errors = strength.errors
        device = put_on_chip(graph, Chip(chip, parse_layout(layout_map)), errors, level=optimization)  # type: ignore[arg-type]
        base, state = device.base, f"on chip {chip} at {strength.describe()}, {device.flipped_bits} flipped bits"
        record |= {"ber": strength.rate, "chip": chip, "layout": layout_map, **errors.to_dict()}
        record |= {"faulty_cells": device.faulty_cells, "flipped_bits": device.flipped_bits}
    # Clients compare versions: another chip is another model.
    version = base.about.identity[:12]
    base = best_only(base) if top_1 else base
    server = Server(base, name or model.name.removesuffix(".onnx"), version=version, host=host, port=port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        console.write_json(record | {"address": server.address, "version": version}, json)
        if json != "-":
            print(f"{server.address} answers with {model}, {state}")
        sys.stdout.flush()  # whoever started this waits for it
        server.serve()
    except KeyboardInterrupt:
        console.note("nfkit serve: ended")
    finally:
        server.close()
