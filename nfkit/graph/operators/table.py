"""One entry an operator: everything that nfkit knows about it, in one place.

The sources are the operator sets of ONNX (Operators.md) and ONNX Runtime's own of the domain `com.microsoft`
(ContribOperators.md). An operator that is not here can be anything: what reads the table says what it does then.

**What passes weights on.** An operator *moves*, *joins* or *masks* where each element of its result is an element of
one of its operands, unchanged (for Clip: brought within bounds), or a filler that no code has a part in. Its result is
still the weight, so whatever is stored in front of it is memory of weights. Positions, shapes, indices and masks are no
values; they may even depend on the input.
"""

from __future__ import annotations

from nfkit.graph.operators.facts import Coded, Counted, Key, Operator, Role

ORT = "com.microsoft"
QONNX: frozenset[str] = frozenset({"qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas"})
"""Domains of QONNX, which FINN, hls4ml and Brevitas write (github.com/fastmachinelearning/qonnx)."""

_CONV: dict[int, Role] = {1: "weight", 2: "bias"}
_PRODUCT: dict[int, Role] = {0: "weight", 1: "weight"}
_GEMM: dict[int, Role] = {**_PRODUCT, 2: "bias"}
_RECURRENT: dict[int, Role] = {1: "weight", 2: "weight", 3: "bias"}
_ZERO_POINT = Coded("zero_point")

_PARTS = 1000
"""More tensors than any file joins by one operator."""

_MOVED = Operator(passes="moves")
_BLIND = Operator(blind=True)
_QLINEAR_CONV = Operator(
    codes={
        2: _ZERO_POINT,
        3: Coded("weight", scale=4, zero_point=5, axis=0, bias=8),
        5: _ZERO_POINT,
        7: _ZERO_POINT,
        8: Coded("bias"),
    },
    scales=(1, 4, 6),
    counted=Counted("convolution", 0, 3, 8),
)
_DEQUANTIZE = Operator(codes={2: _ZERO_POINT}, quantiser="dequantises", scales=(1,), shaped_like=("Relu", (0,)))
_QUANTIZE = Operator(codes={2: _ZERO_POINT}, quantiser="quantises", scales=(1,), shaped_like=("Relu", (0,)))
# A quantiser whose results are floats: scale, zero point and bits of a code are operands.
_IMITATE = Operator(codes={2: _ZERO_POINT}, quantiser="imitates", scales=(1, 3), shaped_like=("Relu", (0,)))


def _qlinear_unary(like: str | None = None) -> Operator:
    return Operator(
        codes={2: _ZERO_POINT, 4: _ZERO_POINT}, scales=(1, 3), shaped_like=(like, (0,)) if like is not None else None
    )


def _qlinear_binary(like: str) -> Operator:
    """Arithmetic on activations; an operand that is stored is a constant."""
    return Operator(
        codes={
            0: Coded("constant", scale=1, zero_point=2),
            2: _ZERO_POINT,
            3: Coded("constant", scale=4, zero_point=5),
            5: _ZERO_POINT,
            7: _ZERO_POINT,
        },
        scales=(1, 4, 6),
        shaped_like=(like, (0, 3)),
    )


