"""Products with float16 weights that ONNX Runtime loses at level `extended`.

There it turns DequantizeLinear and MatMul into its packed MatMulNBits, whose float16 kernel is only chosen at level
`all`: ONNX Runtime 1.32 returns zeros instead, without a word. Whether an installed version does is found by trying.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

_PROBE = """
<ir_version: 9, opset_import: ["" : 19]>
probe (float16[1, 2] x, float16 s) => (float16[1, 1] y)
<int8[2, 1] w = {3, 5}> { f = DequantizeLinear (w, scale)
 y = MatMul (x, f) }
"""


def are_lost(model: ir.Model) -> bool:
    """Whether the model has such products, and the installed ONNX Runtime loses them."""
    return any(_is_product(node) for node in model.graph) and _loses()


def _is_product(node: ir.Node) -> bool:
    if node.op_type != "MatMul" or len(node.inputs) < 2 or node.inputs[1] is None:
        return False
    producer = node.inputs[1].producer()
    if producer is None or producer.op_type != "DequantizeLinear" or len(producer.inputs) < 2:
        return False
    scale = producer.inputs[1]
    return scale is not None and scale.dtype is ir.DataType.FLOAT16


@lru_cache(maxsize=1)
def _loses() -> bool:
    proto = onnx.parser.parse_model(_PROBE)
    del proto.graph.input[1:]
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0.5, np.float16), "scale"))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": np.ones((1, 2), np.float16)})
    return float(y.item()) != 4.0
