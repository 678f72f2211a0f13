"""`nfkit search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options
from nfkit.errors import OptionError


def search(
    model: options.FrozenModel,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files, records and the front.")],
    data: options.FoundData = None,
    labels: options.Labels = "data",
    allow_low_accuracy: options.AllowLowAccuracy = False,
    widths: Annotated[
        str | None,
        typer.Option("--widths", metavar="W[,W..]", help="Of hint generators; by default the widest and halves of it."),
    ] = None,
    generator: Annotated[
        list[str] | None, typer.Option("--generator", help="Another generator to try besides; repeat.")
    ] = None,
    energy_budget: options.EnergyBudget = None,
    test_data: options.TestData = None,
    minutes: options.Minutes = None,
    epochs: options.Epochs = None,
    seed: options.Seed = 0,
    copies: options.Copies = 4,
    batch: options.Batch = 128,
    mirror: options.Mirror = None,
    shift: options.Shift = 0,
    precision: options.Precision = "auto",
    ber: options.TrainedBer = None,
    vdd: options.OneVdd = None,
    curve: options.CurveName = "stutz-2021",
    extrapolate: options.Extrapolate = False,
    kind: options.Kind = "stuck",
    layout_map: options.LayoutName = "iid",
    set_share: options.SetShare = 0.5,
    protect_bit: options.ProtectBits = None,
    protect_top: options.ProtectTop = 0,
    protect_site: options.ProtectSites = None,
    storage: options.Storage = "as-stored",
    ecc: options.Ecc = "none",
    chips: options.Chips = 10,
    optimization: options.Level = "all",
    layout: options.InputLayout = None,
    range_: options.Range = None,
    mean: options.Mean = None,
    std: options.Std = None,
    force: Annotated[bool, typer.Option("--force", help="Replace candidates of other settings.")] = False,
    json: options.Json = None,
) -> None:
    """Train generators of several sizes, and show which give the most accuracy for the energy that they save.

    A search that was killed goes on when the same command is given again; finished candidates are not trained again.
    Ctrl-C ends the candidate and the search early, with what was found so far.
    """
    from nfkit.cli import console
    from nfkit.workflows.search import search as run

    console.check_outputs(json, models={"the model": model}, files={"the data": data, "the test data": test_data})
    result = run(
        model, data, output, test=test_data,
        labels=labels, allow_low_accuracy=allow_low_accuracy,  # type: ignore[arg-type]
        widths=_parse_widths(widths), generators=generator or (),
        energy_budget=options.parse_share(energy_budget), ber=ber, vdd=vdd, curve=curve, extrapolate=extrapolate,
        kind=kind, set_share=set_share, protected_bits=tuple(protect_bit or ()), protected_top=protect_top,
        protected_sites=tuple(protect_site or ()), storage=storage, ecc=ecc,
        layout=layout_map, minutes=minutes, epochs=epochs, mirror=mirror,
        copies=copies, batch=batch, shift=shift, seed=seed, precision=precision,
        chips=chips, level=optimization, force=force,  # type: ignore[arg-type]
        command=console.command_line(), on_stage=console.note, on_progress=console.ProgressDisplay(),
        **options.input_settings(layout, range_, mean, std),
    )  # fmt: skip
    console.show(result, json)
    if json != "-":
        print(f"{output}: files, records and front.json of {len(result.points)} generators")


def _parse_widths(text: str | None) -> list[int]:
    if text is None:
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise OptionError(f"--widths {text!r}: give whole numbers separated by commas, such as 16,32,64") from None