_STANDARD: dict[str, Operator] = {
    # Layers on values.
    "Conv": Operator(_CONV, counted=Counted("convolution", bias=2)),
    "ConvTranspose": Operator(_CONV, counted=Counted("transposed", bias=2)),
    "DeformConv": Operator({1: "weight", 3: "bias"}),
    "Gemm": Operator(_GEMM, counted=Counted("product", bias=2), transposed="transB"),
    "MatMul": Operator(_PRODUCT, counted=Counted("product")),
    "Einsum": Operator(dict.fromkeys(range(8), "weight")),
    "Attention": Operator(dict.fromkeys(range(3), "weight")),
    "LSTM": Operator(_RECURRENT, counted=Counted("recurrence")),
    "GRU": Operator(_RECURRENT, counted=Counted("recurrence")),
    "RNN": Operator(_RECURRENT, counted=Counted("recurrence")),
    "BatchNormalization": Operator(statistics=(3, 4)),
    # Layers on codes.
    "ConvInteger": Operator(
        codes={1: Coded("weight", zero_point=3, axis=0), 2: _ZERO_POINT, 3: _ZERO_POINT},
        counted=Counted("convolution"),
    ),
    "MatMulInteger": Operator(
        codes={
            0: Coded("weight", zero_point=2, axis=0),
            1: Coded("weight", zero_point=3, axis=-1),
            2: _ZERO_POINT,
            3: _ZERO_POINT,
        },
        counted=Counted("product"),
    ),
    "QLinearConv": _QLINEAR_CONV,
    "QLinearMatMul": Operator(
        codes={
            0: Coded("weight", scale=1, zero_point=2, axis=0),
            2: _ZERO_POINT,
            3: Coded("weight", scale=4, zero_point=5, axis=-1),
            5: _ZERO_POINT,
            7: _ZERO_POINT,
        },
        scales=(1, 4, 6),
        counted=Counted("product", 0, 3),
    ),
    "DequantizeLinear": _DEQUANTIZE,
    "QuantizeLinear": _QUANTIZE,
    # A table, where the indices depend on the input; otherwise a choice of what is stored.
    **dict.fromkeys(("Gather", "GatherElements", "GatherND"), Operator({0: "weight"}, passes="moves")),
    # Values in other places, in part, or more than once.
    **dict.fromkeys(
        (
            "Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Split", "Expand", "Tile",
            "DepthToSpace", "SpaceToDepth", "ReverseSequence", "Compress", "Dropout", "SplitToSequence", "SequenceAt",
        ),
        _MOVED,
    ),
    # Values, and a filler around or among them.
    "Pad": Operator(passes="masks"),
    "Trilu": Operator(passes="masks"),
    # Several tensors in one.
    "Concat": Operator(passes="joins", passed=None),
    "ConcatFromSequence": _MOVED,
    "SequenceConstruct": Operator(passes="joins", passed=None),
    "ScatterElements": Operator(passes="joins", passed=(0, 2)),
    "Scatter": Operator(passes="joins", passed=(0, 2)),
    "ScatterND": Operator(passes="joins", passed=(0, 2)),
    "TensorScatter": Operator(passes="joins", passed=(0, 1)),
    # Values where a mask is set, and others (a filler, mostly) elsewhere.
    "Where": Operator(passes="masks", passed=(1, 2)),
    # Codes within bounds: what is stored may be beyond, what is read is not.
    "Clip": Operator(passes="masks"),
    # Shapes, indices, comparisons: nothing of a value remains.
    **dict.fromkeys(
        (
            "Shape", "Size", "ConstantOfShape", "Range", "OneHot", "NonZero", "ArgMax", "ArgMin", "EyeLike", "Equal",
            "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsNaN", "IsInf", "Not", "And", "Or", "Xor",
        ),
        _BLIND,
    ),
}  # fmt: skip

