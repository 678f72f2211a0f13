"""`nfkit transfer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def transfer(
    protected: Annotated[Path, typer.Argument(help="A protected model (*.nf.onnx), whose generator is wanted.")],
    model: Annotated[Path, typer.Argument(help="Another base that takes the same input; never changed.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="By default MODEL.nf.onnx beside the base.")
    ] = None,
    layout: options.InputLayout = None,
    range_: options.Range = None,
    mean: options.Mean = None,
    std: options.Std = None,
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Put the generator of a protected model in front of another base, such as one that gives no gradients.

    Nothing is trained: measure the result with nfkit evaluate.
    """
    from nfkit.cli import console
    from nfkit.graph.fusion.fuse import transfer as transfer_generator
    from nfkit.graph.fusion.fused import BASE_DIGEST_KEY, GENERATOR_KEY
    from nfkit.model import default_output, load, save, sha256

    target = output or default_output(model)
    models = {"the protected model": protected, "the model": model}
    console.check_outputs(json, {"-o": target}, models=models, force=force)
    base = load(model)
    fused = transfer_generator(load(protected), base, options.make_spec(base, layout, range_, mean, std))
    save(fused, target)
    name = fused.metadata_props.get(GENERATOR_KEY, "generator")
    record = {
        "schema": "nfkit.transfer/1",
        "output": {"path": str(target), "sha256": sha256(target if target.is_file() else fused)},
        "generator": {"name": name, "from": str(protected)},
        "base": {"path": str(model), "graph_sha256": fused.metadata_props[BASE_DIGEST_KEY]},
    }
    console.write_json(record, json)
    if json != "-":
        print(f"{target}: {name} of {protected} in front of {model}; nothing was trained, measure it")
