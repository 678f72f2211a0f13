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
    chip_behind: Annotated[
        bool,
        typer.Option("--chip-behind", help="Behind an address: estimate the bit error rate of the device there."),
    ] = False,
    clean: Annotated[
        Path | None, typer.Option("--clean", metavar="MODEL", help="Behind an address: the same model without errors.")
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
    from nfkit.data import load as load_data
    from nfkit.faults import parse_layout
    from nfkit.measure.advice import advise
    from nfkit.measure.evaluation import evaluate as measure
    from nfkit.measure.latency import measure_latency
    from nfkit.measure.precision import evaluate_bits
    from nfkit.model import load
    from nfkit.plans.bare_base import milder_record
    from nfkit.reports.provenance import describe

    remote = Remote(
        queries, call_batch, concurrency, timeout, answers, endpoint_input, output_tensor, classes, clean, chip_behind
    )
    if is_address(model):
        if bits or latency or latency_batch or fault_generator or ((ber or vdd) and not chip_behind):
            raise OptionError(
                "behind an address nothing is changed or injected: --bits, --latency, --fault-generator and, without "
                "--chip-behind, --ber and --vdd are for files"
            )
        rates = options.make_strengths(ber, vdd, curve, extrapolate).rates if ber or vdd else None
        errors = options.make_errors([0.0], kind, set_share, protect_bit, protect_site, protect_top, storage, ecc)
        evaluate_address(
            str(model), data, samples, remote, rates, errors[0], parse_layout(layout_map),
            range(first_chip, first_chip + chips), optimization, (layout, range_, mean, std), json,
        )  # fmt: skip
        return
    remote.refuse()
    path = Path(model) if model else _only_fused_file()
    files = {"the data": data or None, "the curve": curve}
    console.check_outputs(json, models={"the model": path}, files=files)
    graph = load(path)
    strengths = options.make_strengths(ber, vdd, curve, extrapolate)
    errors = options.make_errors(strengths.rates, kind, set_share, protect_bit, protect_site, protect_top, storage, ecc)
    if not data:
        raise OptionError("nothing to measure on: give --data, such as --data test.npz or --data fashion-mnist")
    spec = options.make_spec(graph, layout, range_, mean, std)
    dataset = load_data(data, "test", spec.image_shape)
    dataset = dataset.take(min(samples, len(dataset))) if samples else dataset
    settings: dict[str, Any] = {
        "chips": range(first_chip, first_chip + chips),
        "layout": parse_layout(layout_map),
        "fault_generator": fault_generator,
        "level": optimization,
    }
    if bits:
        if latency or latency_batch:
            raise OptionError("--bits changes weights, not times: give --latency in a run of its own")
        sweep = evaluate_bits(graph, dataset, spec, errors, bits, **settings, on_row=console.note_row)
        sweep.settings.update(describe(path, graph, dataset))
        console.write_json(sweep.to_dict(), json)
        if json != "-":
            console.print_precision(sweep)
        return
    result = measure(graph, dataset, spec, errors, **settings)
    result.settings.update(describe(path, graph, dataset))
    result.settings.update(strengths.to_record(graph))
    result.settings.update(milder_record(result.to_dict()))
    record, times = result.to_dict(), []
    if latency or latency_batch:
        batch = latency_batch or 64
        times = measure_latency(
            graph,
            spec.encode(dataset.take(batch).x),
            batches=(1, batch),
            level=optimization,  # type: ignore[arg-type]
        )
        record["latency"] = {str(entry.batch): entry.to_dict() for entry in times}
    advice = advise(result)
    if advice is not None:
        record["advice"] = advice.to_dict()
    console.write_json(record, json)
    if json != "-":
        console.print_evaluation(result)
        if advice is not None:
            print(advice.sentence())
        if times:
            console.print_latency(times)


def _only_fused_file() -> Path:
    found = sorted(Path().glob("*.nf.onnx"))
    if len(found) != 1:
        listed = ", ".join(f"'{path}'" for path in found) or "none"
        raise OptionError(
            f"which model? This folder's protected models (*.nf.onnx): {listed}; name the file to measure"
        )
    return found[0]
