"""ConvL and ConvS: autoencoders that up-sample by repeating pixels.

After Sun et al., NeuralFuse, NeurIPS 2024.
"""

from __future__ import annotations

from torch import nn

from nfkit.models.generators.autoencoder import Autoencoder, double_encoder, single_encoder
from nfkit.models.generators.blocks import conv_block


class ConvL(Autoencoder):
    """Two convolutions a level; 723,273 parameters for three channels."""

    def __init__(self, channels: int) -> None:
        layers: list[nn.Module] = []
        inputs = 128
        for width in (128, 64, 32):
            layers += [*conv_block(inputs, width), nn.Upsample(scale_factor=2), *conv_block(width, width)]
            inputs = width
        super().__init__(double_encoder(channels), nn.Sequential(*layers, *_head(inputs, channels)), 128)


class ConvS(Autoencoder):
    """One convolution a level; 113,187 parameters for three channels."""

    def __init__(self, channels: int) -> None:
        layers: list[nn.Module] = []
        inputs = 64
        for width in (64, 32, channels):
            layers += [*conv_block(inputs, width), nn.Upsample(scale_factor=2)]
            inputs = width
        super().__init__(single_encoder(channels), nn.Sequential(*layers, *_head(inputs, channels)), 64)


def _head(inputs: int, channels: int) -> list[nn.Module]:
    """The last three layers: [N, inputs, H, W] -> residual [N, channels, H, W] in [-1, 1]."""
    return [nn.Conv2d(inputs, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.Tanh()]
