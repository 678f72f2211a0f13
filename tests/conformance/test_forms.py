"""Every form in which files store integer weights: what nfkit finds in it, does to it, and takes back.

One tiny model a form or awkward case. All of them are linear up to rounding (LSTM and attention aside), so that a
gradient can be compared with a difference quotient of ONNX Runtime over a step of many codes.
"""

import json
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nfkit.access.runtime import Runner
from nfkit.data import Dataset
from nfkit.errors import UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import MODES, chip_inputs, inject, remove, with_codes
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import codes, fault_sites, find_sites
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.learn.gradients.obstacles import find_unsupported
from nfkit.measure.evaluation import evaluate
from nfkit.model import load, to_bytes

HEADER = '<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1, "local" : 1]>\n'
ERRORS = BitErrors(0.3, "flip")
LEVELS = ("basic", "all")


def drawn(dtype, *shape, seed=0, low=None, high=None):
    """Random codes over the range of a type, which may be one of ml_dtypes."""
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    info = ml_dtypes.iinfo(kind)
    values = np.random.default_rng(seed).integers(info.min if low is None else low, (high or info.max) + 1, shape)
    return values.astype(kind)


def scales(*shape, seed=1):
    return np.random.default_rng(seed).uniform(0.01, 0.03, shape).astype(np.float32)


@dataclass(frozen=True)
class Form:
    """A model, and what is expected of it.

    Attributes:
        graph: ONNX text of a graph from `float[N, ...] x` to `y`, and of its functions.
        arrays: Initializers that the text only names.
        weights: Sites of role weight.
        x: Shape of a sample.
        opset: Version of the standard operators.
        modes: Ways of injecting that the form allows.
        gradient: Largest deviation from the difference quotient, as a share of it; None where there is no gradient.
        runs: Whether ONNX Runtime has the type.
        levels: Levels of ONNX Runtime that take the form.
        rewritten: Whether ONNX Runtime beyond level `basic` turns a product with a constant weight into MatMulNBits,
            which rounds activations besides. Masks that can be fed rule that out.
        bits: Bits of a code in memory, where its type has more.
    """

    graph: str
    arrays: dict = field(default_factory=dict)
    weights: tuple = ("w",)
    x: tuple = (4,)
    opset: int = 21
    modes: tuple = MODES
    gradient: float | None = None
    runs: bool = True
    levels: tuple = LEVELS
    rewritten: bool = False
    bits: int | None = None

    def build(self):
        proto = onnx.parser.parse_model(HEADER.format(opset=self.opset) + self.graph)
        for name, array in self.arrays.items():
            tensor = ir.to_proto(ir.tensor(array, name=name))
            proto.graph.initializer.append(tensor)
        onnx.checker.check_model(proto)
        return ir.from_proto(proto)

    def samples(self, count=6):
        return np.random.default_rng(7).uniform(-1, 1, (count, *self.x)).astype(np.float32)


DYNAMIC = "q, s, z = DynamicQuantizeLinear (x)"

