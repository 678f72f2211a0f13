"""The input of a base that cannot be opened: what it says of it, and what its user adds."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from nfkit.access.base import Tensor
from nfkit.graph.input.discovery import find_input
from nfkit.graph.input.spec import InputSpec


def find_input_of(
    tensor: Tensor,
    *,
    layout: str | None = None,
    value_range: tuple[float, float] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> InputSpec:
    """Finds out what a base takes; the arguments are those of `find_input`.

    Raises:
        UnsupportedError: When it is no image and no feature vector.
        OptionError: When the given values contradict each other or the input, or a layout has to be given.
    """
    batch = tensor.shape[0] if tensor.shape[0] > 0 else "N"
    value = ir.Value(
        name=tensor.name,
        shape=ir.Shape([batch, *tensor.sample]),
        type=ir.TensorType(ir.DataType.from_numpy(np.dtype(tensor.dtype))),
    )
    alone = ir.Model(ir.Graph([value], [], nodes=[], name=tensor.name), ir_version=10)
    return find_input(alone, layout=layout, value_range=value_range, mean=mean, std=std)
