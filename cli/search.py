"""`nfkit search`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped
from nfkit.cli.groups import Aim, Batches, Budget, Faults, Measuring, ModelInput, Rate, SeenRecord
from nfkit.errors import OptionError


@dataclass(frozen=True)
class Samples:
    """What is learned from, and measured on."""

    TITLE: ClassVar[str] = "Basic"
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files, records and the front.")]
    data: options.FoundData = None
    test_data: options.TestData = None
    labels: options.Labels = "data"
    allow_low_accuracy: options.AllowLowAccuracy = False
    force: Annotated[bool, typer.Option("--force", help="Replace candidates of other settings.")] = False


@dataclass(frozen=True)
class Candidates:
    """What is tried."""

    TITLE: ClassVar[str] = "Generator"
    widths: Annotated[
        str | None,
        typer.Option("--widths", metavar="W[,W..]", help="Of hint generators; by default the widest and halves of it."),
    ] = None
    generator: Annotated[
        list[str] | None, typer.Option("--generator", help="Another generator to try besides; repeat.")
    ] = None
    energy_budget: options.EnergyBudget = None


@grouped
def search(
    model: options.FrozenModel,
    *,
    samples: Samples,
    aim: Aim,
    rate: Rate,
    budget: Budget,
    candidates: Candidates,
    batches: Batches,
    faults: Faults,
    measuring: Measuring,
    model_input: ModelInput,
    record: SeenRecord,
) -> None:
    """Train generators of several sizes, and show which give the most accuracy for the energy that they save.

    With --max-loss every generator is planned for the least energy within it, and the table shows the plans.

    A search that was killed goes on when the same command is given again; finished candidates are not trained again.
    Ctrl-C ends the candidate and the search early, with what was found so far.
    """
    from nfkit.cli import console
    from nfkit.workflows.search import search as run

    files = {"the data": samples.data, "the test data": samples.test_data}
    console.check_outputs(record.json, report=record.report, models={"the model": model}, files=files)
    with console.working("this candidate is finished as it is, and the search ends with it") as display:
        result = run(
            model, samples.data, samples.output, test=samples.test_data, labels=samples.labels,  # type: ignore[arg-type]
            allow_low_accuracy=samples.allow_low_accuracy, widths=_parse_widths(candidates.widths),
            generators=candidates.generator or (), energy_budget=options.parse_share(candidates.energy_budget),
            force=samples.force, command=console.command_line(), on_stage=display.say, on_progress=display,
            **aim.settings(), **rate.settings(), **budget.settings(), **batches.settings(), **faults.settings(),
            **measuring.settings(), **model_input.settings(),
        )  # fmt: skip
    console.show(result, record.json, record.report, record.chart)
    if record.json != "-":
        count = len(result.points)
        print(f"{samples.output}: files, records and front.json of {count} generator{'s' * (count != 1)}")


def _parse_widths(text: str | None) -> list[int]:
    if text is None:
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise OptionError(f"--widths {text!r}: give whole numbers separated by commas, such as 16,32,64") from None