FORMS = {
    "qdq": Form(
        """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.02}, float s_x = {0.015625}, int8 z_x = {3}> {
            q = QuantizeLinear (x, s_x, z_x)
            d = DequantizeLinear (q, s_x, z_x)
            f = DequantizeLinear (w, s)
            y = MatMul (d, f)
        }""",
        {"w": drawn("int8", 4, 3)},
        gradient=0.05,
    ),
    "qdq per axis with zero points": Form(
        """g (float[N, 2, 4, 4] x) => (float[N, 3, 2, 2] y) <uint8[3] z = {120, 128, 131}> {
            f = DequantizeLinear <axis = 0> (w, s, z)
            y = Conv (x, f)
        }""",
        {"w": drawn("uint8", 3, 2, 3, 3), "s": scales(3)},
        x=(2, 4, 4),
        gradient=1e-3,
    ),
    "qdq blocked": Form(
        """g (float[N, 4] x) => (float[N, 3] y) {
            f = DequantizeLinear <axis = 0, block_size = 2> (w, s)
            y = MatMul (x, f)
        }""",
        {"w": drawn("int8", 4, 3), "s": scales(2, 3)},
        gradient=1e-3,
    ),
    **{
        f"qdq {dtype}": Form(
            """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.02}> {
                f = DequantizeLinear (w, s, z)
                y = MatMul (x, f)
            }""",
            {"w": drawn(dtype, 4, 3), "z": drawn(dtype, seed=3)},
            opset=25 if dtype in ("int2", "uint2") else 21,
            modes=("baked",) if dtype in ("int4", "uint4", "int2", "uint2") else MODES,
            gradient=1e-3,
            rewritten=dtype == "uint8",
            runs=dtype not in ("int2", "uint2"),
        )
        for dtype in ("uint8", "int16", "uint16", "int4", "uint4", "int2", "uint2")
    },
    "int4 blocked, odd number of codes": Form(
        """g (float[N, 5] x) => (float[N, 3] y) {
            f = DequantizeLinear <axis = 0, block_size = 3> (w, s, z)
            y = MatMul (x, f)
        }""",
        {"w": drawn("int4", 5, 3), "s": scales(2, 3), "z": drawn("int4", 2, 3, seed=3)},
        x=(5,),
        modes=("baked",),
        gradient=1e-3,
    ),
    "dequantised by the domain of ONNX Runtime": Form(
        """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.0002}, int16 z = {5}> {
            f = com.microsoft.DequantizeLinear (w, s, z)
            y = MatMul (x, f)
        }""",
        {"w": drawn("int16", 4, 3)},
        opset=18,
        gradient=1e-3,
    ),
    "opset without bitwise operators": Form(
        """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.02}> {
            f = DequantizeLinear (w, s)
            y = MatMul (x, f)
        }""",
        {"w": drawn("int8", 4, 3)},
        opset=13,
        modes=("baked",),
        gradient=1e-3,
    ),
    "QLinearConv": Form(
        """g (float[N, 2, 4, 4] x) => (float[N, 3, 2, 2] y)
        <float s_x = {0.015625}, uint8 z_x = {128}, float s_y = {0.25}, uint8 z_y = {128}, int8[3] z = {0, 0, 0}> {
            q = QuantizeLinear (x, s_x, z_x)
            c = QLinearConv (q, s_x, z_x, w, s, z, s_y, z_y, b)
            y = DequantizeLinear (c, s_y, z_y)
        }""",
        {"w": drawn("int8", 3, 2, 3, 3), "s": scales(3), "b": drawn("int32", 3, low=-9000, high=9000)},
        x=(2, 4, 4),
        gradient=0.1,
    ),
    "QLinearMatMul": Form(
        """g (float[N, 4] x) => (float[N, 3] y)
        <float s_x = {0.015625}, uint8 z_x = {128}, float s_y = {0.0625}, uint8 z_y = {128}, float s = {0.02},
         uint8 z = {128}> {
            q = QuantizeLinear (x, s_x, z_x)
            c = QLinearMatMul (q, s_x, z_x, w, s, z, s_y, z_y)
            y = DequantizeLinear (c, s_y, z_y)
        }""",
        {"w": drawn("uint8", 4, 3)},
        gradient=0.1,
    ),
    "QGemm between QLinearAdd and QLinearMul": Form(
        """g (float[N, 4] x) => (float[N, 3] y)
        <float s_x = {0.015625}, uint8 z_x = {128}, float s_a = {0.03125}, uint8 z_a = {100}, float s_y = {0.0625},
         uint8 z_y = {128}, int8[3] z = {0, 0, 0}, float s_c = {0.01}, uint8 z_c = {0}, uint8 c = {50}> {
            q = QuantizeLinear (x, s_x, z_x)
            a = com.microsoft.QLinearAdd (q, s_x, z_x, q, s_x, z_x, s_a, z_a)
            p = com.microsoft.QGemm <transB = 1> (a, s_a, z_a, w, s, z, b, s_y, z_y)
            m = com.microsoft.QLinearMul (p, s_y, z_y, c, s_c, z_c, s_x, z_x)
            y = DequantizeLinear (m, s_x, z_x)
        }""",
        {"w": drawn("int8", 3, 4), "s": 0.2 * scales(3), "b": drawn("int32", 3, low=-900, high=900)},
        gradient=0.1,
    ),
    "ConvInteger": Form(
        f"""g (float[N, 2, 4, 4] x) => (float[N, 3, 2, 2] y) <uint8 z_w = {{120}}, float s_w = {{0.02}}> {{
            {DYNAMIC}
            c = ConvInteger (q, w, z, z_w)
            f = Cast <to = 1> (c)
            t = Mul (s, s_w)
            y = Mul (f, t)
        }}""",
        {"w": drawn("uint8", 3, 2, 3, 3)},
        x=(2, 4, 4),
        gradient=0.05,
    ),
    "MatMulInteger": Form(
        f"""g (float[N, 4] x) => (float[N, 3] y) <int8 z_w = {{0}}, float s_w = {{0.02}}> {{
            {DYNAMIC}
            c = MatMulInteger (q, w, z, z_w)
            f = Cast <to = 1> (c)
            t = Mul (s, s_w)
            y = Mul (f, t)
        }}""",
        {"w": drawn("int8", 4, 3)},
        gradient=0.05,
    ),
    "DynamicQuantizeMatMul": Form(
        """g (float[N, 4] x) => (float[N, 3] y) {
            y = com.microsoft.DynamicQuantizeMatMul (x, w, s, z, b)
        }""",
        {"w": drawn("int8", 4, 3), "s": scales(3), "z": np.zeros(3, np.int8), "b": scales(3)},
        gradient=0.05,
    ),
    "MatMulIntegerToFloat": Form(
        f"""g (float[N, 4] x) => (float[N, 3] y) <float s_w = {{0.02}}, uint8 z_w = {{131}}> {{
            {DYNAMIC}
            y = com.microsoft.MatMulIntegerToFloat (q, w, s, s_w, z, z_w)
        }}""",
        {"w": drawn("uint8", 4, 3)},
        gradient=0.05,
    ),
    "DynamicQuantizeLSTM": Form(
        """g (float[N, 5, 4] x) => (float[5, 1, N, 3] y) <float[1] s = {0.01}, int8[1] z = {0}> {
            t = Transpose <perm = [1, 0, 2]> (x)
            y = com.microsoft.DynamicQuantizeLSTM <hidden_size = 3> (t, w, r, , , , , , s, z, s, z)
        }""",
        {"w": drawn("int8", 1, 4, 12), "r": drawn("int8", 1, 3, 12, seed=2)},
        weights=("w", "r"),
        x=(5, 4),
    ),
    "QAttention": Form(
        """g (float[N, 2, 4] x) => (float[N, 2, 4] y) <float s_w = {0.01}, int8 z_w = {0}> {
            q, s, z = DynamicQuantizeLinear (x)
            y = com.microsoft.QAttention <num_heads = 2> (q, w, b, s, s_w, , z, z_w)
        }""",
        {"w": drawn("int8", 4, 12), "b": scales(12)},
        x=(2, 4),
    ),
    "QLinear operators around a product": Form(
        """g (float[N, 2, 4, 4] x) => (float[N, 3] y)
        <float s_x = {0.015625}, uint8 z_x = {128}, float s_y = {0.0625}, uint8 z_y = {128}, float s_s = {0.00390625},
         uint8 z_s = {0}, float s = {0.02}, int8 z = {0}> {
            q = QuantizeLinear (x, s_x, z_x)
            l = com.microsoft.QLinearLeakyRelu <alpha = 0.5> (q, s_x, z_x, s_x, z_x)
            c = com.microsoft.QLinearConcat <axis = 1> (s_x, z_x, l, s_x, z_x, q, s_x, z_x)
            a = com.microsoft.QLinearAveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c, s_x, z_x, s_x, z_x)
            g = com.microsoft.QLinearGlobalAveragePool <channels_last = 0> (a, s_x, z_x, s_x, z_x)
            f = Flatten (g)
            m = QLinearMatMul (f, s_x, z_x, w, s, z, s_y, z_y)
            i = com.microsoft.QLinearSigmoid (m, s_y, z_y, s_s, z_s)
            p = com.microsoft.QLinearSoftmax <axis = 1, opset = 12> (i, s_s, z_s, s_s, z_s)
            y = DequantizeLinear (p, s_s, z_s)
        }""",
        {"w": drawn("int8", 4, 3)},
        x=(2, 4, 4),
    ),
    "palette of floats": Form(
        """g (float[N, 4] x) => (float[N, 9] y) {
            i = Cast <to = 7> (w)
            t = Transpose <perm = [1, 0]> (i)
            f = Gather (palette, t)
            y = MatMul (x, f)
        }""",
        {"w": drawn("uint8", 9, 4, high=15), "palette": np.linspace(-0.3, 0.3, 16, dtype=np.float32)},
        gradient=1e-3,
        bits=4,
    ),
    "palette of codes, scaled a channel": Form(
        """g (float[N, 4] x) => (float[N, 3] y) {
            i = Cast <to = 6> (w)
            q = Gather <axis = 0> (palette, i)
            f = DequantizeLinear <axis = 1> (q, s)
            y = MatMul (x, f)
        }""",
        {"w": drawn("uint8", 4, 3, high=7), "palette": np.arange(-100, 100, 25, dtype=np.int8), "s": scales(3)},
        gradient=1e-3,
        rewritten=True,
        bits=3,
    ),
    "palette behind signed codes of all their bits": Form(
        """g (float[N, 4] x) => (float[N, 5] y) <float s = {0.02}> {
            i = Cast <to = 7> (w)
            d = DequantizeLinear (palette, s)
            f = Gather (d, i)
            y = MatMul (x, f)
        }""",
        {"w": drawn("int4", 4, 5), "palette": np.arange(-64, 64, 8, dtype=np.int8)},
        modes=("baked",),
        gradient=1e-3,
    ),
    "weights cast and scaled": Form(
        """g (float[N, 4] x) => (float[N, 3] y) {
            f = Cast <to = 1> (w)
            m = Mul (f, s)
            y = MatMul (x, m)
        }""",
        {"w": drawn("int8", 4, 3), "s": scales(3)},
        gradient=1e-3,
    ),
    "weights cast, shifted and scaled": Form(
        """g (float[N, 4] x) => (float[N, 3] y) {
            f = Cast <to = 1> (w)
            zf = Cast <to = 1> (z)
            c = Sub (f, zf)
            m = Mul (c, s)
            t = Transpose <perm = [1, 0]> (m)
            y = MatMul (x, t)
        }""",
        {"w": drawn("uint8", 3, 4), "z": drawn("uint8", 3, 1, seed=5), "s": scales(3, 1)},
        gradient=1e-3,
    ),
    "MatMulNBits": Form(
        """g (float[N, 32] x) => (float[N, 3] y) {
            y = com.microsoft.MatMulNBits <K = 32, N = 3, bits = 4, block_size = 16> (x, w, s, z)
        }""",
        {"w": drawn("uint8", 3, 2, 8), "s": scales(6), "z": drawn("uint8", 3, seed=4)},
        x=(32,),
        gradient=1e-3,
    ),
    "GatherBlockQuantized": Form(
        """g (float[N] x) => (float[N, 16] y) {
            i = Cast <to = 7> (x)
            y = com.microsoft.GatherBlockQuantized <block_size = 16, quantize_axis = 1> (w, i, s)
        }""",
        {"w": drawn("uint4", 3, 16), "s": scales(3, 1)},
        x=(),
        modes=("baked",),
    ),
    "table of embeddings": Form(
        """g (float[N] x) => (float[N, 5] y) <float s = {0.02}> {
            i = Cast <to = 7> (x)
            r = Gather (w, i)
            y = DequantizeLinear (r, s)
        }""",
        {"w": drawn("int8", 3, 5)},
        x=(),
    ),
    "FusedConv, FusedGemm and FusedMatMul": Form(
        """g (float[N, 2, 4, 4] x) => (float[N, 3] y) <float s = {0.02}, float[3] b = {9.0, 9.0, 9.0}> {
            f = DequantizeLinear (w, s)
            c = com.microsoft.FusedConv <activation = "Relu"> (x, f, b)
            l = Flatten (c)
            d = DequantizeLinear (v, s)
            p = com.microsoft.FusedGemm <activation = "LeakyRelu", activation_alpha = 1.0> (l, d)
            e = DequantizeLinear (u, s)
            y = com.microsoft.FusedMatMul <transB = 1, alpha = 0.5> (p, e)
        }""",
        {
            "w": drawn("int8", 3, 2, 3, 3, low=-20, high=20),
            "v": drawn("int8", 12, 3),
            "u": drawn("int8", 3, 3),
        },
        weights=("w", "v", "u"),
        x=(2, 4, 4),
        gradient=0.02,
    ),
    "Constant nodes": Form(
        """g (float[N, 2] x) => (float[N, 2] y) <float s = {0.5}> {
            w = Constant <value = int8[2, 2] {5, -60, 70, 8}> ()
            f = DequantizeLinear (w, s)
            y = MatMul (x, f)
        }""",
        x=(2,),
        gradient=1e-3,
        rewritten=True,
    ),
    "branches chosen by a constant": Form(
        """g (float[N, 2] x) => (float[N, 2] y) <float s = {0.5}, bool c = {1}> {
            [fork] y = If (c) <
                then_branch = t () => (float[N, 2] a) <int8[2, 2] w = {1, -20, 30, 4}> {
                    f = DequantizeLinear (w, s)
                    a = MatMul (x, f)
                },
                else_branch = e () => (float[N, 2] b) {
                    w = Constant <value = int8[2, 2] {5, -60, 70, 8}> ()
                    f = DequantizeLinear (w, s)
                    b = MatMul (x, f)
                }>
        }""",
        weights=("fork.then_branch/w", "fork.else_branch/w"),
        x=(2,),
        gradient=1e-3,
        rewritten=True,
    ),
    "branches chosen by the input": Form(
        """g (float[N, 2] x) => (float[N, 2] y) <float s = {0.5}, float zero = {0.0}> {
            r = ReduceSum <keepdims = 0> (x)
            c = Greater (r, zero)
            [fork] y = If (c) <
                then_branch = t () => (float[N, 2] a) {
                    f = DequantizeLinear (w, s)
                    a = MatMul (x, f)
                },
                else_branch = e () => (float[N, 2] b) <int8[2, 2] v = {9, -10, 77, 4}> {
                    f = DequantizeLinear (v, s)
                    b = MatMul (x, f)
                }>
        }""",
        {"w": drawn("int8", 2, 2)},
        weights=("w", "fork.else_branch/v"),
        x=(2,),
        levels=("basic",),  # beyond, ONNX Runtime 1.32 does not find a captured weight
    ),
    "weights in and through a Loop": Form(
        """g (float[N, 2] x) => (float[N, 2] y) <float s = {0.01}, int64 n = {2}, bool go = {1}> {
            [rounds] y, last = Loop (n, go, x, w) <
                body = b (int64 i, bool c, float[N, 2] h, int8[2, 2] carried)
                    => (bool d, float[N, 2] k, int8[2, 2] same) <int8[2, 2] v = {9, -10, 77, 4}> {
                    d = Identity (c)
                    f = DequantizeLinear (carried, s)
                    e = DequantizeLinear (v, s)
                    m = MatMul (h, f)
                    k = MatMul (m, e)
                    same = Identity (carried)
                }>
        }""",
        {"w": drawn("int8", 2, 2)},
        weights=("w", "rounds.body/v"),
        x=(2,),
    ),
    "weights in a Scan": Form(
        """g (float[N, 2] x) => (float[N, 2] y) <float s = {0.01}, float[1, 2] start = {0.0, 0.0}> {
            [rows] last, ys = Scan <
                num_scan_inputs = 1,
                body = b (float[1, 2] h, float[2] row) => (float[1, 2] k, float[1, 2] out) <int64[2] flat = {1, 2}> {
                    r = Reshape (row, flat)
                    f = DequantizeLinear (w, s)
                    m = MatMul (r, f)
                    k = Add (m, h)
                    out = Identity (k)
                }> (start, x)
            axis = Constant <value = int64[1] {1}> ()
            y = Squeeze (ys, axis)
        }""",
        {"w": drawn("int8", 2, 2)},
        x=(2,),
        levels=("basic",),  # beyond, ONNX Runtime 1.32 does not find a captured weight
    ),
    "weights inside and handed to functions": Form(
        """g (float[N, 2] x) => (float[N, 2] y) <float s = {0.02}, int32[2] b = {90, -70}> {
            h = local.Dense (x, w, b, s)
            y = local.Dense (h, v, b, s)
        }
        <domain: "local", opset_import: ["" : 21, "local" : 1]>
        Dense (a, codes, bias, scale) => (o) {
            own = Constant <value = int8[2, 2] {50, -60, 70, 8}> ()
            d = local.Real (own, scale)
            e = local.Real (codes, scale)
            c = local.Real (bias, scale)
            t = MatMul (a, d)
            o = Gemm (t, e, c)
        }
        <domain: "local", opset_import: ["" : 21]>
        Real (q, scale) => (r) { r = DequantizeLinear (q, scale) }""",
        {"w": drawn("int8", 2, 2), "v": drawn("int8", 2, 2, seed=9)},
        weights=("w", "v", "local.Dense/own"),
        x=(2,),
        modes=("node", "baked"),
        gradient=1e-3,
    ),
    "one memory, several readers": Form(
        """g (float[N, 3] x) => (float[N, 3] y) <float s = {0.02}, float t = {0.03}> {
            f = DequantizeLinear (w, s)
            a = MatMul (x, f)
            h = DequantizeLinear (w, t)
            b = MatMul (a, h)
            y = MatMul (b, f)
        }""",
        {"w": drawn("int8", 3, 3)},
        x=(3,),
        gradient=1e-2,
    ),
    "behind moves": Form(
        """g (float[N, 4] x) => (float[N, 3] y) <float s = {0.02}, int64[2] shape = {3, 4}> {
            i = Identity (w)
            r = Reshape (i, shape)
            t = Transpose <perm = [1, 0]> (r)
            f = DequantizeLinear (t, s)
            y = MatMul (x, f)
        }""",
        {"w": drawn("int8", 12)},
        gradient=1e-3,
        rewritten=True,
    ),
    "initializer that is an input too": Form(
        """g (float[N, 4] x, int8[4, 3] w) => (float[N, 3] y) <float s = {0.02}> {
            f = DequantizeLinear (w, s)
            y = MatMul (x, f)
        }""",
        {"w": drawn("int8", 4, 3)},
        gradient=1e-3,
    ),
}

