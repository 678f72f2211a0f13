"""`nfkit modes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def modes(
    protected: Annotated[Path, typer.Argument(help="A protected model (*.nf.onnx).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the file with modes.")],
    data: options.FoundData = None,
    ber: Annotated[
        list[str] | None,
        typer.Option("--ber", metavar="RATE[,..]", help="Rates of the levels; all that trust is fitted for."),
    ] = None,
    default: Annotated[
        str | None, typer.Option("--default", metavar="MODE", help="The mode where a host names none.")
    ] = None,
    curve: options.CurveName = "stutz-2021",
    chips: Annotated[int, typer.Option("--chips", min=1, help="Chips to measure the modes on.")] = 10,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Use only the first samples.")] = None,
    optimization: options.Level = "all",
    remove: Annotated[bool, typer.Option("--remove", help="Take the modes out again; the present one stays.")] = (
        False
    ),
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Give a protected file modes that a host switches while it runs: nominal, and levels of low voltage.

    In the mode nominal the output is the base's own, bit for bit, and the generator does not run.
    """
    from nfkit.cli import console
    from nfkit.cli.grouped import parse_shares
    from nfkit.graph.fusion.modes.record import mode_of
    from nfkit.graph.fusion.modes.taking import plain
    from nfkit.model import load, save, sha256
    from nfkit.workflows.switching import build_modes

    console.check_outputs(
        json, {"-o": output}, models={"the model": protected}, files={"the data": data}, force=force
    )  # fmt: skip
    if remove:
        model = load(protected)
        mode = mode_of(model).name
        restored = plain(model)
        save(restored, output)
        record = {"schema": "nfkit.modes-removed/1", "output": {"path": str(output), "sha256": sha256(restored)}}
        console.write_json({**record, "mode": mode}, json)
        if json != "-":
            print(f"{output}: without modes, as it was in '{mode}'")
        return
    with console.working("nothing is written") as display:
        found = build_modes(
            protected, output, data, ber=parse_shares("--ber", ber), default=default, curve=curve, chips=chips,
            samples=samples, level=optimization, on_stage=display.say, on_progress=display,  # type: ignore[arg-type]
        )  # fmt: skip
    console.show(found, json)
