"""A float model made ready for the quantiser computes what it did."""

import numpy as np
import onnx_ir as ir
import pytest

from nfkit.errors import ModelError, UnsupportedError
from nfkit.graph.quantised.preparation import prepare
from nfkit.graph.quantised.requantise import requantise


def feeds(model):
    shape = [5 if not isinstance(d, int) else d for d in model.graph.inputs[0].shape]
    return {"image": np.random.default_rng(2).uniform(-1, 1, shape).astype(np.float32)}


@pytest.mark.parametrize("opset", [9, 11, 13, 18])
def test_normalisations_are_folded_and_old_opsets_lifted(floatnet, execute, serialised, opset):
    model = floatnet(opset)
    before = serialised(model)
    prepared = prepare(model)
    assert serialised(model) == before
    assert prepared.folded == 1
    assert prepared.lifted_from == (opset if opset < 13 else None)
    assert prepared.model.opset_imports[""] == max(opset, 13)
    assert [n.op_type for n in prepared.model.graph if n.op_type != "Identity"] == [
        "Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm",
    ]  # fmt: skip
    assert {"gamma", "beta", "mean", "var"}.isdisjoint(prepared.model.graph.initializers)
    expected, found = (execute(m, feeds(model))[0] for m in (model, prepared.model))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)  # float32 products in another order


def test_constants_and_overridable_weights_become_initializers(parse, execute):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        g (float[N, 2] x, float[2, 2] w) => (float[N, 2] y)
        { b = Constant <value = float[2] {1, 2}> ()
          h = MatMul (x, w)
          y = Add (h, b) }
        """,
        w=np.eye(2, dtype=np.float32),
    )
    prepared = prepare(model)
    assert [v.name for v in prepared.model.graph.inputs] == ["x"]
    assert set(prepared.model.graph.initializers) == {"w", "b"}
    assert not prepared.changed
    x = {"x": np.ones((1, 2), np.float32)}
    np.testing.assert_array_equal(execute(prepared.model, x)[0], execute(model, x)[0])


def test_quantised_models_are_refused(convnet, parse):
    with pytest.raises(ModelError, match="quantised already"):
        prepare(requantise(convnet(), 4))
    integer = parse(
        '<ir_version: 8, opset_import: ["" : 18]> g (uint8[N, 2] x) => (int32[N, 2] y) { y = MatMulInteger (x, w) }',
        w=np.ones((2, 2), np.int8),
    )
    with pytest.raises(ModelError, match="MatMulInteger"):
        prepare(integer)
    weight_only = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        g (float[N, 2] x) => (float[N, 2] y)
        <float s = {0.5}>
        { f = DequantizeLinear (w, s)
          y = MatMul (x, f) }
        """,
        w=np.ones((2, 2), np.int8),
    )
    with pytest.raises(ModelError, match="DequantizeLinear"):
        prepare(weight_only)


def test_what_cannot_be_lifted_is_refused():
    model = ir.from_onnx_text(
        '<ir_version: 3, opset_import: ["" : 6]> g (float[2, 3] x) => (float[2, 3] y) { y = Upsample <mode = "x"> (x) }'
    )
    with pytest.raises(UnsupportedError, match="opset 6, quantising needs 13"):
        prepare(model)
