"""`nfkit search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfkit.cli import options
from nfkit.errors import OptionError

if TYPE_CHECKING:
    from nfkit.plans.front import Point, Search


def search(
    model: options.FrozenModel,
    data: options.Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files, records and the front.")],
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
    from dataclasses import replace

    from nfkit.cli import console
    from nfkit.data import load_for_training
    from nfkit.faults import parse_layout
    from nfkit.model import load
    from nfkit.plans.width_search import find_candidates
    from nfkit.plans.width_search import search as run_search
    from nfkit.remedies.neuralfuse import require_torch

    require_torch()
    from nfkit.learn.config import TrainConfig

    console.check_outputs(json, models={"the model": model}, files={"the data": data, "the test data": test_data})
    graph = load(model)
    spec = options.make_spec(graph, layout, range_, mean, std)
    strength = options.make_strength(ber, vdd, curve, extrapolate)
    config = TrainConfig(
        "auto",
        options.make_errors(
            strength.rates, kind, set_share, protect_bit, protect_site, protect_top, storage, ecc
        )[0],
        parse_layout(layout_map), epochs, options.find_minutes(minutes, epochs),
        copies=copies, batch=batch, seed=seed, shift=shift, precision=precision,
    )  # fmt: skip
    budget = options.parse_share(energy_budget)
    candidates, left_out = find_candidates(
        graph, spec.image_shape, strength, budget=budget, widths=_parse_widths(widths), generators=generator or ()
    )
    train, test = load_for_training(data, test_data, seed, spec.image_shape)
    config = replace(config, mirror=train.mirror if mirror is None else mirror)
    for saving in candidates:
        console.note(saving.verdict)
    if left_out:
        console.note(f"beyond the energy budget, so left out: {', '.join(left_out)}")
    result = run_search(
        model, train, test, spec, config, strength, [saving.name for saving in candidates], output,
        left_out=left_out, chips=chips, level=optimization, force=force,  # type: ignore[arg-type]
        command=console.command_line(), on_stage=console.note, on_progress=console.TrainingDisplay(),
    )  # fmt: skip
    console.write_json(result.to_dict(), json)
    if json != "-":
        _show(result, output)


def _parse_widths(text: str | None) -> list[int]:
    if text is None:
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise OptionError(f"--widths {text!r}: give whole numbers separated by commas, such as 16,32,64") from None


def _show(result: Search, folder: Path) -> None:
    from nfkit.cli.console import print_table

    headers = ["generator", "accesses of base", "energy saved", "CA (NF)", "PA", "PA (NF)", "RP", "generator alone"]
    front = result.front
    rows = [_row(point, point in front) for point in result.points]
    print(
        f"at a bit error rate of {result.strength.describe()}; accuracy in %, mean ± standard deviation over chips; "
        "clean (CA), perturbed (PA), with the generator (NF), recovered (RP)"
    )
    print_table([*headers, "on front", "recommended at", "bare base as good at"], rows)
    print(f"{folder}: files, records and front.json of {len(rows)} generators")


def _row(point: Point, on_front: bool) -> list[str]:
    return [
        point.generator,
        f"{100 * point.overhead:.1f} %",
        f"{100 * point.saving:.1f} %",
        f"{100 * point.clean:.1f}",
        *(f"{100 * mean:.1f} ± {100 * std:.1f}" for mean, std in (point.base, point.protected)),
        f"{100 * point.recovery[0]:+.1f} ± {100 * point.recovery[1]:.1f}",
        "–" if point.alone is None else f"{100 * point.alone:.1f}",
        "yes" if on_front else "no",
        ", ".join(f"{100 * rate:.3g} %" for rate in point.recommended) or "none",
        "none" if point.milder is None else f"{100 * point.milder:.3g} %",
    ]
