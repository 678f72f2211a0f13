"""`nfkit models`: the models that come with nfkit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options
from nfkit.errors import OptionError

models = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List the models that come with nfkit, and write them as ONNX files.",
)


@models.command("list")
def list_models(json: options.Json = None) -> None:
    """List the models that come with nfkit: bases of random weights, untrained generators, trained bases."""
    from nfkit.cli import console
    from nfkit.models.catalogue import catalogue

    console.check_outputs(json)
    entries = catalogue()
    console.write_json({"schema": "nfkit.models/1", "models": [entry.to_dict() for entry in entries]}, json)
    if json != "-":
        rows = [
            [entry.name, entry.kind, "needs torch" if entry.parameters is None else f"{entry.parameters:,}"]
            for entry in entries
        ]
        console.print_table(["name", "kind", "parameters"], rows)


@models.command()
def export(
    name: Annotated[str, typer.Argument(help="A name that `nfkit models list` shows.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the model.")],
    shape: Annotated[
        str | None, typer.Option("--input", metavar="CxHxW", help="Shape of the images; 3x32x32 by default.")
    ] = None,
    classes: Annotated[int | None, typer.Option("--classes", help="Classes of a base; 10 by default.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of random weights; 0 by default.")] = None,
    as_float: Annotated[
        bool, typer.Option("--float", help="Keep a base's weights in float instead of int8; generators are float.")
    ] = False,
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Write one of them as an ONNX file.

    Bases and generators get random weights, the same ones for the same seed: enough to count what they store, compute
    and access, and to time them. Generators need torch.
    """
    from nfkit.cli import console
    from nfkit.model import save, sha256
    from nfkit.models.catalogue import build

    console.check_outputs(json, {"-o": output}, force=force)
    model = build(name, _parse_shape(shape), classes, seed=seed, quantised=not as_float)
    save(model, output)
    taken = list(model.graph.inputs[0].shape or ())
    record = {
        "schema": "nfkit.models.export/1",
        "name": name,
        "output": str(output),
        "sha256": sha256(output if output.is_file() else model),
        "input": [d if isinstance(d, int) else None for d in taken],
    }
    console.write_json(record, json)
    if json != "-":
        size, extents = output.stat().st_size / 1024, "x".join(map(str, taken[1:]))
        print(f"{output}: {name}, input {extents}, {size:,.0f} KiB")


def _parse_shape(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text.lower())
    if match is None:
        raise OptionError(f"--input {text!r}: give channels, height and width, such as 3x32x32")
    channels, height, width = map(int, match.groups())
    return channels, height, width
