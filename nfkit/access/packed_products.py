"""Products that ONNX Runtime packs into MatMulNBits and then gets wrong, or cannot open at all.

From level `extended` on it turns DequantizeLinear and MatMul into one packed product. Two kinds of models come to harm
(ONNX Runtime 1.32):

1. weights of 2 bits whose rows do not fill whole bytes: it reads columns at the wrong places, without a word;
2. weights that the body of an If, a Loop or a Scan takes from outside: it looks for them in the body, and refuses.

Both are opened without that rewriting, and compute what the graph says. Whether an installed version gets the first
wrong is found by trying; the second refuses by itself.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from nfkit.graph.memory.storage import stored_tensors

REWRITING = "QDQSelectorActionTransformer"
"""ONNX Runtime's name of the rewriting, as sessions take it among `disabled_optimizers`."""

_NARROW = (ir.DataType.INT2, ir.DataType.UINT2)
_PROBE = """
<ir_version: 13, opset_import: ["" : 25]>
probe (float[1, 2] x) => (float[1, 3] y) <float s = {1}> {
    f = DequantizeLinear (w, s)
    y = MatMul (x, f)
}
"""


def are_broken(model: ir.Model) -> bool:
    """Whether the model has narrow weights whose products the installed ONNX Runtime may get wrong.

    Any extent may come to be the last, once constants are folded.
    """
    stored = stored_tensors(model).values()
    return any(e.dtype in _NARROW and any(extent % 4 for extent in e.shape) for e in stored) and _breaks()


def explain_refusal(error: Exception) -> str | None:
    """Why a plain session refuses a model of the second kind, and what a host can do; None for any other error."""
    missing = re.search(r"Missing required weight: (\S+)", str(error))
    if missing is None or "MatMulNBits" not in str(error):
        return None
    return (
        f"the weight '{missing[1]}' comes from outside the body of an If, a Loop or a Scan, and packing looks for it "
        f"inside: hosts open such a file with disabled_optimizers=['{REWRITING}'] or at level basic, or the weight "
        "moves into the body; --target ort-format writes it without packing"
    )


@lru_cache(maxsize=1)
def _breaks() -> bool:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    probe = onnx.parser.parse_model(_PROBE)
    codes = bytes([0b00_01_00_01, 0b01_01])  # [[1, 0, 1], [0, 1, 1]], the first in the lowest bits
    probe.graph.initializer.add(name="w", dims=[2, 3], data_type=int(ir.DataType.INT2), raw_data=codes)
    try:
        session = ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # a version without the type refuses every model that has it
        return False
    (y,) = session.run(None, {"x": np.ones((1, 2), np.float32)})
    return not np.allclose(y, [[1, 1, 2]], atol=0.1)
