"""VGG11, VGG16 and VGG19 with batch normalisation for small images: one linear layer behind the convolutions.

After Simonyan and Zisserman (2015), in the form that CIFAR experiments use. Five max-poolings take 32x32 pixels to
one; what larger images leave is averaged, so that the linear layer takes 512 features at every size.
"""

from __future__ import annotations

import onnx_ir as ir

from nfkit.errors import OptionError
from nfkit.models.bases.network import Network

DEPTHS = {"vgg11": (1, 1, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions in each of the five stages."""

_WIDTHS = (64, 128, 256, 512, 512)
_LEAST = 2 ** len(_WIDTHS)  # pixels that the poolings leave one of


def build(network: Network, name: str, classes: int) -> ir.Model:
    """Writes the network `name` of `DEPTHS`.

    Raises:
        OptionError: When the images are smaller than 32x32.
    """
    _, height, width = network.shape
    if min(height, width) < _LEAST:
        raise OptionError(f"{name} halves images five times, so they need at least 32x32 pixels, got {height}x{width}.")
    x = network.image
    for stage, (outputs, depth) in enumerate(zip(_WIDTHS, DEPTHS[name], strict=True), start=1):
        for index in range(depth):
            layer = f"stage{stage}.{index}"
            x = network.conv(x, f"{layer}.conv", outputs, 3, bias=True)
            x = network.relu(network.norm(x, f"{layer}.norm"), f"{layer}.relu")
        x = network.max_pool(x, f"stage{stage}.pool")
    return network.classify(x, classes)
