"""What every generator has in common: an encoder, a decoder, and padding, so that any image size will do."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Generator(nn.Module, ABC):
    """The network in front of a frozen model: F(x) = clip(x + G(x), -1, 1).

    Subclasses split G in two, so that a training objective may look at the bottleneck between the halves.
    """

    stride: int
    """By how much the encoder shrinks height and width."""

    bottleneck_channels: int
    """Channels of the last of the encoder's features; 0 where there is no bottleneck."""

    @abstractmethod
    def encode(self, x: Tensor) -> list[Tensor]:
        """Computes the features of an image.

        Args:
            x: [N, C, H, W], H and W multiples of `stride`.

        Returns:
            The skips from shallow to deep, if any, and last the bottleneck
            [N, bottleneck_channels, H / stride, W / stride].
        """

    @abstractmethod
    def decode(self, features: list[Tensor]) -> Tensor:
        """Computes the residual [N, C, H, W] from the features that `encode` returned."""

    def forward(self, x: Tensor) -> Tensor:
        """Computes the residual G(x).

        Args:
            x: [N, C, H, W] in [-1, 1], of any height and width.

        Returns:
            The residual, of the shape of `x`.
        """
        height, width = int(x.shape[-2]), int(x.shape[-1])
        below, right = -height % self.stride, -width % self.stride
        if not below and not right:
            return self.decode(self.encode(x))
        padded = nn.functional.pad(x, (0, right, 0, below))
        return self.decode(self.encode(padded))[..., :height, :width]
