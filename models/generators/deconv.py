"""DeConvL and DeConvS: autoencoders that up-sample by transposed convolution.

After Sun et al., NeuralFuse, NeurIPS 2024.
"""

from __future__ import annotations

from torch import nn

from nfkit.models.generators.autoencoder import Autoencoder, double_encoder, single_encoder
from nfkit.models.generators.blocks import conv_block, deconv_block


class DeConvL(Autoencoder):
    """Two convolutions a level; 647,785 parameters for three channels."""

    def __init__(self, channels: int) -> None:
        decoder = nn.Sequential(
            *conv_block(128, 128),
            *deconv_block(128, 64),
            *conv_block(64, 64),
            *deconv_block(64, 32),
            *conv_block(32, 32),
            *_head(channels),
        )
        super().__init__(double_encoder(channels), decoder, 128)


class DeConvS(Autoencoder):
    """One convolution a level; 156,777 parameters for three channels."""

    def __init__(self, channels: int) -> None:
        decoder = nn.Sequential(*deconv_block(64, 64), *deconv_block(64, 32), *_head(channels))
        super().__init__(single_encoder(channels), decoder, 64)


def _head(channels: int) -> list[nn.Module]:
    """The last three layers: [N, 32, H, W] -> residual [N, channels, 2 H, 2 W] in [-1, 1]."""
    up = nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1)
    return [up, nn.BatchNorm2d(channels), nn.Tanh()]
