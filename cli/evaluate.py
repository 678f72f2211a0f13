"""`nfkit evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nfkit.cli import options
from nfkit.errors import OptionError


def evaluate(
    model: Annotated[
        str | None,
        typer.Argument(help="ONNX file, or https://HOST/v2/models/NAME; by default the only *.nf.onnx in this folder."),
    ] = None,
    data: options.FoundData = None,
    labels: options.Labels = "data",
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
    chip_behind: Annotated[
        bool,
        typer.Option("--chip-behind", help="Behind an address: estimate the bit error rate of the device there."),
    ] = False,
    clean: Annotated[
        Path | None, typer.Option("--clean", metavar="MODEL", help="Behind an address: the same model without errors.")
    ] = None,
    front: Annotated[
        Path | None, typer.Option("--front", metavar="FILE", help="Behind an address: measure it behind this front.")
    ] = None,
    queries: options.Queries = None,
    call_batch: options.CallBatch = None,
    concurrency: options.Concurrency = None,
    timeout: options.Timeout = None,
    answers: options.AnswersFile = None,
    endpoint_input: options.EndpointInput = None,
    output_tensor: options.EndpointOutput = None,
    classes: options.Classes = None,
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
    from nfkit.access.address import is_address
    from nfkit.cli import console
    from nfkit.cli.remote import Remote, evaluate_address
    from nfkit.energy import load_curve
    from nfkit.faults import BitErrors, parse_layout
    from nfkit.plans.operating_points import Scale
    from nfkit.workflows.evaluation import evaluate as run
    from nfkit.workflows.evaluation import evaluate_precisions
    from nfkit.workflows.inputs import find_strengths

    remote = Remote(
        queries,
        call_batch,
        concurrency,
        timeout,
        answers,
        endpoint_input,
        output_tensor,
        classes,
        clean,
        chip_behind,
        front=front,
    )
    if is_address(model):
        if labels != "data":
            raise OptionError("behind an address no clean base is known to give labels: --labels base is for files")
        if bits or latency or latency_batch or fault_generator or ((ber or vdd) and not chip_behind):
            raise OptionError(
                "behind an address nothing is changed or injected: --bits, --latency, --fault-generator and, without "
                "--chip-behind, --ber and --vdd are for files"
            )
        errors = BitErrors(
            0.0, kind, set_share, tuple(protect_bit or ()), tuple(protect_site or ()), protect_top, storage, ecc
        )  # fmt: skip
        scale = Scale(errors, errors.at(0.1).flips_per_cell() / 0.1, load_curve(curve), extrapolate)
        rates = [strength.rate for strength in find_strengths(scale, ber, vdd)[0]] if ber or vdd else None
        evaluate_address(
            str(model), data or "", samples, remote, rates, errors, parse_layout(layout_map),
            range(first_chip, first_chip + chips), optimization, (layout, range_, mean, std), json,
        )  # fmt: skip
        return
    remote.refuse()
    path = Path(model) if model else _only_fused_file()
    files = {"the data": data, "the curve": curve}
    console.check_outputs(json, models={"the model": path}, files=files)
    if bits and (latency or latency_batch):
        raise OptionError("--bits changes weights, not times: give --latency in a run of its own")
    settings: dict[str, Any] = {
        "ber": ber, "vdd": vdd, "curve": curve, "extrapolate": extrapolate, "kind": kind, "set_share": set_share,
        "protected_bits": tuple(protect_bit or ()), "protected_top": protect_top,
        "protected_sites": tuple(protect_site or ()), "storage": storage, "ecc": ecc, "layout": layout_map,
        "chips": chips, "first_chip": first_chip, "samples": samples, "labels": labels,
        "fault_generator": fault_generator, "level": optimization,
        "on_stage": console.note, "on_progress": console.ProgressDisplay(),
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
