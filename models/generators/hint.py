"""Hint generators: a cheap encoder that yields class evidence, and one additive pattern a class, mixed by it.

    G(x) = sum_c p_c(x)^g A tanh(D_c),    p(x) = softmax(z(x))

A frozen model can be driven to a class, faults or not, by one additive pattern for that class. So all that a
generator has to find out is the class, and how sure it may be. Where it is sure, the pattern is shown in full. Where it
is not, the caution g > 1 lets all patterns fade, and what x itself tells the base decides: two classes at one half each
would otherwise hide x as thoroughly as a certain one. The decoder is one small matrix product.

The caution is set, not learned: a base that was trained on the images at hand looks better on them than it is, or, at
many errors, no better than chance, and a learned caution follows it either way.

The encoder spends its weights where they are read least: a systolic array of R rows reads each weight once for every R
output positions, so nearly all weights sit at 1/4 and 1/8 of the image's resolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nfkit.errors import OptionError
from nfkit.models.generators.base import Generator
from nfkit.models.generators.blocks import conv_block

_LOOK = 32  # Evidence is taken from about this many pixels a side, however large the image.


class Hint(Generator):
    """Evidence times patterns, at a size of choice.

    Args:
        channels: Channels C of the image.
        size: Its height and width, which must stay what they were at construction.
        classes: Number of classes.
        width: Channels at a quarter of the image's resolution, a multiple of 8; fewer before, twice as many after.
        amplitude: A, the largest value of a pattern, in units of the input's half range.
        caution: g, above 0; at 4 a class at 90 % evidence keeps 66 % of its pattern, one at 50 % keeps 6 %.
        pattern_step: Side of the squares in which a pattern is constant, in units of the shrunk image's pixels.
    """

    caution: Tensor

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        classes: int,
        width: int,
        amplitude: float = 1.0,
        caution: float = 4.0,
        pattern_step: int = 2,
    ) -> None:
        super().__init__()
        if width < 8 or width % 8:
            raise OptionError(f"hint-{width}: the width of a hint generator is a multiple of 8, from 8 on")
        shrink = max(1, round(min(size) / _LOOK))
        self.size, self.amplitude = size, amplitude
        self.stride, self.bottleneck_channels = 8 * shrink, 2 * width
        self.step = pattern_step * shrink
        shallow: list[nn.Module] = [nn.AvgPool2d(shrink)] if shrink > 1 else []
        self.encoder = nn.Sequential(
            *shallow,
            *conv_block(channels, width // 4, bias=False),
            nn.MaxPool2d(2),
            *conv_block(width // 4, width // 2, bias=False),
            *_narrow(width // 2, width),
            *(_Block(width) for _ in range(4)),
            *_narrow(width, 2 * width),
            *(_Block(2 * width) for _ in range(3)),
        )
        self.add_head(classes)
        self.register_buffer("caution", torch.full((), caution))
        rows, columns = (-(-extent // self.step) for extent in size)
        self.pattern = nn.Parameter(torch.zeros(classes, channels, rows, columns))

    def encode(self, x: Tensor) -> list[Tensor]:
        """[N, C, H, W] -> [features [N, 2 width, H / stride, W / stride]]."""
        return [self.encoder(x)]

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features -> residual [N, C, H, W]."""
        shares = torch.softmax(self.evidence(features), dim=1) ** self.caution
        coarse = self.amplitude * torch.tanh(self.pattern)
        mixed = (shares @ coarse.flatten(1)).reshape(-1, *coarse.shape[1:])
        return self._enlarge(mixed)

    def class_patterns(self) -> Tensor:
        """The patterns A tanh(D), [classes, C, H, W]."""
        return self._enlarge(self.amplitude * torch.tanh(self.pattern))

    def _enlarge(self, coarse: Tensor) -> Tensor:
        large = nn.functional.interpolate(coarse, scale_factor=float(self.step), mode="nearest")
        return large[..., : self.size[0], : self.size[1]]


class _Block(nn.Module):
    """x + ReLU(BN(pointwise(depthwise 3x3(x)))): [N, width, H, W] -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.layers(x)
        return added


def _narrow(inputs: int, outputs: int) -> list[nn.Module]:
    """Half the resolution: [N, inputs, H, W] -> [N, outputs, H / 2, W / 2]."""
    return [nn.MaxPool2d(2), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
