"""`nfkit protect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def protect(
    model: options.FrozenModel,
    data: options.Data,
    test_data: options.TestData = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="By default MODEL.nf.onnx beside it.")] = None,
    generator: Annotated[
        str, typer.Option("--generator", help="Architecture, or auto: the widest hint within the energy budget.")
    ] = "auto",
    energy_budget: options.EnergyBudget = None,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Go on with a generator that costs more energy than it saves.")
    ] = False,
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
    minutes: options.Minutes = None,
    epochs: options.Epochs = None,
    copies: options.Copies = 4,
    passes: Annotated[int, typer.Option("--passes", help="How many of them see each sample, up to N.")] = 1,
    weight: Annotated[float, typer.Option("--weight", help="Weight of perturbed against clean (lambda).")] = 3.0,
    batch: options.Batch = 128,
    warm_start: Annotated[bool, typer.Option(help="Prepare the generator before EOPM.")] = True,
    amplitude: Annotated[float, typer.Option("--amplitude", help="Bound of the class patterns.")] = 1.0,
    caution: Annotated[
        float, typer.Option("--caution", help="How fast a hint's patterns fade where it is unsure of the class.")
    ] = 4.0,
    shift: options.Shift = 0,
    mirror: options.Mirror = None,
    seed: options.Seed = 0,
    precision: options.Precision = "auto",
    generator_precision: Annotated[
        str, typer.Option("--generator-precision", help="In the file: int8 or float.")
    ] = "int8",
    chips: options.Chips = 10,
    optimization: options.Level = "all",
    layout: options.InputLayout = None,
    range_: options.Range = None,
    mean: options.Mean = None,
    std: options.Std = None,
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Train a generator for a frozen model and fuse the two into one file that withstands bit errors.

    Ctrl-C ends the training early and still gives a valid file. A run that was killed goes on when the same command
    is given again.
    """
    from dataclasses import replace

    from nfkit.cli import console
    from nfkit.data import load_for_training
    from nfkit.errors import OptionError
    from nfkit.faults import parse_layout
    from nfkit.model import default_output, load
    from nfkit.plans.bare_base import milder_record
    from nfkit.plans.generator_choice import choose
    from nfkit.remedies.neuralfuse import protect as protect_model
    from nfkit.remedies.neuralfuse import require_torch

    require_torch()
    from nfkit.learn.config import TrainConfig

    output = output or default_output(model)
    files = {"the data": data, "the test data": test_data, "the curve": curve}
    console.check_outputs(json, {"-o": output}, models={"the model": model}, files=files, force=force)
    graph = load(model)
    spec = options.make_spec(graph, layout, range_, mean, std)
    strength = options.make_strength(ber, vdd, curve, extrapolate)
    config = TrainConfig(
        generator=generator,
        errors=options.make_errors(
            strength.rates, kind, set_share, protect_bit, protect_site, protect_top, storage, ecc
        )[0],
        layout=parse_layout(layout_map),
        epochs=epochs,
        minutes=options.find_minutes(minutes, epochs),
        copies=copies,
        passes=passes,
        weight=weight,
        batch=batch,
        warm_start=warm_start,
        amplitude=amplitude,
        caution=caution,
        mirror=bool(mirror),
        shift=shift,
        seed=seed,
        precision=precision,
    )
    budget = options.parse_share(energy_budget)
    choice = choose(graph, spec.image_shape, generator, strength.points[0], strength.curve, budget=budget)
    if choice.saving is not None and not choice.saving.pays and not allow_loss:
        instead = "Lower --energy-budget" if generator == "auto" else "Choose --generator auto"
        raise OptionError(f"{choice.reason}. {instead}, or add --allow-loss to go on")
    train, test = load_for_training(data, test_data, seed, spec.image_shape)
    console.note(choice.reason)
    config = replace(config, generator=choice.name, mirror=train.mirror if mirror is None else mirror)
    result = protect_model(
        model, train, test, spec, config, output,
        generator_precision=generator_precision,  # type: ignore[arg-type]
        chips=chips, level=optimization, force=force,  # type: ignore[arg-type]
        on_stage=console.note, on_progress=console.TrainingDisplay(),
    )  # fmt: skip
    measured = strength.at(entry["ber"] for entry in result.evaluation.summary())
    result.evaluation.settings.update(measured.to_record(load(result.output)))
    result.evaluation.settings.update(milder_record(result.evaluation.to_dict()))
    console.write_json(result.to_dict(), json)
    if json != "-":
        console.print_protection(result)
