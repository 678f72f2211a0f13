"""`nfkit plan`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped, parse_share
from nfkit.cli.groups import BASIC, Measuring, ModelInput, SeenRecord


@dataclass(frozen=True)
class Aim:
    """What is asked for, and of what."""

    TITLE: ClassVar[str] = BASIC
    max_loss: Annotated[
        str, typer.Option("--max-loss", metavar="SHARE", help="Accuracy that may be lost, such as 1% or 0.01.")
    ] = "1%"
    confidence: options.Confidence = "80%"
    can: options.Can = None
    data: options.FoundData = None
    labels: options.Labels = "data"

    def settings(self) -> dict[str, Any]:
        """The arguments of the workflow."""
        loss, can = parse_share("--max-loss", self.max_loss), options.parse_can(self.can)
        sure = parse_share("--confidence", self.confidence)
        return {"max_loss": loss, "confidence": sure, "can": can, "labels": self.labels}


@dataclass(frozen=True)
class Memory:
    """What low voltage does to the weight memory; how that holds weights is for the plan to choose."""

    TITLE: ClassVar[str] = "Faults"
    kind: options.Kind = "stuck"
    set_share: options.SetShare = 0.5
    memory_layout: Annotated[
        str,
        typer.Option(
            "--memory-layout",
            metavar="LAYOUT",
            help="Which cell holds what: iid, array[:ROWSxCOLUMNS], reference, cluster[:BLOCK:SHAPE], measured:FOLDER.",
        ),
    ] = "iid"
    curve: options.CurveName = "stutz-2021"

    def settings(self) -> dict[str, Any]:
        """The arguments of the workflow."""
        return {"kind": self.kind, "set_share": self.set_share, "layout": self.memory_layout, "curve": self.curve}


@dataclass(frozen=True)
class Extent:
    """On which samples."""

    TITLE: ClassVar[str] = "Measuring"
    samples: Annotated[int | None, typer.Option("--samples", min=4, help="Use only the first samples.")] = None
    chip: Annotated[
        int | None, typer.Option("--chip", metavar="SEED", min=0, help="One device whose faulty cells are known.")
    ] = None
    seed: Annotated[int, typer.Option("--seed", help="Seed of the division into samples that choose and confirm.")] = 0


@dataclass(frozen=True)
class Written:
    """What is written besides the record."""

    TITLE: ClassVar[str] = "Output"
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write the protected model with the trust and threshold of its plan."),
    ] = None
    force: options.Force = False


@grouped
def plan(
    model: Annotated[Path, typer.Argument(help="Frozen ONNX file, or a protected model (*.nf.onnx); never changed.")],
    *,
    aim: Aim,
    memory: Memory,
    measuring: Measuring,
    extent: Extent,
    model_input: ModelInput,
    written: Written,
    record: SeenRecord,
) -> None:
    """Find the least energy at which the model loses no more than --max-loss, without any training.

    One half of the samples and of the chips chooses a voltage for every remedy that the chip allows; the other half,
    and other chips, confirm it. A file that nfkit protect made is planned with its base: together at every voltage,
    with early answers, and each by itself.
    """
    from nfkit.cli import console
    from nfkit.workflows.planned_file import write_planned
    from nfkit.workflows.planning import plan as run

    settings = aim.settings()
    files = {"the data": aim.data, "the curve": memory.curve}
    outputs = {} if written.output is None else {"-o": written.output}
    console.check_outputs(
        record.json, outputs, report=record.report, models={"the model": model}, files=files, force=written.force
    )
    with console.working("nothing was written, and the same command begins again") as display:
        found = run(
            model, aim.data, samples=extent.samples, chip=extent.chip, seed=extent.seed, on_stage=display.say,
            on_progress=display,
            **settings, **memory.settings(), **measuring.settings(), **model_input.settings(),
        )  # fmt: skip
    console.show(found, record.json, record.report, record.chart)
    if written.output is not None:
        option = write_planned(model, found, written.output, force=written.force)
        if record.json != "-":
            print(f"{written.output}: set to {option.name} at {option.volts_over_vmin:.3f} Vmin")
