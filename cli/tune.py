"""`nfkit tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def tune(
    protected: Annotated[Path, typer.Argument(help="A protected model (*.nf.onnx) with a hint generator.")],
    caution: Annotated[
        float, typer.Option("--caution", help="More leaves more to the base, less to the generator; above 0.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the changed model.")],
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Shift the balance between generator and base in a protected model, without training.

    The base stays as it is: measure the result with nfkit evaluate.
    """
    from nfkit.cli import console
    from nfkit.graph.fusion.caution import read_caution, with_caution
    from nfkit.model import load, save, sha256

    console.check_outputs(json, {"-o": output}, models={"the model": protected}, force=force)
    model = load(protected)
    changed = with_caution(model, caution)
    before = read_caution(model)
    save(changed, output)
    record = {
        "schema": "nfkit.tune/1",
        "from": str(protected),
        "output": {"path": str(output), "sha256": sha256(output if output.is_file() else changed)},
        "caution": {"before": before, "after": caution},
    }
    console.write_json(record, json)
    if json != "-":
        print(f"{output}: caution {caution:g} in place of {before:g}; nothing was trained, measure it")
