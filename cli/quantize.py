"""`nfkit quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def quantize(
    model: Annotated[Path, typer.Argument(help="Float ONNX file; never changed.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the quantised model.")],
    data: options.FoundData = None,
    test_data: options.TestData = None,
    bits: Annotated[int, typer.Option("--bits", min=2, max=8, help="Bits of a weight; fewer than 8 in int8.")] = 8,
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="A weight scale for every output channel, not every tensor.")
    ] = False,
    symmetric: Annotated[
        bool, typer.Option("--symmetric", help="Activations in int8 with zero point 0 instead of uint8.")
    ] = False,
    format_: Annotated[str, typer.Option("--format", help="Form of the result: qdq.")] = "qdq",
    pack: Annotated[
        bool, typer.Option("--pack", help="Store codes of 4 or 2 bits in int4 or int2 (opset 21, 25).")
    ] = False,
    samples: Annotated[
        int, typer.Option("--calibration-samples", min=1, help="How many samples set the ranges.")
    ] = 512,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the split, where the data has none.")] = 0,
    optimization: options.Level = "all",
    layout: options.InputLayout = None,
    range_: options.Range = None,
    mean: options.Mean = None,
    std: options.Std = None,
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Quantise a float model: weights to 8 or fewer bits, activations to 8, with accuracy before and after."""
    from nfkit.cli import console
    from nfkit.data import load_for_training
    from nfkit.data.found import find_for_training
    from nfkit.measure.quantisation import quantize as quantize_model
    from nfkit.model import load

    console.check_outputs(
        json,
        {"-o": output},
        models={"the model": model},
        files={"the data": data, "the test data": test_data},
        force=force,
    )
    graph = load(model)
    spec = options.make_spec(graph, layout, range_, mean, std)
    if data is None:
        train, test, found = find_for_training(model, seed, spec.image_shape, test_data)
        console.note(found)
    else:
        train, test = load_for_training(data, test_data, seed, spec.image_shape)
    result = quantize_model(
        model, train.take(samples), test, spec, output,
        bits=bits, per_channel=per_channel, symmetric=symmetric, format=format_, pack=pack,
        level=optimization, force=force, on_stage=console.note,  # type: ignore[arg-type]
    )  # fmt: skip
    console.write_json(result.to_dict(), json)
    if json != "-":
        console.print_quantization(result)