FOLDED = [pytest.param(form, id=name) for name, form in FORMS.items()]
RUNNING = [pytest.param(form, id=name) for name, form in FORMS.items() if form.runs]


def spec_of(form):
    return InputSpec("x", "float32", "NCHW" if len(form.x) == 3 else "NC", form.x, "N", (-1.0,), (1.0,), "test")


@pytest.mark.parametrize("form", FOLDED)
def test_sites_are_those_of_the_form(form):
    model = form.build()
    before = to_bytes(model)
    sites = {site.name: site for site in find_sites(model)}
    assert to_bytes(model) == before  # looking changes nothing
    assert {name for name, site in sites.items() if site.role == "weight"} == set(form.weights)
    for name in form.weights:
        stored = codes(model, sites[name])
        assert (stored.shape, str(stored.dtype)) == (sites[name].shape, sites[name].dtype)
        assert sites[name].bits == (form.bits or ir.DataType.from_numpy(stored.dtype).bitwidth)
        assert sites[name].consumers


@pytest.mark.parametrize(
    ("form", "level"),
    [
        pytest.param(form, level, id=f"{name}-{level}")
        for name, form in FORMS.items()
        if form.runs
        for level in form.levels
    ],
)
def test_modes_agree_with_the_codes_put_in_by_hand(form, level):
    model, x, chip = form.build(), form.samples(), Chip(50_000)
    sites = fault_sites(model)
    clean = Runner(model, level=level, exact=False)(x)
    read = {site.name: chip.faults(site, ERRORS).apply(codes(model, site)) for site in sites}
    expected = Runner(with_codes(model, read), level=level, exact=False)(x)
    assert expected.tobytes() != clean.tobytes()
    for mode in form.modes:
        if mode == "input" and form.rewritten and level == "all":
            continue
        # Without faults the file computes what it did.
        assert (
            Runner(inject(model, sites, chip, BitErrors(0.0), mode), level=level, exact=False)(x).tobytes()
            == clean.tobytes()
        )
        injected = inject(model, sites, chip, ERRORS, mode)
        onnx.checker.check_model(ir.to_proto(injected))
        masks = chip_inputs(model, sites, chip, ERRORS) if mode == "input" else {}
        assert Runner(injected, level=level, exact=False)(x, extra=masks).tobytes() == expected.tobytes()


