"""UNetL and UNetS: U-shaped networks whose decoder also sees the encoder's features.

After Sun et al., NeuralFuse, NeurIPS 2024. They end in a plain 1x1 convolution: nothing bounds the
residual but the clip that follows every generator.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nfkit.models.generators.base import Generator
from nfkit.models.generators.blocks import conv_block


def _double(inputs: int, outputs: int) -> nn.Sequential:
    """Two blocks without bias, which the batch normalisation would cancel."""
    return nn.Sequential(*conv_block(inputs, outputs, bias=False), *conv_block(outputs, outputs, bias=False))


class UNet(Generator):
    """Four levels of the widths c, 2 c, 4 c and 8 c.

    Args:
        channels: Channels of the image.
        width: c, the channels of the shallowest level.
    """

    stride = 8

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.bottleneck_channels = widths[-1]
        self.pool = nn.MaxPool2d(2)
        inputs = [channels, *widths[:-1]]
        self.down = nn.ModuleList([_double(i, o) for i, o in zip(inputs, widths, strict=True)])
        rising = [(w, w // 2) for w in reversed(widths[1:])]
        self.up = nn.ModuleList([nn.ConvTranspose2d(i, o, 2, stride=2) for i, o in rising])
        self.merge = nn.ModuleList([_double(i, o) for i, o in rising])
        self.final = nn.Conv2d(width, channels, 1)

    def encode(self, x: Tensor) -> list[Tensor]:
        """[N, C, H, W] -> skips [N, c, H, W] to [N, 4 c, H / 4, W / 4], bottleneck [N, 8 c, H / 8, W / 8]."""
        features: list[Tensor] = []
        for depth, level in enumerate(self.down):
            x = level(self.pool(x) if depth else x)
            features.append(x)
        return features

    def decode(self, features: list[Tensor]) -> Tensor:
        """[*skips, bottleneck] -> residual [N, C, H, W]."""
        *skips, x = features
        for up, merge, skip in zip(self.up, self.merge, reversed(skips), strict=True):
            x = merge(torch.cat([skip, up(x)], dim=1))
        residual: Tensor = self.final(x)
        return residual


class UNetL(UNet):
    """c = 16, 482,771 parameters for three channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 16)


class UNetS(UNet):
    """c = 8, 121,195 parameters for three channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 8)
