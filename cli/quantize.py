"""`nfkit quantize`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped
from nfkit.cli.groups import BASIC, ModelInput, Record


@dataclass(frozen=True)
class Samples:
    """What ranges are calibrated on, and what is written."""

    TITLE: ClassVar[str] = BASIC
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the quantised model.")]
    data: options.FoundData = None
    test_data: options.TestData = None
    calibration: Annotated[
        int, typer.Option("--calibration-samples", min=1, help="How many samples set the ranges.")
    ] = 512
    seed: Annotated[int, typer.Option("--seed", help="Seed of the split, where the data has none.")] = 0


@dataclass(frozen=True)
class Codes:
    """What the result stores."""

    TITLE: ClassVar[str] = "Form"
    bits: Annotated[int, typer.Option("--bits", min=2, max=8, help="Bits of a weight; fewer than 8 in int8.")] = 8
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="A weight scale for every output channel, not every tensor.")
    ] = False
    symmetric: Annotated[
        bool, typer.Option("--symmetric", help="Activations in int8 with zero point 0 instead of uint8.")
    ] = False
    format_: Annotated[str, typer.Option("--format", help="Form of the result: qdq.")] = "qdq"
    pack: Annotated[bool, typer.Option("--pack", help="Store codes of 4 or 2 bits in int4 or int2 (opset 21, 25).")] = (
        False
    )
    optimization: options.Level = "all"
    force: options.Force = False


@grouped
def quantize(
    model: Annotated[Path, typer.Argument(help="Float ONNX file; never changed.")],
    *,
    samples: Samples,
    codes: Codes,
    model_input: ModelInput,
    record_file: Record,
) -> None:
    """Quantise a float model: weights to 8 or fewer bits, activations to 8, with accuracy before and after."""
    from nfkit.cli import console
    from nfkit.data import load_for_training
    from nfkit.data.found import find_for_training
    from nfkit.measure.quantisation import quantize as quantize_model
    from nfkit.model import load
    from nfkit.workflows.inputs import find_spec

    data, test_data, seed, output, json = (
        samples.data,
        samples.test_data,
        samples.seed,
        samples.output,
        record_file.json,
    )
    files = {"the data": data, "the test data": test_data}
    console.check_outputs(json, {"-o": output}, models={"the model": model}, files=files, force=codes.force)
    graph = load(model)
    spec = find_spec(graph, **model_input.settings())
    if data is None:
        train, test, found = find_for_training(model, seed, spec.image_shape, test_data)
        console.note(found)
    else:
        train, test = load_for_training(data, test_data, seed, spec.image_shape)
    result = quantize_model(
        model, train.take(samples.calibration), test, spec, output,
        bits=codes.bits, per_channel=codes.per_channel, symmetric=codes.symmetric, format=codes.format_,
        pack=codes.pack, level=codes.optimization, force=codes.force,  # type: ignore[arg-type]
        on_stage=console.note,
    )  # fmt: skip
    console.write_record(result, json)
    if json != "-":
        console.print_quantization(result)