@pytest.mark.parametrize("form", FOLDED)
def test_what_cannot_be_injected_says_what_can(form):
    model = form.build()
    for mode in set(MODES) - set(form.modes):
        with pytest.raises(UnsupportedError, match="baked"):
            inject(model, fault_sites(model), Chip(50_000), ERRORS, mode)


@pytest.mark.parametrize("form", FOLDED)
def test_removing_restores_every_byte(form, tmp_path):
    model = form.build()
    before = to_bytes(model)
    for mode in form.modes:
        (tmp_path / "faulty.onnx").write_bytes(to_bytes(inject(model, fault_sites(model), Chip(50_000), ERRORS, mode)))
        assert (tmp_path / "faulty.onnx").read_bytes() != before
        assert to_bytes(remove(load(tmp_path / "faulty.onnx"))) == before
    assert to_bytes(model) == before


GENERATOR = """
<ir_version: 8, opset_import: ["" : {opset}]>
generator (float[N, {shape}] image) => (float[N, {shape}] protected)
<float s = {{0.01}}, float low = {{-1}}, float high = {{1}}, int8 c = {{20}}>
{{
    shift = DequantizeLinear (c, s)
    total = Add (image, shift)
    protected = Clip (total, low, high)
}}
"""


@pytest.mark.parametrize("form", [p for p in RUNNING if len(p.values[0].x) in (1, 3)])
def test_a_generator_goes_in_front_and_comes_off(form):
    base, spec, x = form.build(), spec_of(form), form.samples()
    shape = ", ".join(map(str, spec.image_shape))
    generator = ir.from_proto(onnx.parser.parse_model(GENERATOR.format(opset=form.opset, shape=shape)))
    fused = fuse(generator, base, spec, {"nfkit.format": "1"})
    expected = Runner(base, level="basic")(np.clip(x + np.float32(0.2), -1, 1))
    np.testing.assert_allclose(Runner(fused, level="basic")(x), expected, rtol=1e-5, atol=1e-5)
    assert [s.name for s in fault_sites(fused)] == [s.name for s in fault_sites(base)]
    assert to_bytes(split(fused)[1]) == to_bytes(base)


