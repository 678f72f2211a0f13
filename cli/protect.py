"""`nfkit protect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nfkit.cli import options
from nfkit.errors import OptionError


def protect(
    model: Annotated[str, typer.Argument(help="Quantised ONNX file, never changed; or https://HOST/v2/models/NAME.")],
    data: options.FoundData = None,
    test_data: options.TestData = None,
    labels: options.Labels = "data",
    allow_low_accuracy: options.AllowLowAccuracy = False,
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
    answer: Annotated[
        str, typer.Option("--answer", help="Who answers: base (as published), both base and generator, or auto.")
    ] = "auto",
    residual: Annotated[
        bool | None,
        typer.Option("--residual/--no-residual", help="Whether the generator changes the base's input too."),
    ] = None,
    early: Annotated[
        bool, typer.Option("--early", help="Spare the base where the generator is sure of its answer.")
    ] = False,
    trust_data: Annotated[
        str | None,
        typer.Option("--trust-data", help="Samples that the base has not seen, to fit its trust; like --data."),
    ] = None,
    base_accuracy: Annotated[
        str | None, typer.Option("--base-accuracy", metavar="SHARE", help="Or what it scores on such samples.")
    ] = None,
    teaching: Annotated[
        float | None, typer.Option("--teaching", help="Weight of the base's own answers in teaching the generator.")
    ] = None,
    shift: Annotated[
        int | None, typer.Option("--shift", help="Augment: largest random shift in pixels; 0, or 2 with --answer both.")
    ] = None,
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
    early_loss: Annotated[
        float | None,
        typer.Option(
            "--early-loss",
            metavar="SHARE",
            help="Accuracy that answers without the base may cost; 0.005, and 0.01 behind an address.",
        ),
    ] = None,
    queries: options.Queries = None,
    call_batch: options.CallBatch = None,
    concurrency: options.Concurrency = None,
    timeout: options.Timeout = None,
    answers: options.AnswersFile = None,
    endpoint_input: options.EndpointInput = None,
    output_tensor: options.EndpointOutput = None,
    classes: options.Classes = None,
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Train a generator for a frozen model and fuse the two into one file that withstands bit errors.

    For a base behind an address, it trains a generator that only looks, fits trust in both by asking the base, and
    writes the front alone, for nfkit.Guarded.

    Ctrl-C ends the training early and still gives a valid file. A run that was killed goes on when the same command
    is given again.
    """
    from nfkit.access.address import is_address
    from nfkit.cli import console
    from nfkit.cli.remote import Remote, protect_address
    from nfkit.model import default_output
    from nfkit.workflows.protection import DEFAULT_EARLY_LOSS
    from nfkit.workflows.protection import protect as run

    remote = Remote(
        queries, call_batch, concurrency, timeout, answers, endpoint_input, output_tensor, classes,
        early_loss=early_loss if is_address(model) else None,
    )  # fmt: skip
    if is_address(model):
        if ber is not None or vdd is not None or energy_budget is not None:
            raise OptionError(
                "--ber, --vdd and --energy-budget are for files: behind an address nothing is simulated or counted"
            )
        protect_address(
            model, data, test_data, labels, output, remote, generator, epochs, minutes, batch, mirror, shift or 0, seed,
            optimization, (layout, range_, mean, std), force, json,
        )  # fmt: skip
        return
    remote.refuse()
    output = output or default_output(Path(model))
    files = {"the data": data, "the test data": test_data, "the curve": curve}
    console.check_outputs(json, {"-o": output}, models={"the model": Path(model)}, files=files, force=force)
    settings: dict[str, Any] = {"shift": shift, "teaching": teaching}
    chosen = {name: value for name, value in settings.items() if value is not None}
    result = run(
        model, data, test_data, output=output,
        labels=labels, allow_low_accuracy=allow_low_accuracy,  # type: ignore[arg-type]
        ber=ber, vdd=vdd, curve=curve, extrapolate=extrapolate, layout=layout_map,
        kind=kind, set_share=set_share, protected_bits=tuple(protect_bit or ()), protected_top=protect_top,
        protected_sites=tuple(protect_site or ()), storage=storage, ecc=ecc,
        generator=generator, energy_budget=options.parse_share(energy_budget), allow_loss=allow_loss,
        minutes=minutes, epochs=epochs, mirror=mirror, copies=copies, passes=passes, weight=weight, batch=batch,
        warm_start=warm_start, amplitude=amplitude, caution=caution, seed=seed, precision=precision,
        answer=answer, residual=residual, early=early,
        early_loss=DEFAULT_EARLY_LOSS if early_loss is None else early_loss,
        trust_data=trust_data,
        base_accuracy=None if base_accuracy is None else options.parse_percent("--base-accuracy", base_accuracy),
        **chosen,
        generator_precision=generator_precision,  # type: ignore[arg-type]
        chips=chips, level=optimization, force=force,  # type: ignore[arg-type]
        record=None if json in (None, "-") else Path(str(json)), command=console.command_line(),
        on_stage=console.note, on_progress=console.ProgressDisplay(),
        **options.input_settings(layout, range_, mean, std),
    )  # fmt: skip
    console.show(result, "-" if json == "-" else None)
