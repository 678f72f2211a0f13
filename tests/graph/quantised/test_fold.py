"""Weights that the graph quantises become weights that the file stores; what is computed stays the same."""

import ml_dtypes
import numpy as np
import pytest

from nfkit.errors import ModelError, UnsupportedError
from nfkit.graph.memory.sites import codes, fault_sites, find_sites
from nfkit.graph.quantised.fold import fold
from nfkit.model import to_bytes

QAT = """
<ir_version: 10, opset_import: ["" : 21]>
g (float[N, 2, 4, 4] x) => (float[N, 2] y) <float s_x = {0.01}, uint8 z_x = {120}> {
    q = QuantizeLinear (x, s_x, z_x)
    d = DequantizeLinear (q, s_x, z_x)
    k_q = QuantizeLinear <axis = 0> (k, s_k, z_k)
    k_f = DequantizeLinear <axis = 0> (k_q, s_k, z_k)
    c = Conv (d, k_f)
    f = Flatten (c)
    v = Constant <value = float[12, 2] {V}> ()
    v_q = QuantizeLinear <axis = 0, block_size = 6, output_dtype = TYPE> (v, s_v)
    v_f = DequantizeLinear <axis = 0, block_size = 6> (v_q, s_v)
    y = MatMul (f, v_f)
}
"""


def build(parse, bits=8):
    random = np.random.default_rng(0)
    numbers = ", ".join(f"{v:.6f}" for v in random.normal(size=24))
    # Halves between two codes, and values beyond the range, besides the usual.
    kernel = random.integers(-400, 300, (3, 2, 3, 3)).astype(np.float32) / 2
    return parse(
        QAT.replace("V}", f"{numbers}}}").replace("TYPE", "3" if bits == 8 else "22"),
        k=kernel,
        s_k=np.array([1.0, 0.5, 0.7], np.float32),
        z_k=np.array([0, 3, -4], np.int8),
        s_v=random.uniform(0.005, 0.02, (2, 2)).astype(np.float32),
    )


@pytest.mark.parametrize("bits", [8, 4])
def test_folding_changes_no_bit_of_the_output(parse, execute, bits):
    model = build(parse, bits)
    before = to_bytes(model)
    folded = fold(model)
    x = np.random.default_rng(1).uniform(-2, 2, (9, 2, 4, 4)).astype(np.float32)
    assert execute(folded, {"x": x})[0].tobytes() == execute(model, {"x": x})[0].tobytes()
    assert to_bytes(model) == before
    assert {s.name: (s.bits, s.dtype) for s in fault_sites(folded)} == {
        "k": (8, "int8"),  # under the names of the weights that they are, not of the nodes that made them
        "v": (bits, f"int{bits}"),
    }
    # The floats are gone, from the initializers as from the nodes; the activations' quantiser stays.
    assert not [
        v for v in folded.graph.initializers.values() if v.const_value.size > 16 and v.dtype.is_floating_point()
    ]
    assert [node.op_type for node in folded.graph].count("Constant") == 0
    assert [node.op_type for node in folded.graph].count("QuantizeLinear") == 1


def test_codes_round_half_to_even_and_saturate(parse):
    folded = fold(build(parse))
    site = next(s for s in find_sites(folded) if s.name == "k")
    k = np.random.default_rng(0)
    k.normal(size=24)
    values = k.integers(-400, 300, (3, 2, 3, 3)) / 2
    expected = np.clip(np.rint(values[0]), -128, 127)
    assert codes(folded, site)[0].tolist() == expected.tolist()
    assert 127 in expected
    assert -128 in expected


def test_faulting_such_a_model_says_what_to_do(parse):
    with pytest.raises(ModelError, match=r"'k', 'v' are stored as floats .*nfkit fold"):
        fault_sites(build(parse))


def test_nothing_to_fold_is_said(convnet):
    with pytest.raises(ModelError, match="nothing to fold"):
        fold(convnet())


def test_codes_that_are_no_integers_are_refused(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[N, 2] x) => (float[N, 2] y) <float s = {0.1}> {
            [q8] q = QuantizeLinear <output_dtype = 17> (w, s)
            f = DequantizeLinear (q, s)
            y = MatMul (x, f)
        }
        """,
        w=np.eye(2, dtype=np.float32),
    )
    assert np.dtype(ml_dtypes.float8_e4m3fn).itemsize == 1
    with pytest.raises(UnsupportedError, match=r"'q8' quantises to float8_e4m3fn"):
        fold(model)


QCDQ = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[N, 6] x) => (float[N, 4] y)
<float s = {0.25}, TYPE z = {ZERO}, TYPE low = {LOW}, TYPE high = {HIGH}>
{
    BODY
    c = Clip (q, low, high)
    f = DequantizeLinear (c, s, z)
    y = MatMul (x, f)
}
"""


@pytest.mark.parametrize(
    ("kind", "low", "high", "bits"),
    [("int8", -8, 7, 4), ("int8", -7, 7, 4), ("int8", -1, 1, 2), ("uint8", 0, 15, 4), ("uint8", 0, 6, 3),
     ("int8", -127, 127, 8), ("uint8", 0, 254, 8)],
)  # fmt: skip
@pytest.mark.parametrize("stored", ["float", "codes", "moved"])
def test_clipped_codes_are_stored_with_the_bits_that_they_have(parse, execute, kind, low, high, bits, stored):
    body = {"float": "q = QuantizeLinear (w, s, z)", "codes": "q = Identity (w)"}.get(
        stored, "t = Transpose (w)\n    q = QuantizeLinear (t, s, z)"
    )
    text = QCDQ
    numbers = {"BODY": body, "TYPE": kind, "ZERO": 0, "LOW": low, "HIGH": high}
    for word, value in numbers.items():
        text = text.replace(word, str(value))
    random = np.random.default_rng(2)
    codes_in = random.integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, (6, 4))
    w = codes_in.astype(kind) if stored == "codes" else (codes_in * 0.25).astype(np.float32)
    model = parse(text, w=w.T.copy() if stored == "moved" else w)
    folded = fold(model)
    (site,) = fault_sites(folded)
    assert codes(folded, site).tolist() == codes_in.clip(low, high).tolist()
    assert (site.name, site.bits, site.dtype) == ("w", bits, kind)
    x = random.normal(size=(5, 6)).astype(np.float32)
    assert execute(folded, {"x": x})[0].tobytes() == execute(model, {"x": x})[0].tobytes()
    assert "Clip" not in {node.op_type for node in folded.graph}


def test_a_clip_of_activations_stays(parse):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        g (float[N, 4] x) => (float[N, 4] y) <float s = {0.25}, int8 z = {0}, int8 low = {-8}, int8 high = {7}> {
            q = QuantizeLinear (x, s, z)
            c = Clip (q, low, high)
            d = DequantizeLinear (c, s, z)
            k = QuantizeLinear (w, s, z)
            f = DequantizeLinear (k, s, z)
            y = MatMul (d, f)
        }
        """,
        w=np.eye(4, dtype=np.float32),
    )
    assert [n.op_type for n in fold(model).graph] == [
        "QuantizeLinear", "Clip", "DequantizeLinear", "DequantizeLinear", "MatMul",
    ]  # fmt: skip
