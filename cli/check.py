"""`nfkit check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli.grouped import grouped
from nfkit.cli.groups import ModelInput, Record

DATA = typer.Option(
    "--data", help="Samples to run in each runtime that is installed here; by default what lies beside the model."
)
SAMPLES = typer.Option("--samples", min=1, help="How many of the first samples to run.")
OPSET = typer.Option("--opset", min=1, help="Version of the standard operators that the file shall have.")


@grouped
def check(
    model: Annotated[Path, typer.Argument(help="Base or protected model; never changed.")],
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="NAME",
            help="onnxruntime, ort-format, onnxruntime-web, openvino, tract or reference; repeat. All by default.",
        ),
    ] = None,
    data: Annotated[str | None, DATA] = None,
    samples: Annotated[int, SAMPLES] = 200,
    opset: Annotated[int | None, OPSET] = None,
    *,
    model_input: ModelInput,
    record: Record,
) -> None:
    """Say where a model runs: what each runtime does not take, what nfkit export would change, and how it then answers.

    Where a runtime is installed and there is data, the file for it is made and run. Exit code 1 where a target that was
    named refuses the model or fails on it.
    """
    from nfkit.cli import console
    from nfkit.workflows.shipping import check as run

    console.check_outputs(record.json, models={"the model": model}, files={"the data": data})
    result = run(
        model, target or None, data, samples=samples, opset=opset, on_stage=console.note, **model_input.settings()
    )
    console.show(result, record.json)
    if target and any(entry.state in ("refused", "fails") for entry in result.checked):
        raise typer.Exit(1)
