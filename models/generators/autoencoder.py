"""Generators without skips: an encoder, a bottleneck, a decoder."""

from __future__ import annotations

from torch import Tensor, nn

from nfkit.models.generators.base import Generator
from nfkit.models.generators.blocks import conv_block


class Autoencoder(Generator):
    """Three poolings down, three up-samplings up again.

    Args:
        encoder: [N, C, H, W] -> [N, bottleneck_channels, H / 8, W / 8].
        decoder: The way back to [N, C, H, W].
        bottleneck_channels: Channels between the two.
    """

    stride = 8

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential, bottleneck_channels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.bottleneck_channels = bottleneck_channels

    def encode(self, x: Tensor) -> list[Tensor]:
        """[N, C, H, W] -> [bottleneck [N, bottleneck_channels, H / 8, W / 8]]."""
        return [self.encoder(x)]

    def decode(self, features: list[Tensor]) -> Tensor:
        """[bottleneck] -> residual [N, C, H, W]."""
        residual: Tensor = self.decoder(features[-1])
        return residual


def double_encoder(channels: int) -> nn.Sequential:
    """Two convolutions a level: [N, channels, H, W] -> [N, 128, H / 8, W / 8]."""
    layers: list[nn.Module] = []
    inputs = channels
    for width in (32, 64, 128):
        layers += [*conv_block(inputs, width), *conv_block(width, width), nn.MaxPool2d(2)]
        inputs = width
    return nn.Sequential(*layers)


def single_encoder(channels: int) -> nn.Sequential:
    """One convolution a level: [N, channels, H, W] -> [N, 64, H / 8, W / 8]."""
    layers: list[nn.Module] = []
    inputs = channels
    for width in (32, 64, 64):
        layers += [*conv_block(inputs, width), nn.MaxPool2d(2)]
        inputs = width
    return nn.Sequential(*layers)
