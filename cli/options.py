"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nfkit.errors import OptionError

if TYPE_CHECKING:
    import onnx_ir as ir

    from nfkit.faults import BitErrors
    from nfkit.graph.interface import InputSpec

Data = Annotated[
    str,
    typer.Option(
        "--data",
        help="Samples: FILE.npz (x, y), a folder of images, fashion-mnist, cifar10, gtsrb, or module:function.",
    ),
]
Kind = Annotated[str, typer.Option("--kind", help="What a faulty cell does: stuck, flip or asymmetric.")]
LayoutName = Annotated[
    str, typer.Option("--layout-map", help="How cells hold weights: iid, array[:ROWSxCOLUMNS] or reference.")
]
SetShare = Annotated[float, typer.Option("--set-share", help="Share of errors that write a 1 (stuck and asymmetric).")]
ProtectBits = Annotated[
    list[int] | None,
    typer.Option("--protect-bit", help="A bit position that never errs, 0 the lowest; repeat."),
]
ProtectSites = Annotated[
    list[str] | None, typer.Option("--protect-site", help="Pattern of weight sites that never err; repeat.")
]
Json = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help="Write the record as JSON; - for stdout.")]
Level = Annotated[str, typer.Option("--optimization", help="ONNX Runtime's level: none, basic, extended or all.")]
InputLayout = Annotated[
    str | None,
    typer.Option("--layout", help="Layout of the input, if it cannot be told: NCHW, NHWC, NHW or NC."),
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


def make_errors(
    rates: list[float], kind: str, set_share: float, bits: list[int] | None, sites: list[str] | None
) -> list[BitErrors]:
    """Bit errors of one kind at several rates."""
    from nfkit.faults import BitErrors

    return [
        BitErrors(rate, kind, set_share, tuple(bits or ()), tuple(sites or ()))  # type: ignore[arg-type]
        for rate in rates
    ]


def make_spec(
    model: ir.Model,
    layout: str | None,
    value_range: tuple[float, float] | None,
    mean: str | None,
    std: str | None,
) -> InputSpec:
    """The model's input: as recorded in a fused file, else from the graph and the options."""
    import json

    from nfkit.graph.discovery import find_input
    from nfkit.graph.fuse import INPUT_KEY
    from nfkit.graph.interface import InputSpec

    given = layout or value_range or mean or std
    if INPUT_KEY in model.metadata_props and not given:
        return InputSpec.from_dict(json.loads(model.metadata_props[INPUT_KEY]))
    return find_input(
        model, layout=layout, value_range=value_range, mean=_numbers("mean", mean), std=_numbers("std", std)
    )


def _numbers(name: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--{name} {text!r}: give one number, or one a channel separated by commas") from None
