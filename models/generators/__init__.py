"""Generators: the trainable networks that go in front of a frozen model.

Importing this package does not import torch; building a generator does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nfkit.errors import OptionError

if TYPE_CHECKING:
    from nfkit.models.generators.base import Generator

__all__ = ["GENERATORS", "HINTS", "PUBLISHED", "build", "count_parameters", "is_hint"]

PUBLISHED: tuple[str, ...] = ("conv-l", "conv-s", "deconv-l", "deconv-s", "unet-l", "unet-s")
"""The generators of the paper, large before small."""

HINTS: tuple[str, ...] = ("hint-128", "hint-96", "hint-64", "hint-48", "hint-32", "hint-16", "hint-8")
"""Hint generators by width, large before small; `build` knows every multiple of 8."""

GENERATORS: tuple[str, ...] = (*PUBLISHED, *HINTS, "pattern")
"""Names that `build` knows; `pattern` is the baseline without a network."""

_HINT = re.compile(r"hint(\d+)")


def build(
    name: str,
    channels: int,
    size: tuple[int, int] | None = None,
    classes: int | None = None,
    amplitude: float = 1.0,
    caution: float = 4.0,
    evidence: bool = False,
) -> Generator:
    """Builds an untrained generator, with torch's present random state as the source of its weights.

    Args:
        name: One of `GENERATORS`; case and hyphens do not matter, so `ConvL` is `conv-l`.
        channels: Channels C of the images.
        size: Height and width of the images. Only `pattern` and the hints need it; the others take any size.
        classes: Number of classes; only the hints need it.
        amplitude: Bound of the hints' patterns, in units of the input's half range.
        caution: How fast the hints' patterns fade with the evidence; above 0.
        evidence: Whether a published generator gets a linear head on its bottleneck, as the hints have.

    Returns:
        A generator in training mode.

    Raises:
        OptionError: There is no generator of this name, `channels` is below 1, or it needs a size or the classes
            and got none.
    """
    key = _key(name)
    hint = _HINT.fullmatch(key)
    if not hint and key not in {known.replace("-", "") for known in GENERATORS}:
        raise OptionError(f"There is no generator {name!r}: choose one of {', '.join(GENERATORS)}.")
    if channels < 1:
        raise OptionError(f"A generator needs images of at least one channel, got {channels}.")
    if classes is not None and classes < 1:
        raise OptionError(f"A generator tells at least one class, got {classes}.")

    if hint:
        from nfkit.models.generators.hint import Hint

        if size is None or classes is None:
            raise OptionError(f"The generator {name!r} needs to know the image size and the number of classes.")
        return Hint(channels, size, classes, int(hint[1]), amplitude, caution)

    if key == "pattern":
        from nfkit.models.generators.pattern import Pattern

        if size is None:
            raise OptionError("The generator 'pattern' needs to know the image size (height, width).")
        return Pattern(channels, size)

    from nfkit.models.generators.conv import ConvL, ConvS
    from nfkit.models.generators.deconv import DeConvL, DeConvS
    from nfkit.models.generators.unet import UNetL, UNetS

    for architecture in (ConvL, ConvS, DeConvL, DeConvS, UNetL, UNetS):
        if architecture.__name__.lower() == key:
            generator = architecture(channels)
            if evidence:
                if classes is None:
                    raise OptionError(f"Evidence of the generator {name!r} needs the number of classes.")
                generator.add_head(classes)
            return generator
    raise AssertionError(f"{name!r} is listed, but has no class")


def is_hint(name: str) -> bool:
    """Whether a name is that of a hint, which tells classes apart by itself."""
    return _HINT.fullmatch(_key(name)) is not None


def _key(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def count_parameters(name: str, channels: int = 3, size: tuple[int, int] = (32, 32), classes: int = 10) -> int:
    """Numbers that training a generator adjusts; the arguments are those of `build`.

    Raises:
        OptionError: As `build` does.
    """
    import torch

    with torch.device("meta"):  # neither memory nor random numbers for weights that nobody reads
        return sum(parameter.numel() for parameter in build(name, channels, size, classes).parameters())
