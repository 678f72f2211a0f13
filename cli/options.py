"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.errors import OptionError

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
Confidence = Annotated[
    str,
    typer.Option(
        "--confidence",
        metavar="SHARE",
        help="How surely no more is lost: at 50% the measured loss decides, at 97.5% the end of its 95 % interval.",
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
Kind = Annotated[str, typer.Option("--kind", metavar="stuck|flip|asymmetric", help="What a faulty cell does.")]
SetShare = Annotated[float, typer.Option("--set-share", help="Share of errors that write a 1 (stuck, asymmetric).")]
MemoryLayout = Annotated[
    str,
    typer.Option(
        "--memory-layout",
        metavar="LAYOUT",
        help="Which cell holds what: iid, array[:ROWSxCOLUMNS], reference, cluster[:BLOCK:SHAPE], measured:FOLDER.",
    ),
]
OldMemoryLayout = Annotated[str | None, typer.Option("--layout-map", hidden=True)]
ProtectTop = Annotated[
    int, typer.Option("--protect-top", min=0, metavar="N", help="How many top bits of every weight never err.")
]
ProtectBits = Annotated[
    list[int] | None, typer.Option("--protect-bit", help="A bit position that never errs, 0 the lowest; repeat.")
]
ProtectSites = Annotated[
    list[str] | None, typer.Option("--protect-site", help="Pattern of weight sites that never err; repeat.")
]
Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        metavar="as-stored|twos-complement|sign-magnitude|offset-binary|gray",
        help="Which word of bits stands for which code.",
    ),
]
Ecc = Annotated[
    str,
    typer.Option(
        "--ecc",
        metavar="none|secded-32|secded-64|secded-32-zero|secded-64-zero",
        help="Error correction: of two errors a word comes back as read, or with -zero as 0.",
    ),
]
CurveName = Annotated[
    str, typer.Option("--curve", metavar="NAME|CSV", help="Voltage curve: stutz-2021, neuralfuse, or a CSV file.")
]
AnyCurve = Annotated[
    str | None, typer.Option("--curve", metavar="NAME|CSV", help="Voltage curve; by default that of the preset.")
]
Extrapolate = Annotated[bool, typer.Option("--extrapolate", help="Go on beyond the ends of the curve.")]
Chips = Annotated[int, typer.Option("--chips", min=1, max=950_000, help="Unseen chips to measure on.")]
Chip = Annotated[int, typer.Option("--chip", min=0, help="Seed of the chip.")]
Json = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help="Write the record as JSON; - for stdout.")]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="HTML", help="Show it as a page too, as nfkit report does.")
]
Level = Annotated[str, typer.Option("--optimization", metavar="none|basic|extended|all", help="ONNX Runtime's level.")]
InputLayout = Annotated[
    str | None, typer.Option("--input-layout", metavar="NCHW|NHWC|NHW|NC", help="Order of the input's axes.")
]
OldInputLayout = Annotated[str | None, typer.Option("--layout", metavar="NCHW|NHWC|NHW|NC", hidden=True)]
Range = Annotated[
    tuple[float, float] | None, typer.Option("--range", metavar="LOW HIGH", help="Valid range of the input.")
]
Mean = Annotated[
    str | None,
    typer.Option("--mean", metavar="M[,M..]", help="Mean that images in [0, 1] were normalised with."),
]
Std = Annotated[str | None, typer.Option("--std", metavar="S[,S..]", help="Standard deviation to go with it.")]


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
