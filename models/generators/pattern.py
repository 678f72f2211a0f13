"""One learned pattern for all images (a universal input perturbation), the baseline of every generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nfkit.errors import OptionError
from nfkit.models.generators.base import Generator


class Pattern(Generator):
    """G(x) = tanh(P), whatever x.

    Args:
        channels: Channels C of the image.
        size: Height and width of the image, which must stay what it was at construction.
    """

    stride = 1
    bottleneck_channels = 0

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.pattern = nn.Parameter(torch.zeros(1, channels, *size))  # [1, C, H, W]

    def encode(self, x: Tensor) -> list[Tensor]:
        """[N, C, H, W] -> [x]: the decoder needs the shape alone."""
        return [x]

    def decode(self, features: list[Tensor]) -> Tensor:
        """[x] -> tanh(P), repeated over the batch: [N, C, H, W]."""
        x = features[-1]
        if x.shape[1:] != self.pattern.shape[1:]:
            raise OptionError(
                f"The pattern was made for images of shape {tuple(self.pattern.shape[1:])}, "
                f"got {tuple(x.shape[1:])}: build it again with that size."
            )
        return torch.tanh(self.pattern).expand_as(x)
