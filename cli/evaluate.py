"""`nfkit evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nfkit.cli import options
from nfkit.errors import OptionError


def evaluate(
    model: Annotated[
        Path | None, typer.Argument(help="ONNX file; by default the only *.nf.onnx in this folder.")
    ] = None,
    data: options.Data = "",
    ber: Annotated[
        list[float] | None, typer.Option("--ber", help="Bit error rate per cell; repeat for several.")
    ] = None,
    vdd: options.Vdd = None,
    curve: options.CurveName = "stutz-2021",
    extrapolate: options.Extrapolate = False,
    bits: Annotated[
        list[int] | None,
        typer.Option("--bits", min=2, help="Requantise the base's weights to so many bits; repeat for several."),
    ] = None,
    kind: options.Kind = "stuck",
    layout_map: options.LayoutName = "iid",
    set_share: options.SetShare = 0.5,
    protect_bit: options.ProtectBits = None,
    protect_top: options.ProtectTop = 0,
    protect_site: options.ProtectSites = None,
    storage: options.Storage = "as-stored",
    ecc: options.Ecc = "none",
    chips: Annotated[int, typer.Option("--chips", min=1, help="How many chips to measure.")] = 10,
    first_chip: Annotated[int, typer.Option("--first-chip", min=0, help="Seed of the first chip.")] = 50_000,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Use only the first samples.")] = None,
    fault_generator: Annotated[
        bool, typer.Option("--fault-generator", help="Let errors hit the generator's weights as well.")
    ] = False,
    latency: Annotated[
        bool, typer.Option("--latency", help="Time base and protected model too, by turns, at batches 1 and 64.")
    ] = False,
    latency_batch: Annotated[
        int | None, typer.Option("--latency-batch", min=1, metavar="N", help="The same at batches 1 and N.")
    ] = None,
    optimization: options.Level = "all",
    layout: options.InputLayout = None,
    range_: options.Range = None,
    mean: options.Mean = None,
    std: options.Std = None,
    json: options.Json = None,
) -> None:
    """Measure accuracy under bit errors: rates x chips, of the base and of the protected model.

    With --bits, for bits x rates x chips: the paper's experiment of lower precision without retraining.
    """
    from nfkit.cli import console
    from nfkit.workflows.evaluation import evaluate as run
    from nfkit.workflows.evaluation import evaluate_precisions

    path = model or _only_fused_file()
    console.check_outputs(json, models={"the model": path}, files={"the data": data or None, "the curve": curve})
    if not data:
        raise OptionError("nothing to measure on: give --data, such as --data test.npz or --data fashion-mnist")
    if bits and (latency or latency_batch):
        raise OptionError("--bits changes weights, not times: give --latency in a run of its own")
    settings: dict[str, Any] = {
        "ber": ber, "vdd": vdd, "curve": curve, "extrapolate": extrapolate, "kind": kind, "set_share": set_share,
        "protected_bits": tuple(protect_bit or ()), "protected_top": protect_top,
        "protected_sites": tuple(protect_site or ()), "storage": storage, "ecc": ecc, "layout": layout_map,
        "chips": chips, "first_chip": first_chip, "samples": samples, "fault_generator": fault_generator,
        "level": optimization, "on_progress": console.ProgressDisplay(),
        **options.input_settings(layout, range_, mean, std),
    }  # fmt: skip
    if bits:
        console.show(evaluate_precisions(path, data, bits, **settings), json)
    else:
        batch = latency_batch or (64 if latency else None)
        console.show(run(path, data, latency_batch=batch, **settings), json)


def _only_fused_file() -> Path:
    found = sorted(Path().glob("*.nf.onnx"))
    if len(found) != 1:
        listed = ", ".join(f"'{path}'" for path in found) or "none"
        raise OptionError(
            f"which model? This folder's protected models (*.nf.onnx): {listed}; name the file to measure"
        )
    return found[0]