def test_what_onnx_runtime_wrote_itself_is_a_form_like_any_other(tmp_path):
    model, x = FORMS["QLinearConv"].build(), FORMS["QLinearConv"].samples()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(to_bytes(model), options, providers=["CPUExecutionProvider"])
    optimised = load(tmp_path / "optimised.onnx")
    chip, sites, own = Chip(50_000), fault_sites(optimised), fault_sites(model)
    assert [(s.shape, s.dtype) for s in sites] == [(s.shape, s.dtype) for s in own]
    # The same faults in the same weights, whatever ONNX Runtime made of their names.
    faults = chip.faults(own[0], ERRORS)
    faulty = with_codes(optimised, {sites[0].name: faults.apply(codes(optimised, sites[0]))})
    expected = Runner(inject(model, own, chip, ERRORS, "baked"), level="basic")(x)
    assert np.array_equal(Runner(faulty, level="basic")(x), expected)
    # From level `extended` on its kernels are exact on every processor; the tolerance is one code of the output.
    exact = Runner(faulty, level="all")(x)
    np.testing.assert_allclose(FrozenGraph(faulty)(torch.from_numpy(x)), exact, atol=0.26)


@pytest.mark.parametrize("form", [p for p in RUNNING if p.values[0].gradient is not None and len(p.values[0].x) == 1])
def test_evaluating_counts_and_measures(form):
    model, x = form.build(), form.samples(40)
    scores = Runner(model)(x)
    data = Dataset("own", x, scores.argmax(1).astype(np.int64))
    result = evaluate(model, data, spec_of(form), [ERRORS.at(0.0), ERRORS], chips=[50_000])
    assert result.clean_base == 1.0
    assert (result.rows[0].base, result.rows[0].flipped_bits) == (1.0, 0)
    assert 0 < result.rows[1].flipped_bits <= sum(site.count * site.bits for site in fault_sites(model))


