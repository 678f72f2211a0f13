"""`nfkit evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped
from nfkit.cli.groups import Faults, Measuring, ModelInput, Rates, SeenRecord
from nfkit.cli.remote import Device
from nfkit.cli.streams import note
from nfkit.errors import OptionError


@dataclass(frozen=True)
class Samples:
    """What is measured on."""

    TITLE: ClassVar[str] = "Basic"
    data: options.FoundData = None
    labels: options.Labels = "data"
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="FILE.py:FUNCTION",
            help="A figure of your own: (outputs, targets) -> numbers, one a sample or one for all.",
        ),
    ] = None


@dataclass(frozen=True)
class Extent:
    """What else is measured, and on which chips."""

    TITLE: ClassVar[str] = "Measuring"
    first_chip: Annotated[int, typer.Option("--first-chip", min=0, help="Seed of the first chip.")] = 50_000
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Use only the first samples.")] = None
    bits: Annotated[
        list[int] | None,
        typer.Option("--bits", min=2, help="Requantise the base's weights to so many bits; repeat for several."),
    ] = None
    fault_generator: Annotated[
        bool, typer.Option("--fault-generator", help="Let errors hit the generator's weights as well.")
    ] = False
    latency: Annotated[
        bool, typer.Option("--latency", help="Time base and protected model too, by turns, at batches 1 and 64.")
    ] = False
    latency_batch: Annotated[
        int | None, typer.Option("--latency-batch", min=1, metavar="N", help="The same at batches 1 and N.")
    ] = None


@grouped
def evaluate(
    model: Annotated[
        str | None,
        typer.Argument(help="ONNX file, or https://HOST/v2/models/NAME; by default the only one in this folder."),
    ] = None,
    *,
    samples: Samples,
    rates: Rates,
    measuring: Measuring,
    extent: Extent,
    faults: Faults,
    model_input: ModelInput,
    address: Device,
    record: SeenRecord,
) -> None:
    """Measure accuracy under bit errors: rates x chips, of the base and of the protected model.

    With --bits, for bits x rates x chips: the paper's experiment of lower precision without retraining. What was
    measured is kept: the same command goes on where an earlier one was ended.
    """
    from nfkit.access.address import is_address

    if is_address(model):
        _ask(str(model), samples, rates, measuring, extent, faults, model_input, address, record)
        return
    from nfkit.cli import console
    from nfkit.workflows.evaluation import evaluate as run
    from nfkit.workflows.evaluation import evaluate_precisions

    address.refuse()
    path = Path(model) if model else _only_model()
    files = {"the data": samples.data, "the curve": faults.curve}
    console.check_outputs(record.json, report=record.report, models={"the model": path}, files=files)
    if extent.bits and (extent.latency or extent.latency_batch):
        raise OptionError("--bits changes weights, not times: give --latency in a run of its own")
    if samples.metric is not None:
        console.show(_score(path, samples, rates, measuring, extent, faults, model_input), record.json, record.report)
        return
    with console.working("rows that are measured are kept, and the same command goes on from them") as display:
        settings: dict[str, Any] = {
            **rates.settings(), **faults.settings(), **measuring.settings(), **model_input.settings(),
            "first_chip": extent.first_chip, "samples": extent.samples, "labels": samples.labels,
            "fault_generator": extent.fault_generator, "on_stage": display.say, "on_progress": display,
        }  # fmt: skip
        result: Any
        if extent.bits:
            result = evaluate_precisions(path, samples.data, extent.bits, **settings)
        else:
            batch = extent.latency_batch or (64 if extent.latency else None)
            result = run(path, samples.data, latency_batch=batch, **settings)
    console.show(result, record.json, record.report, record.chart)


def _score(
    path: Path,
    samples: Samples,
    rates: Rates,
    measuring: Measuring,
    extent: Extent,
    faults: Faults,
    model_input: ModelInput,
) -> Any:
    """Measures by a metric of the user's own."""
    from nfkit.cli import console
    from nfkit.workflows.scoring import score

    if samples.data is None:
        raise OptionError("a metric compares outputs with targets: give --data, such as test.npz with arrays x and y")
    if samples.labels != "data" or extent.bits or extent.latency or extent.latency_batch or extent.fault_generator:
        raise OptionError(
            "--metric measures a figure of your own: --labels base, --bits, --latency and --fault-generator go with "
            "accuracy"
        )
    with console.working("nothing was written, and the same command begins again") as display:
        return score(
            path, samples.data, str(samples.metric), first_chip=extent.first_chip, samples=extent.samples,
            on_progress=display, **rates.settings(), **faults.settings(), **measuring.settings(),
            **model_input.settings(),
        )  # fmt: skip


def _ask(
    url: str,
    samples: Samples,
    rates: Rates,
    measuring: Measuring,
    extent: Extent,
    faults: Faults,
    model_input: ModelInput,
    address: Device,
    record: SeenRecord,
) -> None:
    """Measures a base behind an address as it is."""
    from nfkit.cli.remote import evaluate_address
    from nfkit.energy import load_curve
    from nfkit.plans.operating_points import Scale
    from nfkit.workflows.inputs import find_strengths
    from nfkit.workflows.memory import Memory

    if samples.labels != "data":
        raise OptionError("behind an address no clean base is known to give labels: --labels base is for files")
    given = rates.settings()
    wanted = given["ber"] or given["vdd"]
    latency = extent.latency or extent.latency_batch
    if extent.bits or latency or extent.fault_generator or (wanted and not address.chip_behind):
        raise OptionError(
            "behind an address nothing is changed or injected: --bits, --latency, --fault-generator and, without "
            "--chip-behind, --ber and --vdd are for files"
        )
    memory = Memory(**faults.settings())
    errors = memory.errors
    scale = Scale(errors, errors.at(0.1).flips_per_cell() / 0.1, load_curve(str(memory.curve)), memory.extrapolate)
    strengths = find_strengths(scale, **given)[0] if wanted else None
    evaluate_address(
        url, samples.data or "", extent.samples, address,
        None if strengths is None else [strength.rate for strength in strengths], errors, memory.cells,
        range(extent.first_chip, extent.first_chip + measuring.chips), measuring.optimization,
        model_input.settings(), record,
    )  # fmt: skip


def _only_model() -> Path:
    """The model that this folder is about: its only protected one, or else the only one."""
    protected = sorted(Path().glob("*.nf.onnx"))
    found = protected or sorted(Path().glob("*.onnx"))
    if len(found) == 1:
        note(f"model: {found[0]} (the only {'protected model' if protected else 'model'} in this folder)")
        return found[0]
    if not found:
        raise OptionError(
            "which model? There is none (*.onnx) in this folder: name a file, or get one of nfkit's own with "
            "nfkit models"
        )
    listed = ", ".join(f"'{path}'" for path in found)
    raise OptionError(f"which model? This folder has {listed}: name the one to measure")
