"""Tiny bases in every form of output, and generators that look at images, for answers of both ends."""

import numpy as np
import pytest

BASE = """
<ir_version: 7, opset_import: ["" : OPSET], metadata_props: ["owner" : "someone"]>
base (float[N, 2, 4, 4] image) => (OUTPUT)
<float s = {0.0078125}, float so = {SCALE}, ZTYPE zo = {ZERO}, int64[1] classes = {1}, int64[4] deep = {-1, 3, 1, 1},
 float s_i = {0.015625}, uint8 z_i = {128}>
{
    flat = Flatten (image)
    w_f = DequantizeLinear (w, s)
    l = MatMul (flat, w_f)
    TAIL
}
"""

# name: (output, tail, scale, type and value of the zero point)
FORMS = {
    "logits": ("float[N, 3] scores", "scores = Identity (l)", "0.1", "int8", 0),
    "probabilities": ("float[N, 3] scores", "scores = Softmax <axis = 1> (l)", "0.1", "int8", 0),
    "log-probabilities": ("float[N, 3] scores", "scores = LogSoftmax <axis = 1> (l)", "0.1", "int8", 0),
    "spelt-out": (
        "float[N, 3] scores", "e = Exp (l) t = ReduceSum (e, classes) scores = Div (e, t)", "0.1", "int8", 0,
    ),
    "dequantised": (
        "float[N, 3] scores",
        "p = Softmax <axis = 1> (l) q = QuantizeLinear (p, so, zo) scores = DequantizeLinear (q, so, zo)",
        "0.00390625", "uint8", 0,
    ),
    "int8-probabilities": (
        "int8[N, 3] scores", "p = Softmax <axis = 1> (l) scores = QuantizeLinear (p, so, zo)",
        "0.00390625", "int8", -128,
    ),
    "uint8-logits": ("uint8[N, 3] scores", "scores = QuantizeLinear (l, so, zo)", "0.1", "uint8", 128),
    "int8-log": (
        "int8[N, 3] scores", "p = LogSoftmax <axis = 1> (l) scores = QuantizeLinear (p, so, zo)", "0.0625", "int8", 127,
    ),
    "qlinear": (
        "uint8[N, 3] scores",
        "i = QuantizeLinear (flat, s_i, z_i) scores = QLinearMatMul (i, s_i, z_i, w, s, zo, so, z_i)",
        "0.1", "int8", 0,
    ),
    "deep": ("float[N, 3, 1, 1] scores", "scores = Reshape (l, deep)", "0.1", "int8", 0),
    "deep-codes": (
        "int8[N, 3, 1, 1] scores",
        "p = Softmax <axis = 1> (l) q = QuantizeLinear (p, so, zo) scores = Reshape (q, deep)",
        "0.00390625", "int8", -128,
    ),
    "float16": ("float16[N, 3] scores", "scores = Cast <to = 10> (l)", "0.1", "int8", 0),
    "two-outputs": (
        "float[N, 3] scores, float[N, 32] flat", "scores = Identity (l)", "0.1", "int8", 0,
    ),
}  # fmt: skip

LOOKS = """
<ir_version: 7, opset_import: ["" : OPSET]>
generator (float[N, 2, 4, 4] image) => (float[N, 3] evidence)
<float s = {0.015625}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
}
"""
PUSHES = """
<ir_version: 7, opset_import: ["" : OPSET]>
generator (float[N, 2, 4, 4] image) => (float[N, 2, 4, 4] protected)
<float s = {0.015625}, float low = {-1}, float high = {1}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
    pushed = Add (image, image)
    protected = Clip (pushed, low, high)
}
"""


@pytest.fixture(scope="session")
def base_of(parse):
    """base_of(form, opset=18): a base of that form of output, three classes."""

    def build(form, opset=18):
        output, tail, scale, kind, zero = FORMS[form]
        text = BASE.replace("OPSET", str(opset)).replace("OUTPUT", output).replace("TAIL", tail)
        text = text.replace("SCALE", scale).replace("ZTYPE", kind).replace("ZERO", str(zero))
        return parse(text, w=np.random.default_rng(3).integers(-127, 128, (32, 3), np.int8))

    return build


@pytest.fixture(scope="session")
def looker(parse):
    """looker(opset=18, pushes=False): a generator with evidence, which may also change the image."""

    def build(opset=18, pushes=False):
        text = (PUSHES if pushes else LOOKS).replace("OPSET", str(opset))
        return parse(text, k=np.random.default_rng(4).integers(-127, 128, (32, 3), np.int8))

    return build


@pytest.fixture(scope="session")
def images():
    """200 images in [-1, 1]."""
    return np.random.default_rng(5).uniform(-1, 1, (200, 2, 4, 4)).astype(np.float32)