REFUSED = (
    "DynamicQuantizeLSTM",
    "QAttention",
    "GatherBlockQuantized",
    "branches chosen by the input",
    "weights in and through a Loop",
    "weights in a Scan",
)
SMOOTH = [pytest.param(form, id=name) for name, form in FORMS.items() if form.gradient is not None and form.runs]


@pytest.mark.parametrize("form", SMOOTH)
def test_gradient_is_the_difference_quotient_of_onnx_runtime(form):
    model, x, random = form.build(), form.samples(), np.random.default_rng(11)
    assert find_unsupported(model) == []
    sites = fault_sites(model)
    frozen = FrozenGraph(model, sites)
    read = {site.name: Chip(50_000).faults(site, BitErrors(0.02)).apply(codes(model, site)) for site in sites}
    for stored in ({}, read):
        # Operators on codes are exact on every processor from level `extended` on, other forms computed one by one.
        level = "all" if "QLinearConv" in form.graph else "basic"
        runner, weights = Runner(with_codes(model, stored), level=level), frozen.weights(stored)
        x, step = 0.6 * x, 0.3 * np.sign(random.normal(size=x.shape)).astype(np.float32)
        start = torch.from_numpy(x).requires_grad_()
        computed = frozen(start, weights)
        expected = runner(x)
        spread = np.abs(expected).max()
        np.testing.assert_allclose(computed.detach(), expected, rtol=0, atol=0.5 * form.gradient * spread)
        cotangent = random.normal(size=expected.shape).astype(np.float32)
        (computed * torch.from_numpy(cotangent)).sum().backward()
        quotient = ((runner(x + step) - runner(x - step)) / 2 * cotangent).sum()
        change = float((start.grad * torch.from_numpy(step)).sum())
        scale = np.abs((runner(x + step) - runner(x - step)) / 2 * cotangent).sum()
        assert abs(change - quotient) <= form.gradient * scale
        assert change != 0


