"""The five base networks of Sun et al. (NeuralFuse, NeurIPS 2024) as ONNX graphs with random weights.

What can be counted on a graph (weights, operations, memory accesses, latency) does not depend on what the weights
are, so these graphs stand for the published networks wherever accuracy plays no part. Building them needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfkit.errors import OptionError

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["BASES", "build"]

BASES: tuple[str, ...] = ("resnet18", "resnet50", "vgg11", "vgg16", "vgg19")
"""Names that `build` knows."""


def build(
    name: str, shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10, *, seed: int = 0, quantised: bool = True
) -> ir.Model:
    """Builds a base network with random weights, the same ones for the same arguments.

    Weights are drawn when they are first read, so a graph that is only counted costs nothing.

    Args:
        name: One of `BASES`; case does not matter.
        shape: Channels, height and width of the images.
        classes: Number of classes.
        seed: Seed of the weights.
        quantised: Whether weights are int8 with one scale a tensor, each behind a DequantizeLinear; float otherwise.

    Returns:
        A model at opset 20 from `image` [N, C, H, W] to `logits` [N, classes], batch normalisation in nodes of its own.

    Raises:
        OptionError: There is no base of this name, or it cannot take such images, classes or seed.
    """
    key = name.lower()
    if key not in BASES:
        raise OptionError(f"There is no base {name!r}: choose one of {', '.join(BASES)}.")
    if min(shape) < 1:
        raise OptionError(f"An image has at least one channel, row and column, got {'x'.join(map(str, shape))}.")
    if classes < 1:
        raise OptionError(f"A base needs at least one class, got {classes}.")
    if seed < 0:
        raise OptionError(f"A seed is 0 or more, got {seed}.")

    from nfkit.models.bases import resnet, vgg
    from nfkit.models.bases.network import Network

    network = Network(key, shape, seed=seed, quantised=quantised)
    if key in resnet.DEPTHS:
        return resnet.build(network, key, classes)
    return vgg.build(network, key, classes)
