"""`nfkit serve`."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped
from nfkit.cli.groups import BASIC, Faults, Rate, Record


@dataclass(frozen=True)
class Device(Rate):
    """Which chip answers, if any: without a rate or a voltage nothing errs."""

    ber: Annotated[
        str | None, typer.Option("--ber", metavar="RATE", help="Bit error rate per cell; no errors by default.")
    ] = None
    chip: options.Chip = 50_000


@dataclass(frozen=True)
class Service:
    """Where it answers, and how."""

    TITLE: ClassVar[str] = BASIC
    port: Annotated[int, typer.Option("--port", help="Port; 0 for one that is free.")] = 8000
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on. Whoever reaches it may ask: there are no users.")
    ] = "127.0.0.1"
    name: Annotated[str | None, typer.Option("--name", help="The model's name; its file's by default.")] = None
    top_1: Annotated[bool, typer.Option("--top-1", help="Answer with the best class alone, as some devices do.")] = (
        False
    )
    optimization: options.Level = "all"


@grouped
def serve(
    model: Annotated[Path, typer.Argument(help="Base or protected model; never changed.")],
    *,
    device: Device,
    service: Service,
    faults: Faults,
    record_file: Record,
) -> None:
    """Answer at an address with a model, as a device at low voltage would: the Open Inference Protocol (v2) over HTTP.

    One line says when it is ready, and where. Of a protected model, the generator runs without errors. Ctrl-C ends it.
    """
    from nfkit.access.base import Base, GraphBase, best_only
    from nfkit.access.chip import put_on_chip
    from nfkit.access.server import Server
    from nfkit.cli import console
    from nfkit.faults import Chip
    from nfkit.model import load, sha256
    from nfkit.workflows.inputs import find_strengths
    from nfkit.workflows.memory import Memory

    optimization, name = service.optimization, service.name
    console.check_outputs(record_file.json, models={"the model": model}, files={"the curve": faults.curve})
    graph = load(model)
    record: dict[str, Any] = {"schema": "nfkit.serve/1", "model": {"path": str(model), "sha256": sha256(model)}}
    base: Base
    given = device.settings()
    if not any(number is not None for number in given.values()):
        base, state = GraphBase(graph, level=optimization), "without errors"  # type: ignore[arg-type]
    else:
        memory = Memory(**faults.settings())
        (strength, *_), _ = find_strengths(memory.scale(graph), **given)
        errors, chip = strength.errors, device.chip
        faulty = put_on_chip(graph, Chip(chip, memory.cells), errors, level=optimization)  # type: ignore[arg-type]
        base, state = faulty.base, f"on chip {chip} at {strength.describe()}, {faulty.flipped_bits} flipped bits"
        record |= {"ber": strength.rate, "chip": chip, "layout": faults.layout(), **errors.to_dict()}
        record |= {"faulty_cells": faulty.faulty_cells, "flipped_bits": faulty.flipped_bits}
    # Clients compare versions: another chip is another model.
    version = base.about.identity[:12]
    base = best_only(base) if service.top_1 else base
    server = Server(
        base, name or model.name.removesuffix(".onnx"), version=version, host=service.host, port=service.port
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        console.write_json(record | {"address": server.address, "version": version}, record_file.json)
        if record_file.json != "-":
            print(f"{server.address} answers with {model}, {state}")
        sys.stdout.flush()  # whoever started this waits for it
        server.serve()
    except KeyboardInterrupt:
        console.note("nfkit serve: ended")
    finally:
        server.close()