_RUNTIME: dict[str, Operator] = {
    # ONNX Runtime's layers on values.
    "FusedConv": Operator(_CONV, counted=Counted("convolution", bias=2), shaped_like=("Conv", (0, 1))),
    "NhwcFusedConv": Operator(_CONV),
    "FusedGemm": Operator(_GEMM, counted=Counted("product", bias=2), shaped_like=("Gemm", (0, 1)), transposed="transB"),
    "FusedMatMul": Operator(_PRODUCT, counted=Counted("product"), transposed="transB"),
    "FusedMatMulActivation": Operator(_PRODUCT),
    "TransposeMatMul": Operator(_PRODUCT),
    "GemmFastGelu": Operator(_CONV),
    "Attention": Operator(_CONV),
    "EmbedLayerNormalization": Operator(dict.fromkeys((2, 3, 4), "weight")),
    "Gelu": Operator(shaped_like=("Relu", (0,))),
    "QuickGelu": Operator(shaped_like=("Relu", (0,))),
    # Its layers on codes.
    "QLinearConv": _QLINEAR_CONV,
    "QGemm": Operator(
        codes={
            2: _ZERO_POINT,
            3: Coded("weight", scale=4, zero_point=5, axis=-1, bias=6),
            5: _ZERO_POINT,
            6: Coded("bias"),
            8: _ZERO_POINT,
        },
        scales=(1, 4, 7),
        counted=Counted("product", 0, 3, 6),
        shaped_like=("Gemm", (0, 3)),
        transposed="transB",
    ),
    "DynamicQuantizeMatMul": Operator(
        codes={1: Coded("weight", scale=2, zero_point=3, axis=-1), 3: _ZERO_POINT},
        counted=Counted("product", bias=4),
        shaped_like=("MatMul", (0, 1)),
    ),
    "MatMulIntegerToFloat": Operator(
        codes={
            0: Coded("weight", scale=2, zero_point=4, axis=0),
            1: Coded("weight", scale=3, zero_point=5, axis=-1),
            4: _ZERO_POINT,
            5: _ZERO_POINT,
        },
        counted=Counted("product", bias=6),
        shaped_like=("MatMul", (0, 1)),
    ),
    "DynamicQuantizeLSTM": Operator(
        codes={
            1: Coded("weight", scale=8, zero_point=9, axis=-1),
            2: Coded("weight", scale=10, zero_point=11, axis=-1),
            9: _ZERO_POINT,
            11: _ZERO_POINT,
        },
        counted=Counted("recurrence"),
    ),
    "QAttention": Operator(
        codes={1: Coded("weight", scale=4, zero_point=7, axis=-1), 6: _ZERO_POINT, 7: _ZERO_POINT}, scales=(3, 4)
    ),
    # Blobs: several codes a byte, faulted as the raw bits that they are.
    "MatMulNBits": Operator(
        codes={1: Coded("weight", packed="bits"), 3: _ZERO_POINT}, scales=(2,), counted=Counted("packed")
    ),
    "MatMulBnb4": Operator(codes={1: Coded("weight", packed="4")}, scales=(2,)),
    "GatherBlockQuantized": Operator(codes={0: Coded("weight", packed="bits"), 3: _ZERO_POINT}, scales=(2,)),
    "QMoE": Operator(codes={i: Coded("weight", packed="expert_weight_bits") for i in (2, 5, 8)}, scales=(3, 6, 9)),
    # Codes between layers.
    "DequantizeLinear": _DEQUANTIZE,
    "QuantizeLinear": _QUANTIZE,
    "QLinearAdd": _qlinear_binary("Add"),
    "QLinearMul": _qlinear_binary("Mul"),
    "QLinearAveragePool": _qlinear_unary("AveragePool"),
    "QLinearGlobalAveragePool": _qlinear_unary("GlobalAveragePool"),
    "QLinearLeakyRelu": _qlinear_unary("Relu"),
    "QLinearReduceMean": _qlinear_unary(),
    "QLinearSigmoid": _qlinear_unary("Relu"),
    "QLinearSoftmax": _qlinear_unary("Softmax"),
    "QLinearConcat": Operator(  # (y_scale, y_zero_point), then (codes, scale, zero_point) of each part
        codes={
            1: _ZERO_POINT,
            **{2 + 3 * i: Coded("constant", scale=3 + 3 * i, zero_point=4 + 3 * i) for i in range(_PARTS)},
            **{4 + 3 * i: _ZERO_POINT for i in range(_PARTS)},
        },
        scales=(0,),
        shaped_like=("Concat", tuple(2 + 3 * i for i in range(_PARTS))),
    ),
}

OPERATORS: dict[Key, Operator] = {
    **{("", name): facts for name, facts in _STANDARD.items()},
    **{(ORT, name): facts for name, facts in _RUNTIME.items()},
    (f"{ORT}.nchwc", "Conv"): Operator(_CONV),
    **{
        (domain, name): _IMITATE
        for domain in sorted(QONNX)
        for name in ("Quant", "IntQuant", "BipolarQuant", "FloatQuant")
    },
}

UNKNOWN = Operator()
"""What is known of an operator that has no entry."""
