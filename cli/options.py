"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nfkit.errors import OptionError

if TYPE_CHECKING:
    import onnx_ir as ir

    from nfkit.graph.input.spec import InputSpec

FrozenModel = Annotated[Path, typer.Argument(help="Quantised ONNX file; never changed.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Where to write the result.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
_DATA_HELP = "Samples: .npz, .npy, .parquet, a folder of images, fashion-mnist, cifar10, gtsrb, or FILE.py:FUNCTION"
Data = Annotated[str, typer.Option("--data", help=f"{_DATA_HELP}.")]
FoundData = Annotated[str | None, typer.Option("--data", help=f"{_DATA_HELP}; by default what lies beside the model.")]
Labels = Annotated[
    str,
    typer.Option(
        "--labels",
        metavar="data|base",
        help="Whose: data (its own), or base (the clean base's answers; accuracy is agreement).",
    ),
]
Can = Annotated[
    list[str] | None,
    typer.Option(
        "--can",
        metavar="robust-bits|storage|ecc|per-layer-voltage[,..]",
        help="What the chip can do besides a lower voltage.",
    ),
]
AllowLowAccuracy = Annotated[
    bool, typer.Option("--allow-low-accuracy", help="Go on where the base without errors is no better than chance.")
]
TestData = Annotated[str | None, typer.Option("--test-data", help="Samples to measure on; like --data.")]
EnergyBudget = Annotated[
    str | None,
    typer.Option("--energy-budget", metavar="SHARE", help="Largest share of the base's accesses, such as 2%."),
]
OneBer = Annotated[float | None, typer.Option("--ber", help="Bit error rate per cell; 0.01 by default.")]
Chips = Annotated[int, typer.Option("--chips", min=1, help="Unseen chips to measure the result on.")]
Kind = Annotated[str, typer.Option("--kind", help="What a faulty cell does: stuck, flip or asymmetric.")]
LayoutName = Annotated[
    str,
    typer.Option(
        "--memory-layout",
        "--layout-map",
        help="How cells hold weights: iid, array[:ROWSxCOLUMNS], reference, cluster[:BLOCK:SHAPE] or measured:FOLDER.",
    ),
]
SetShare = Annotated[float, typer.Option("--set-share", help="Share of errors that write a 1 (stuck and asymmetric).")]
ProtectBits = Annotated[
    list[int] | None,
    typer.Option("--protect-bit", help="A bit position that never errs, 0 the lowest; repeat."),
]
ProtectTop = Annotated[
    int,
    typer.Option("--protect-top", min=0, metavar="N", help="How many top bits of every site never err."),
]
ProtectSites = Annotated[
    list[str] | None, typer.Option("--protect-site", help="Pattern of weight sites that never err; repeat.")
]
Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        metavar="CODE",
        help="How memory holds a code: as-stored, twos-complement, sign-magnitude, offset-binary or gray.",
    ),
]
Ecc = Annotated[
    str,
    typer.Option(
        "--ecc",
        metavar="CODE",
        help="Error correction beside the weights: none, secded-32 or secded-64, which correct one error a word and "
        "return two as read, or secded-32-zero or secded-64-zero, which zero the word.",
    ),
]
Json = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help="Write the record as JSON; - for stdout.")]
Level = Annotated[str, typer.Option("--optimization", help="ONNX Runtime's level: none, basic, extended or all.")]
InputLayout = Annotated[
    str | None,
    typer.Option(
        "--input-layout", "--layout", help="Layout of the input, if it cannot be told: NCHW, NHWC, NHW or NC."
    ),
]
Range = Annotated[
    tuple[float, float] | None,
    typer.Option("--range", metavar="LOW HIGH", help="Valid range of the model's input."),
]
Mean = Annotated[
    str | None,
    typer.Option("--mean", metavar="M[,M..]", help="Mean that images in [0, 1] were normalised with."),
]
Std = Annotated[str | None, typer.Option("--std", metavar="S[,S..]", help="Standard deviation to go with it.")]


OneVdd = Annotated[
    float | None, typer.Option("--vdd", metavar="V", help="Supply voltage over Vmin in place of --ber, by the curve.")
]
CurveName = Annotated[
    str, typer.Option("--curve", metavar="NAME|CSV", help="Voltage curve: stutz-2021, neuralfuse, or a CSV file.")
]
Extrapolate = Annotated[bool, typer.Option("--extrapolate", help="Go on beyond the ends of the voltage curve.")]


Queries = Annotated[
    int | None,
    typer.Option("--queries", metavar="N", help="Behind an address: samples that may be sent, repetitions included."),
]
CallBatch = Annotated[
    int | None, typer.Option("--call-batch", metavar="N", help="Behind an address: samples a call; 64 by default.")
]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", metavar="N", help="Behind an address: calls at a time; 4 by default.")
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", help="Behind an address: time of one call; 120 by default."),
]
AnswersFile = Annotated[
    Path | None,
    typer.Option("--answers", metavar="FILE", help="Behind an address: where answers are kept, to be asked for once."),
]
EndpointInput = Annotated[
    str | None,
    typer.Option(
        "--input", metavar="NAME:TYPE:EXTENTS", help="Behind an address: its input, such as image:FP32:-1x3x32x32."
    ),
]
EndpointOutput = Annotated[
    str | None, typer.Option("--output-tensor", metavar="NAME", help="Behind an address: its output with the scores.")
]
Classes = Annotated[
    int | None, typer.Option("--classes", metavar="N", help="Behind an address: how many classes there are.")
]


def input_settings(
    layout: str | None, value_range: tuple[float, float] | None, mean: str | None, std: str | None
) -> dict[str, Any]:
    """What the options say of the model's input, as arguments of the library."""
    return {
        "input_layout": layout,
        "value_range": value_range,
        "mean": numbers("mean", mean),
        "std": numbers("std", std),
    }


def make_spec(
    model: ir.Model,
    layout: str | None,
    value_range: tuple[float, float] | None,
    mean: str | None,
    std: str | None,
) -> InputSpec:
    """The model's input: as recorded in a fused file, else from the graph and the options."""
    from nfkit.workflows.inputs import find_spec

    return find_spec(model, **input_settings(layout, value_range, mean, std))


def parse_can(given: list[str] | None) -> list[str]:
    """Names of what the chip can do, given once and again or separated by commas."""
    return [name.strip() for text in given or () for name in text.split(",") if name.strip()]


def parse_share(text: str | None) -> float | None:
    """A share, given as 2% or 0.02.

    Raises:
        OptionError: When it is neither.
    """
    if text is None:
        return None
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise OptionError(f"--energy-budget {text!r}: give a share of the base's accesses, such as 2% or 0.02")
    return share


def parse_percent(option: str, text: str) -> float:
    """A share of samples from 0 to 1, given as 0.5% or 0.005.

    Raises:
        OptionError: When it is neither.
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise OptionError(f"{option} {text!r}: give a share of the samples, such as 0.5% or 0.005")
    return share


def numbers(name: str, text: str | None) -> tuple[float, ...] | None:
    """Numbers given as one text, separated by commas."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--{name} {text!r}: give one number, or one a channel separated by commas") from None
