"""Fold batch normalisation into the convolution before it, as a deployed generator has it."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nfkit.models.generators.base import Generator


def fold_batch_norm(generator: Generator) -> Generator:
    """Returns a copy that computes the same without batch normalisation.

    In every `nn.Sequential` of the generator, a (transposed) convolution directly followed by a batch
    normalisation becomes one convolution with that layer's running statistics worked in.

    Args:
        generator: Any generator, left as it is.

    Returns:
        A copy in evaluation mode. Outputs are those of `generator.eval()` up to float rounding.
    """
    folded = copy.deepcopy(generator).eval()
    for parent in list(folded.modules()):
        if isinstance(parent, nn.Sequential):
            _fold_neighbours(parent)
    return folded


def _fold_neighbours(layers: nn.Sequential) -> None:
    """Replaces each convolution and its normalisation by their fusion and a placeholder that does nothing."""
    for index in range(len(layers) - 1):
        first, second = layers[index], layers[index + 1]
        if isinstance(first, nn.Conv2d | nn.ConvTranspose2d) and isinstance(second, nn.BatchNorm2d):
            transposed = isinstance(first, nn.ConvTranspose2d)
            layers[index] = fuse_conv_bn_eval(first, second, transpose=transposed)
            layers[index + 1] = nn.Identity()  # keeps the places, so that state-dict names stay
