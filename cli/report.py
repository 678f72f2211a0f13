"""`nfkit report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped, parse_share
from nfkit.cli.groups import BASIC, ModelInput, Record


@dataclass(frozen=True)
class Written:
    """The page."""

    TITLE: ClassVar[str] = BASIC
    output: Annotated[Path, typer.Option("-o", "--output", help="The page to write.")] = Path("report.html")
    force: options.Force = False


@dataclass(frozen=True)
class Looking:
    """How ONNX files among the arguments are run."""

    TITLE: ClassVar[str] = "Single samples, of ONNX files"
    data: options.FoundData = None
    ber: Annotated[str, typer.Option("--ber", metavar="RATE", help="Bit error rate per cell, such as 1%.")] = "1%"
    kind: options.Kind = "stuck"
    chip: Annotated[int, typer.Option("--chip", min=0, help="Seed of the chip that has the errors.")] = 50_000
    samples: Annotated[int, typer.Option("--samples", min=1, help="How many of the first samples to run.")] = 300
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the map of scores.")] = 0


@grouped
def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Records, which nfkit wrote with --json; folders of campaigns; ONNX files, run on single samples."
        ),
    ],
    *,
    written: Written,
    looking: Looking,
    model_input: ModelInput,
    record: Record,
) -> None:
    """Show records and models as one HTML file: verdict, pictures, tables, and what the numbers depend on.

    Of an ONNX file it shows what a chip's errors do to single samples: what the generator adds to them, which classes
    are taken for which, how sure the answers are, and a map of the scores. The page needs no network and no script.
    """
    from nfkit.cli import console
    from nfkit.workflows.reporting import report as run

    output = written.output
    models = {f"the model '{path}'": path for path in files if path.suffix == ".onnx"}
    read: dict[str, str | Path | None] = {f"the file '{path}'": path for path in files if path.suffix != ".onnx"}
    console.check_outputs(
        record.json, {"-o": output}, models=models, files={**read, "the data": looking.data}, force=written.force
    )
    page = run(
        files, output, data=looking.data, ber=parse_share("--ber", looking.ber), kind=looking.kind, chip=looking.chip,
        samples=looking.samples, seed=looking.seed, on_stage=console.note, command=console.command_line(),
        **model_input.settings(),
    )  # fmt: skip
    size = page.stat().st_size if page.is_file() else 0
    said = {"schema": "nfkit.report/1", "output": str(output), "files": [str(path) for path in files], "bytes": size}
    console.write_json(said, record.json)
    if record.json != "-":
        print(f"{output}: {len(files)} file{'s' * (len(files) > 1)}, {size / 1000:.0f} KB")
