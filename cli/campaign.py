"""`nfkit campaign`: plans that are measured to the end, whatever ends the process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup

from nfkit.cli import options
from nfkit.cli.grouped import grouped
from nfkit.cli.groups import SeenRecord


class PlanFirst(TyperGroup):
    """`nfkit campaign PLAN.toml` is `nfkit campaign run PLAN.toml`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Names the subcommand where a plan stands in its place."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


campaign = typer.Typer(
    cls=PlanFirst,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Measure many models, remedies, errors and chips by a plan; the word run may be left out.",
)

Folder = Annotated[Path, typer.Argument(help="Folder of a campaign.")]


@dataclass(frozen=True)
class Work:
    """Who measures."""

    TITLE: ClassVar[str] = "Work"
    engine: Annotated[
        str,
        typer.Option("--engine", metavar="threads|joblib|dask|ray", help="Threads here, processes, clusters."),
    ] = "threads"
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="How many; one a core by default.")] = None
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Of a cluster of dask or Ray; else of this machine."),
    ] = None
    until: Annotated[
        str | None, typer.Option("--until", metavar="SHARE", help="Half width at which a cell ends, such as 1%.")
    ] = None
    max_chips: Annotated[int | None, typer.Option("--max-chips", min=2, help="Chips at which it ends anyway.")] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure a pilot, and say what the plan takes.")] = False

    def changes(self) -> dict[str, Any]:
        """What the command line changes in a plan."""
        return {
            key: value for key, value in (("until", self.until), ("max_chips", self.max_chips)) if value is not None
        }


@campaign.command("run")
@grouped
def run(
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file; nfkit campaign init MODEL writes one.")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder that keeps the measurements.")],
    work: Work,
    record: SeenRecord,
) -> None:
    """Measure what the plan asks for and the folder does not hold yet.

    Each measurement is kept the moment it is made: the same command goes on where an earlier one was ended, and a plan
    may grow. nfkit campaign status DIR shows what there is so far, also while it runs.
    """
    from nfkit.campaigns.reading import read_plan
    from nfkit.cli import console
    from nfkit.workflows.campaigning import campaign as measure

    console.check_outputs(record.json, report=record.report, files={"the plan": plan})
    with console.working("measurements that were made are kept, and the same command goes on from them") as display:
        found = measure(
            read_plan(plan, work.changes()), output, engine=work.engine, workers=work.workers, scheduler=work.scheduler,
            only_estimate=work.dry_run, on_stage=display.say, on_progress=display,
        )  # fmt: skip
    console.show(found, record.json, record.report, record.chart)


@campaign.command("init")
def init(
    model: Annotated[Path, typer.Argument(help="Frozen ONNX file to plan for.")],
    data: options.FoundData = None,
) -> None:
    """Print a plan to begin with; write it to a file with > plan.toml."""
    from nfkit.workflows.campaigning import initial_plan

    print(initial_plan(model, data), end="")


@campaign.command("status")
def status(folder: Folder, json: options.Json = None, report: options.Report = None) -> None:
    """Show what the measurements in a folder come to, also while somebody measures there."""
    from nfkit.cli import console
    from nfkit.workflows.campaign_folders import campaign_status

    console.check_outputs(json, report=report)
    console.show(campaign_status(folder), json, report)


@campaign.command("merge")
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders of campaigns, such as of several machines.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for all of them.")],
    json: options.Json = None,
) -> None:
    """Join the measurements of several folders in a new one; what contradicts each other is refused by name."""
    from nfkit.cli import console
    from nfkit.workflows.campaign_folders import merge_campaigns

    console.check_outputs(json)
    console.show(merge_campaigns(folders, output), json)


@campaign.command("export")
def export(
    folder: Folder,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="A file .csv or .parquet.")],
    force: options.Force = False,
) -> None:
    """Write all measurements as a table, one row each; .parquet holds each sample's answers as well."""
    from nfkit.cli import console
    from nfkit.workflows.campaign_folders import export_measurements

    console.check_outputs(None, {"-o": output}, force=force)
    print(f"{output}: {export_measurements(folder, output):,} measurements")
