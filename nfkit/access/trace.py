"""What ONNX Runtime computes on the way: the value of every node of the main graph, for one batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner


def trace(model: ir.Model, x: npt.NDArray[Any], level: Level) -> dict[str, npt.NDArray[Any]]:
    """Values by name, those of the model's outputs included.

    Values that are asked for are not fused away, so that the model runs node by node at every level.

    Args:
        model: The model; not changed.
        x: One batch of samples.
        level: Optimisation level.

    Raises:
        ModelError: When ONNX Runtime refuses the model or the samples.
    """
    open_ended = model.clone()
    graph = open_ended.graph
    known = {value.name for value in graph.outputs}
    for node in graph:
        graph.outputs.extend(value for value in node.outputs if value.name and value.name not in known)
    values = Runner(open_ended, level=level).outputs(x)
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
