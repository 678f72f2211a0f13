"""`nfkit export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options
from nfkit.cli.check import DATA, OPSET, SAMPLES
from nfkit.cli.grouped import grouped
from nfkit.cli.groups import ModelInput, Record

LIST = ".required_operators.config"


@grouped
def export(
    model: Annotated[Path, typer.Argument(help="Base or protected model; never changed.")],
    target: Annotated[
        str,
        typer.Option(
            "--target",
            metavar="NAME",
            help="onnxruntime, ort-format, onnxruntime-web, openvino, tract or reference.",
        ),
    ],
    output: options.Output,
    data: Annotated[str | None, DATA] = None,
    samples: Annotated[int, SAMPLES] = 200,
    opset: Annotated[int | None, OPSET] = None,
    two_files: Annotated[
        bool, typer.Option("--two-files", help="Early answers as a front and a back, for hosts without control flow.")
    ] = False,
    force: options.Force = False,
    *,
    model_input: ModelInput,
    record: Record,
) -> None:
    """Write a model as a runtime takes it, run what was written there, and compare its answers.

    Changed is what must be, and all of it is said: the version of the operators, a fixed batch, Softmax spelt out, two
    files in place of an If. What a runtime does not take is refused with node and way out.
    """
    from nfkit.cli import console
    from nfkit.workflows.shipping import export as run

    written = {"-o": output}
    if two_files:
        written |= {f"the {part}": output.with_suffix(f".{part}{output.suffix}") for part in ("front", "back")}
    if output.suffix == ".ort":
        written |= {"the list of operators": output.with_name(f"{output.name}{LIST}")}
    files = {"the data": data}
    console.check_outputs(record.json, written, models={"the model": model}, files=files, force=force)
    result = run(
        model, target, output, data, samples=samples, opset=opset, two_files=two_files, on_stage=console.note,
        **model_input.settings(),
    )  # fmt: skip
    console.show(result, record.json)
