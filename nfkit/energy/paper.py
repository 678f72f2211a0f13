"""The counting conventions of the NeuralFuse paper (Sun et al., NeurIPS 2024), as its published totals imply them.

Accesses are the filter reads of SCALE-Sim, for layers that were described to it by hand:

1. A convolution has ceil((H + 2 p - K + s) / s) output rows, where ONNX rounds down: 17 for 32 at 3x3 s2 p1.
2. A transposed convolution from h to 2 h is a convolution of stride 1 with the same kernel on an input of 2 h + 2.
3. The last convolution of a UNet, 1x1 without padding, was given a padding of 1.
4. Eight weights a word, of 8 bits each, whatever the file stores.

Operations are those of the counting tool that the totals agree with:

5. A bias counts one operation an output, batch normalisation two, ReLU and up-sampling one; pooling one an input;
   everything else none.
6. A transposed convolution counts its kernel at every output position, stride² times what it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

WEIGHT_BITS = 8

_PER_OUTPUT = {"BatchNormalization": 2, "Relu": 1, "Resize": 1, "Upsample": 1}
_PER_INPUT = {"MaxPool": 1, "AveragePool": 1, "GlobalAveragePool": 1}


def conv_positions(
    extents: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pads: Sequence[int]
) -> int:
    """Output positions of a convolution by rule 1.

    Args:
        extents: Spatial extents of the input.
        kernel: Spatial extents of the kernel.
        strides: Stride along each axis.
        dilations: Dilation along each axis.
        pads: Padding along each axis, both sides together.
    """
    return prod(
        -(-(extent + pad - (dilation * (size - 1) + 1) + stride) // stride)
        for extent, size, stride, dilation, pad in zip(extents, kernel, strides, dilations, pads, strict=True)
    )


def transposed_positions(outputs: Sequence[int], kernel: Sequence[int]) -> int:
    """Output positions of a transposed convolution by rule 2, from the extents of its true output."""
    return prod(output + 2 - size + 1 for output, size in zip(outputs, kernel, strict=True))


def elementwise_operations(op: str, inputs: int, outputs: int) -> int:
    """Operations of an operator without weights by rule 5.

    Args:
        op: Operator of the standard domain.
        inputs: Elements of its first input.
        outputs: Elements of its first output.
    """
    return _PER_OUTPUT.get(op, 0) * outputs + _PER_INPUT.get(op, 0) * inputs


def is_counted(op: str) -> bool:
    """Whether rule 5 counts an operator without weights at all."""
    return op in _PER_OUTPUT or op in _PER_INPUT
