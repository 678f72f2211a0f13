"""ResNet18 and ResNet50 for small images: a 3x3 stem without stride or max-pooling, at every image size.

After He et al. (2016), in the form that CIFAR experiments use. Convolutions have no biases; in the bottleneck, the 3x3
convolution carries the stride.
"""

from __future__ import annotations

import onnx_ir as ir

from nfkit.models.bases.network import Network

DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}
"""Blocks in each of the four stages."""

_BOTTLENECKED = ("resnet50",)
_WIDTHS = (64, 128, 256, 512)
_EXPANSION = 4  # output channels of a bottleneck to those of its 3x3 convolution


def build(network: Network, name: str, classes: int) -> ir.Model:
    """Writes the network `name` of `DEPTHS`."""
    block = _bottleneck if name in _BOTTLENECKED else _basic
    x = _conv_norm(network, network.image, "stem", _WIDTHS[0], 3)
    x = network.relu(x, "stem.relu")
    for stage, (width, depth) in enumerate(zip(_WIDTHS, DEPTHS[name], strict=True), start=1):
        for index in range(depth):
            stride = 2 if stage > 1 and index == 0 else 1
            x = block(network, x, f"stage{stage}.{index}", width, stride)
    return network.classify(x, classes)


def _basic(network: Network, x: ir.Value, name: str, width: int, stride: int) -> ir.Value:
    y = _conv_norm(network, x, f"{name}.conv1", width, 3, stride)
    y = network.relu(y, f"{name}.relu1")
    y = _conv_norm(network, y, f"{name}.conv2", width, 3)
    return _join(network, x, y, name, stride)


def _bottleneck(network: Network, x: ir.Value, name: str, width: int, stride: int) -> ir.Value:
    y = _conv_norm(network, x, f"{name}.conv1", width, 1)
    y = network.relu(y, f"{name}.relu1")
    y = _conv_norm(network, y, f"{name}.conv2", width, 3, stride)
    y = network.relu(y, f"{name}.relu2")
    y = _conv_norm(network, y, f"{name}.conv3", _EXPANSION * width, 1)
    return _join(network, x, y, name, stride)


def _join(network: Network, x: ir.Value, y: ir.Value, name: str, stride: int) -> ir.Value:
    """ReLU(y + shortcut of x); the shortcut is a 1x1 convolution where the shape changes."""
    if stride > 1 or network.channels(x) != network.channels(y):
        x = _conv_norm(network, x, f"{name}.shortcut", network.channels(y), 1, stride)
    return network.relu(network.add(y, x, f"{name}.add"), f"{name}.relu")


def _conv_norm(network: Network, x: ir.Value, name: str, outputs: int, kernel: int, stride: int = 1) -> ir.Value:
    return network.norm(network.conv(x, name, outputs, kernel, stride), f"{name}.norm")
