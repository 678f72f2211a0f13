"""Ten small models of different forms, which `fuzz` damages."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnx_ir as ir

from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.injection.inject import inject
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import fault_sites
from nfkit.model import load

HEAD = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1, "own" : 1]>'
TEXTS = {
    "qdq": """ g (float[N, 2, 4, 4] x) => (float[N, 3] y) <float s = {0.01}, int8 z = {0},
            float[3] sw = {0.01, 0.02, 0.03}, int8[3, 2, 1, 1] w = {1, -2, 3, 4, -5, 6},
            int32[3] b = {1, 2, 3}, float t = {0.1}, uint8 zd = {128}, uint8[3, 3] d = {1, 2, 3, 4, 5, 6, 7, 8, 9}> {
            q = QuantizeLinear (x, s, z)  f = DequantizeLinear (q, s, z)
            wf = DequantizeLinear <axis = 0> (w, sw)  bf = DequantizeLinear <axis = 0> (b, sw)
            c = Conv <kernel_shape = [1, 1]> (f, wf, bf)  r = Relu (c)  p = GlobalAveragePool (r)  l = Flatten (p)
            df = DequantizeLinear (d, t, zd)  y = MatMul (l, df) }""",
    "operators": """ g (uint8[N, 2, 4, 4] x) => (float[N, 3] y) <float s = {0.01}, uint8 z = {128}, float sw = {0.02},
            int8 zw = {0}, int8[3, 2, 3, 3] w, int8[48, 3] v> {
            c = QLinearConv <pads = [1, 1, 1, 1]> (x, s, z, w, sw, zw, s, z)  l = Flatten (c)
            m = MatMulInteger (l, v, z)  y = Cast <to = 1> (m) }""",
    "dynamic": """ g (float[N, 4] x) => (float[N, 3] y) <uint8[4, 3] w, uint8 z = {7}, float s = {0.5}> {
            q, sx, zx = DynamicQuantizeLinear (x)  m = MatMulInteger (q, w, zx, z)  c = Cast <to = 1> (m)
            k = Mul (sx, s)  y = Mul (c, k) }""",
    "packed": """ g (float[N, 4] x) => (float[N, 6] y) <int4[4, 6] w, float[1, 6] s = {1, 2, 3, 4, 5, 6},
            int64[2] shape = {-1, 6}> {
            f = DequantizeLinear <axis = 0, block_size = 4> (w, s)  m = MatMul (x, f)  y = Reshape (m, shape) }""",
    "bodies": """ g (float[N, 3] x) => (float[N, 3] y) <bool c = {1}, int8[3, 3] w, float s = {0.1}> {
            h = If (c) <then_branch = a () => (float[N, 3] p) <int8[3, 3] v = {1, 2, 3, 4, 5, 6, 7, 8, 9}>
              { vf = DequantizeLinear (v, s)  p = MatMul (x, vf) },
              else_branch = e () => (float[N, 3] q) { k = Constant <value = float {2.0}> ()  q = Mul (x, k) }>
            f = DequantizeLinear (w, s)  y = MatMul (h, f) }""",
    "functions": """ g (float[N, 3] x) => (float[N, 3] y) <int8[3, 3] w, float s = {0.1}> {
            h = own.layer <a = 0.5> (x, w, s)  y = own.layer <a = 0.25> (h, w, s) }
            <domain: "own", opset_import: ["" : 21, "own" : 1]> layer <a> (i, j, k) => (o) {
            f = DequantizeLinear (j, k)  m = MatMul (i, f)  l = LeakyRelu <alpha : float = @a> (m)
            o = own.shift (l) }
            <domain: "own", opset_import: ["" : 21]> shift (i) => (o) {
            c = Constant <value = float[3] {1, 2, 3}> ()  o = Add (i, c) }""",
    "float": """ g (float[N, 2, 4, 4] x) => (float[N, 3] y) <float[3, 2, 3, 3] w, float[3] b = {1, 2, 3},
            float[3] u = {1, 2, 3}, float s = {0.1}, int8 z = {0}, float low = {-1}, float high = {1}> {
            k = Clip (x, low, high)  q = QuantizeLinear (w, s, z)  f = DequantizeLinear (q, s, z)
            c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (k, f)
            n = BatchNormalization (c, u, b, b, u)  p = MaxPool <kernel_shape = [2, 2]> (n)  l = Flatten (p)
            y = Identity (l) }""",
    "moves": """ g (float[N, 4] x) => (float[N, 4] y) <uint8[2, 2, 4] w, float s = {0.1}, uint8 z = {3},
            int64[2] shape = {4, 4}, int64[2] half = {2, 2}> {
            a, b = Split <axis = 2> (w, half)  t = Concat <axis = 2> (b, a)  r = Reshape (t, shape)
            u = Transpose <perm = [1, 0]> (r)  f = Cast <to = 1> (u)  g0 = Cast <to = 1> (z)  h = Sub (f, g0)
            k = Mul (h, s)  y = Gemm <alpha = 2.0, transB = 1> (x, k) }""",
}  # fmt: skip
RESIDUAL = """<ir_version: 8, opset_import: ["" : 21]> generator (float[N, 2, 4, 4] image) => (float[N, 2, 4, 4] out)
    <float s = {0.01}, float low = {-1}, float high = {1}, int8[2, 2, 1, 1] k = {1, 2, 3, 4}> {
    f = DequantizeLinear (k, s)  r = Conv (image, f)  a = Add (image, r)  out = Clip (a, low, high) }"""


def build_models() -> dict[str, onnx.ModelProto]:
    """The ten models, by name."""
    models = {}
    for name, text in TEXTS.items():
        proto = onnx.parser.parse_model(HEAD + text)
        numbers = np.random.default_rng(0)
        held = {tensor.name for tensor in proto.graph.initializer}
        for value in [v for v in proto.graph.value_info if v.name not in held]:  # declared, and not stored by the text
            kind = value.type.tensor_type.elem_type
            shape = [extent.dim_value for extent in value.type.tensor_type.shape.dim]
            content = numbers.integers(0, 7, shape).ravel()
            proto.graph.initializer.append(onnx.helper.make_tensor(value.name, kind, shape, content))
        del proto.graph.value_info[:]
        models[name] = proto
    base = load(models["qdq"])
    spec = find_input(base, value_range=(-1, 1))
    results = json.dumps([{"ber": 0.01, "recovery": {"mean": 0.1}}])
    fused = fuse(load(onnx.parser.parse_model(RESIDUAL)), base, spec, {"nfkit.results": results})
    models["fused"] = ir.to_proto(fused)
    models["baked"] = ir.to_proto(inject(base, fault_sites(base), Chip(1), BitErrors(0.1), "baked"))
    return models


MODELS = build_models()
