"""Torch kernels for ONNX operators, registered by operator name and opset version.

Importing this package registers all kernels. Two conventions that a caller of the kernels has to know:

* The result of QuantizeLinear and DynamicQuantizeLinear is a *floating* tensor of integer codes, so that
  gradients pass straight through it. DequantizeLinear, ConvInteger and MatMulInteger take such codes as well
  as integer tensors.
* Split below opset 18 learns the number of its outputs from the keyword `num_outputs`, which is an attribute
  from opset 18 on; the caller passes it at every version.
"""

from nfkit.learn.gradients import (
    activation,
    constant,
    convolution,
    elementwise,
    fused,
    indexing,
    matrix,
    normalization,
    padding,
    pooling,
    quantized,
    reduction,
    resize,
    search,
    shape,
)
from nfkit.learn.gradients.registry import Entry, find, op, supported

__all__ = [
    "Entry",
    "activation",
    "constant",
    "convolution",
    "elementwise",
    "find",
    "fused",
    "indexing",
    "matrix",
    "normalization",
    "op",
    "padding",
    "pooling",
    "quantized",
    "reduction",
    "resize",
    "search",
    "shape",
    "supported",
]
