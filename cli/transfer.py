"""`nfkit transfer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options
from nfkit.errors import OptionError


def transfer(
    protected: Annotated[Path, typer.Argument(help="A protected model (*.nf.onnx), whose generator is wanted.")],
    model: Annotated[
        str,
        typer.Argument(help="Another base of the same input and classes: an ONNX file, never changed, or an address."),
    ],
    data: Annotated[
        str, typer.Option("--data", help="Labelled samples to fit trust on, that neither was trained on.")
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="By default MODEL.nf.onnx beside the base, or NAME.front.onnx here."),
    ] = None,
    keep_patterns: Annotated[
        bool, typer.Option("--keep-patterns", help="Move the whole generator as it is; nothing is fitted.")
    ] = False,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Use only the first samples.")] = None,
    ber: options.OneBer = None,
    kind: options.Kind = "stuck",
    layout_map: options.LayoutName = "iid",
    chips: options.Chips = 10,
    early_loss: Annotated[
        float | None,
        typer.Option(
            "--early-loss",
            metavar="SHARE",
            help="Accuracy that answers without the base may cost; by default none for a file, 0.01 behind an address.",
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
    optimization: options.Level = "all",
    layout: options.InputLayout = None,
    range_: options.Range = None,
    mean: options.Mean = None,
    std: options.Std = None,
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Give the evidence of a trained generator to another base, such as one without gradients, or behind an address.

    Its patterns are dropped: they drive the base that they were trained on, and mislead others. How far the other base
    and the evidence are trusted is fitted on every other sample of --data, and the result measured on the rest: for a
    file on simulated chips at --ber, for an address on its own answers, each asked for once. What comes out for an
    address is a front, for nfkit.Guarded.
    """
    from nfkit.access.address import is_address, parse_address
    from nfkit.cli import console
    from nfkit.cli.remote import Remote, transfer_to_address
    from nfkit.data import load as load_data
    from nfkit.faults import BitErrors, parse_layout
    from nfkit.model import default_output, load
    from nfkit.workflows.transfer import transfer_as_it_is, transfer_to_file

    remote = Remote(queries, call_batch, concurrency, timeout, answers, endpoint_input, output_tensor, classes)
    behind, form = is_address(model), (layout, range_, mean, std)
    if not data and not keep_patterns:
        raise OptionError(
            "trust in another base is fitted on labelled samples: give --data, or --keep-patterns to move the whole "
            "generator as it is"
        )
    if not behind:
        remote.refuse()
    target = output or (Path(f"{parse_address(model).name}.front.onnx") if behind else default_output(Path(model)))
    models = {"the protected model": protected} | ({} if behind else {"the model": Path(model)})
    console.check_outputs(json, {"-o": target}, models=models, files={"the data": data or None}, force=force)
    fused = load(protected)
    if behind:
        if keep_patterns or ber is not None:
            raise OptionError("--keep-patterns and --ber are for files: behind an address nothing is simulated")
        loss = 0.01 if early_loss is None else early_loss
        result = transfer_to_address(fused, model, data, samples, target, remote, loss, optimization, form)
    else:
        base = load(Path(model))
        spec = options.make_spec(base, *form)
        if keep_patterns:
            result = transfer_as_it_is(fused, base, spec, target)
        else:
            dataset = load_data(data, "test", spec.image_shape)
            with console.working("nothing is written") as display:
                result = transfer_to_file(
                    fused, base, spec, dataset.take(min(samples or len(dataset), len(dataset))), target,
                    BitErrors(0.01 if ber is None else ber, kind), parse_layout(layout_map),
                    chips=chips, early_loss=early_loss, level=optimization,  # type: ignore[arg-type]
                    on_progress=display,
                )  # fmt: skip
    console.write_json({**result.to_dict(), "from": str(protected), "base": model}, json)
    if json != "-":
        print("\n".join(result.sentences()))
