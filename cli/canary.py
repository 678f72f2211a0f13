"""`nfkit canary`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def canary(
    switched: Annotated[Path, typer.Argument(help="A file with modes, as nfkit modes writes it.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write the canary; beside the file by default.")
    ] = None,
    data: options.FoundData = None,
    n: Annotated[int, typer.Option("-n", min=2, help="How many inputs to choose.")] = 32,
    least: Annotated[
        str | None,
        typer.Option("--least", metavar="SHARE", help="Accuracy below which to raise the voltage, such as 90%."),
    ] = None,
    chips: Annotated[int, typer.Option("--chips", min=3, help="Simulated chips at each of 8 rates.")] = 16,
    samples: Annotated[int, typer.Option("--samples", min=2, help="Choose among so many of the first samples.")] = 500,
    optimization: options.Level = "all",
    check: Annotated[
        Path | None, typer.Option("--check", metavar="CANARY", help="Ask a canary here in place of building one.")
    ] = None,
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Choose a few inputs by whose answers a device tells its bit error rate, its accuracy, and the best mode.

    No labels are needed where it runs. With --check the file is asked here, where its memory has no errors.
    """
    from nfkit.cli import console
    from nfkit.cli.grouped import parse_share
    from nfkit.workflows.canaries import SUFFIX, check_health, make_canary

    target = output or switched.with_name(switched.name.removesuffix(".onnx") + SUFFIX)
    models, files = {"the model": switched}, {"the canary": check, "the data": data}
    if check is not None:
        console.check_outputs(json, models=models, files=files)
        health = check_health(check, switched, level=optimization)  # type: ignore[arg-type]
        console.write_json({"schema": "nfkit.health/1", **health.to_dict()}, json)
        if json != "-":
            print(f"{switched}: {health.sentence()}")
        return
    console.check_outputs(json, {"-o": target}, models=models, files=files, force=force)
    with console.working("nothing is written") as display:
        made = make_canary(
            switched, target, data, n=n, least=None if least is None else parse_share("--least", least), chips=chips,
            samples=samples, level=optimization, on_stage=display.say, on_progress=display,  # type: ignore[arg-type]
        )  # fmt: skip
    record = {
        "schema": "nfkit.canary-made/1", "output": str(target), "n": len(made.x), "modes": list(made.modes),
        "rates": list(made.calibration.rates), "least": made.least, **made.about,
    }  # fmt: skip
    console.write_json(record, json)
    if json != "-":
        print(f"{target}: {len(made.x)} inputs of {samples}, for {chips} simulated chips at each of 8 rates")
        rows = [
            [f"{100 * rate:.2g} %", f"{100 * made.calibration.departures['answers'][i].mean():.0f}",
             *(f"{100 * accuracy:.1f}" for accuracy in made.accuracy[i].mean(0))]
            for i, rate in enumerate(made.calibration.rates)
        ]  # fmt: skip
        console.print_table(["bit error rate", "changed answers %", *made.modes], rows)
