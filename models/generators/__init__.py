"""Generators: the trainable networks that go in front of a frozen model.

Importing this package does not import torch; building a generator does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfkit.errors import OptionError

if TYPE_CHECKING:
    from nfkit.models.generators.base import Generator

__all__ = ["GENERATORS", "build", "count_parameters"]

GENERATORS: tuple[str, ...] = ("conv-l", "conv-s", "deconv-l", "deconv-s", "unet-l", "unet-s", "pattern")
"""Names that `build` knows, large before small; `pattern` is the baseline without a network."""


def build(name: str, channels: int, size: tuple[int, int] | None = None) -> Generator:
    """Builds an untrained generator, with torch's present random state as the source of its weights.

    Args:
        name: One of `GENERATORS`; case and hyphens do not matter, so `ConvL` is `conv-l`.
        channels: Channels C of the images.
        size: Height and width of the images. Only `pattern` needs it; the others take any size.

    Returns:
        A generator in training mode.

    Raises:
        OptionError: There is no generator of this name, `channels` is below 1, or `pattern` got no size.
    """
    key = name.lower().replace("-", "").replace("_", "")
    if key not in {known.replace("-", "") for known in GENERATORS}:
        raise OptionError(f"There is no generator {name!r}: choose one of {', '.join(GENERATORS)}.")
    if channels < 1:
        raise OptionError(f"A generator needs images of at least one channel, got {channels}.")

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
            return architecture(channels)
    raise AssertionError(f"{name!r} is listed, but has no class")


def count_parameters(name: str, channels: int = 3, size: tuple[int, int] = (32, 32)) -> int:
    """Numbers that training a generator adjusts; the arguments are those of `build`.

    Raises:
        OptionError: As `build` does.
    """
    import torch

    with torch.device("meta"):  # neither memory nor random numbers for weights that nobody reads
        return sum(parameter.numel() for parameter in build(name, channels, size).parameters())
