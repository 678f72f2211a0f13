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
    answer: Annotated[
        Path | None, typer.Option("--answer", help="Where to write the answer stage, if the model has one.")
    ] = None,
    early_front: Annotated[
        Path | None, typer.Option("--early-front", help="Early answers without control flow: what always runs.")
    ] = None,
    early_back: Annotated[
        Path | None, typer.Option("--early-back", help="And what runs for images that are not sure.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    json: options.Json = None,
) -> None:
    """Take a protected model apart into generator, base and answer, and prove that the base is what was protected."""
    from nfkit.cli import console
    from nfkit.errors import ModelError
    from nfkit.graph.fusion.fused import BASE_ORIGINAL_KEY
    from nfkit.graph.fusion.split import answer_stage
    from nfkit.graph.fusion.split import split as split_model
    from nfkit.graph.fusion.two_files import front_and_back
    from nfkit.graph.memory.original import EQUALITY, save_as_it_was
    from nfkit.model import load, save, sha256
    from nfkit.reports.written import BasePart, Part, Split

    outputs = {"--base": base, "--generator": generator, "--answer": answer}
    outputs |= {"--early-front": early_front, "--early-back": early_back}
    console.check_outputs(json, outputs, models={"the model": model}, force=force)
    fused = load(model)
    prefix, frozen = split_model(fused)
    stage = answer_stage(fused)
    if answer is not None and stage is None:
        raise ModelError("the base of this model answers by itself: there is no answer stage to write")
    two = front_and_back(fused) if early_front or early_back else ()
    equal = None
    if base is not None:
        equal = save_as_it_was(fused.metadata_props.get(BASE_ORIGINAL_KEY), frozen, base)
    if generator is not None:
        save(prefix, generator)
    if answer is not None and stage is not None:
        save(stage, answer)
    for part, path in zip(two, (early_front, early_back), strict=False):
        if path is not None:
            save(part, path)
    record = Split(
        base=BasePart(str(base) if base else None, sha256(frozen), equal),
        generator=Part(str(generator) if generator else None, sha256(prefix)),
        answer=None if stage is None else Part(str(answer) if answer else None, sha256(stage)),
    )
    console.write_record(record, json)
    if json != "-":
        print(f"{model}: the base is what was protected (graph {sha256(frozen)[:16]})")
        if equal is not None:
            print(f"{base}: {EQUALITY[equal]}")
