"""The two blocks that the convolutional generators are built of.

A block is a plain list of layers, to be joined into one flat `nn.Sequential`: `fold_batch_norm` looks there
for neighbours.
"""

from __future__ import annotations

from torch import nn


def conv_block(inputs: int, outputs: int, *, bias: bool = True) -> list[nn.Module]:
    """3x3 convolution, batch normalisation, ReLU: [N, inputs, H, W] -> [N, outputs, H, W]."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), nn.BatchNorm2d(outputs), nn.ReLU()]


def deconv_block(inputs: int, outputs: int) -> list[nn.Module]:
    """4x4 transposed convolution, batch normalisation, ReLU: [N, inputs, H, W] -> [N, outputs, 2 H, 2 W]."""
    return [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