def test_qlinear_operators_have_the_gradients_of_their_float_twins():
    form = FORMS["QLinear operators around a product"]
    model, x = form.build(), torch.from_numpy(form.samples()).requires_grad_()
    weights = 0.02 * torch.from_numpy(form.arrays["w"].astype(np.float32))

    def twin(x):
        parts = torch.cat([torch.nn.functional.leaky_relu(x, 0.5), x], 1)
        pooled = torch.nn.functional.avg_pool2d(parts, 3, 1, 1, count_include_pad=False).mean((2, 3))
        return torch.softmax(torch.sigmoid(pooled @ weights), 1)

    cotangent = torch.randn(len(x), 3, generator=torch.Generator().manual_seed(0))
    computed, expected = FrozenGraph(model)(x), twin(x)
    np.testing.assert_allclose(computed.detach(), Runner(model, level="basic")(x.detach().numpy()), atol=1 / 256)
    (wanted,) = torch.autograd.grad((expected * cotangent).sum(), x)
    (got,) = torch.autograd.grad((computed * cotangent).sum(), x)
    assert (got - wanted).norm() <= 0.05 * wanted.norm()


@pytest.mark.parametrize("dtype", ["int2", "uint2"])
def test_codes_of_a_type_that_onnx_runtime_lacks_are_computed_here(dtype):
    form = FORMS[f"qdq {dtype}"]
    model, x = form.build(), form.samples()
    values = 0.02 * (form.arrays["w"].astype(np.float32) - form.arrays["z"].astype(np.float32))
    computed = FrozenGraph(model, fault_sites(model))(torch.from_numpy(x))
    np.testing.assert_allclose(computed, x @ values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", [pytest.param(FORMS[name], id=name) for name in REFUSED])
def test_what_has_no_gradient_is_named(form):
    model = form.build()
    found = find_unsupported(model)
    assert found
    with pytest.raises(UnsupportedError, match=found[0].op.rpartition(":")[2]):
        FrozenGraph(model)


@given(data=st.data(), name=st.sampled_from(list(FORMS)), rate=st.floats(0, 0.5), seed=st.integers(50_000, 999_999))
def test_any_sites_and_masks_come_back(data, name, rate, seed):
    form = FORMS[name]
    model = form.build()
    every = [site for site in find_sites(model) if site.role != "zero_point"]
    sites = data.draw(st.lists(st.sampled_from(every), unique_by=lambda site: site.name))
    errors = data.draw(st.sampled_from([BitErrors(rate), BitErrors(rate, "flip")]))
    mode = data.draw(st.sampled_from(form.modes))
    injected = inject(model, sites, Chip(seed), errors, mode)
    assert to_bytes(remove(injected)) == to_bytes(model)
    record = json.loads(injected.metadata_props["nfkit.faults"])
    assert (record["chip"], record["mode"]) == (seed, mode)
    if mode == "baked":
        for site in sites:
            read = Chip(seed).faults(site, errors).apply(codes(model, site))
            assert codes(injected, site).tobytes() == read.tobytes()
