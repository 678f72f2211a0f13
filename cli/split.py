"""`nfkit split`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def split(
    model: Annotated[Path, typer.Argument(help="A protected model (*.nf.onnx).")],
    base: Annotated[Path | None, typer.Option("--base", help="Where to write the frozen base.")] = None,
    generator: Annotated[Path | None, typer.Option("--generator", help="Where to write the generator.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    json: options.Json = None,
) -> None:
    """Take a protected model apart into generator and base, and prove that the base is what was protected."""
    from nfkit.cli import console
    from nfkit.graph.fusion.fused import BASE_ORIGINAL_KEY
    from nfkit.graph.fusion.split import split as split_model
    from nfkit.graph.memory.original import EQUALITY, save_as_it_was
    from nfkit.model import load, save, sha256

    outputs = {"--base": base, "--generator": generator}
    console.check_outputs(json, outputs, models={"the model": model}, force=force)
    fused = load(model)
    prefix, frozen = split_model(fused)
    equal = None
    if base is not None:
        equal = save_as_it_was(fused.metadata_props.get(BASE_ORIGINAL_KEY), frozen, base)
    if generator is not None:
        save(prefix, generator)
    record = {
        "schema": "nfkit.split/1",
        "base": {"path": str(base) if base else None, "graph_sha256": sha256(frozen), "equal": equal},
        "generator": {"path": str(generator) if generator else None, "graph_sha256": sha256(prefix)},
    }
    console.write_json(record, json)
    if json != "-":
        print(f"{model}: the base is what was protected (graph {sha256(frozen)[:16]})")
        if equal is not None:
            print(f"{base}: {EQUALITY[equal]}")
