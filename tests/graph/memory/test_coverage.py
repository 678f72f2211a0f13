"""How much of a model faults reach: counts by hand, and nothing that looks like a weight left out without a word."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.graph.memory.coverage import Coverage, LeftOut, coverage
from nfkit.graph.memory.sites import fault_sites

HEADER = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1, "acme" : 1]>\n'
HALVES = """g (float[N, 6] x) => (float[N, 4] y) <float s = {0.5}> {
    FIRST
    h = MatMul (x, f)
    v_f = DequantizeLinear (v, s)
    y = MatMul (h, v_f)
}"""


def halves(first, w, **arrays):
    """A model of 24 int8 weights v, behind 36 weights w in another form."""
    proto = onnx.parser.parse_model(HEADER + HALVES.replace("FIRST", first))
    for name, array in {"w": w, "v": np.ones((6, 4), np.int8), **arrays}.items():
        tensor = array if isinstance(array, onnx.TensorProto) else onnx.numpy_helper.from_array(array, name)
        proto.graph.initializer.append(tensor)
    return ir.from_proto(proto)


FLOAT8 = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT8E4M3FN, [6, 6], bytes(range(36)), raw=True)
FORMS = {
    "float8": ("f = DequantizeLinear (w, s)", FLOAT8, "codes of float8e4m3fn"),
    "floats": ("f = Identity (w)", np.eye(6, dtype=np.float32), "floats: not stored as integers"),
    "wide integers": ("c = Cast <to = 1> (w) f = Mul (c, s)", np.ones((6, 6), np.int64), "int64, a type that"),
    "32 bits": ("c = Cast <to = 1> (w) f = Mul (s, c)", np.ones((6, 6), np.int32), "codes of 32 bits"),
    "bits": ("f = Cast <to = 1> (w)", np.ones((6, 6), bool), "bool, a type that"),
    "another maker": ("f = acme.Unpack (w)", np.ones((6, 6), np.int8), "another maker (acme::Unpack)"),
    "quantised by the graph": (
        "q = QuantizeLinear (w, s) f = DequantizeLinear (q, s)",
        np.eye(6, dtype=np.float32),
        "nfkit fold stores them",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_that_are_no_site_are_left_out_by_name_and_reason(form):
    nodes, w, reason = FORMS[form]
    covered = coverage(halves(nodes, w))
    assert (covered.reached, covered.weights, covered.share) == (24, 60, 24 / 60)
    (entry,) = covered.left_out
    assert (entry.name, entry.count, reason in entry.reason) == ("w", 36, True)
    assert f"faults reach 24 of 60 weights (40.0 %), left out: 'w' (36, {entry.reason})" == covered.sentence()
    assert covered.to_dict() == {
        "sentence": covered.sentence(),
        "reached": 24,
        "weights": 60,
        "share": 0.4,
        "left_out": [{"name": "w", "count": 36, "reason": entry.reason}],
    }


def test_a_layer_of_another_maker_hides_its_weights():
    model = halves(
        "k = acme.Dense (x, w) f = DequantizeLinear (u, s)", np.ones((6, 6), np.int8), u=np.ones((6, 6), np.int8)
    )
    model.graph.outputs.append(next(v for n in model.graph for v in n.outputs if v.name == "k"))
    covered = coverage(model)
    assert covered.reached == 60
    assert covered.left_out == (LeftOut("w", 36, "integers behind operators of another maker (acme::Dense)"),)


def test_scales_biases_shapes_and_constants_are_no_weights(convnet):
    covered = coverage(convnet())
    assert (covered.reached, covered.complete) == (3 * 2 * 9 + 9, True)
    assert covered.sentence() == "faults reach all of the 63 weights"


def test_sites_that_are_not_chosen_are_left_out(convnet):
    model = convnet()
    covered = coverage(model, [site.name for site in fault_sites(model) if site.name != "d"])
    assert (covered.reached, covered.left_out) == (54, (LeftOut("d", 9, "not among the faulted sites"),))


def test_packed_codes_count_as_the_weights_that_they_are(parse):
    model = parse(
        HEADER
        + """g (float[N, 64] x) => (float[N, 3] y) {
            y = com.microsoft.MatMulNBits <K = 64, N = 3, bits = 4, block_size = 32> (x, w, s)
        }""",
        w=np.ones((3, 2, 16), np.uint8),
        s=np.ones(6, np.float32),
    )
    assert coverage(model).reached == 64 * 3


def test_what_no_output_depends_on_is_no_weight():
    model = halves(
        "f = DequantizeLinear (u, s) k = MatMul (x, w)", np.eye(6, dtype=np.float32), u=np.ones((6, 6), np.int8)
    )
    assert (coverage(model).reached, coverage(model).complete) == (60, True)


def test_the_weights_of_a_generator_count_on_request(parse):
    model = parse(
        HEADER
        + """g (float[N, 2] x) => (float[N, 2] y) <float s = {0.5}, int8[2, 2] v = {1, 2, 3, 4}> {
            a = MatMul (x, w)
            h = DequantizeLinear (v, s)
            y = MatMul (a, h)
        }""",
        w=np.eye(2, dtype=np.float32),
    )
    next(iter(model.graph)).metadata_props["nfkit.role"] = "generator"
    assert (coverage(model).weights, coverage(model).complete) == (4, True)
    assert [entry.name for entry in coverage(model, generator=True).left_out] == ["w"]


def test_a_sentence_names_the_largest_and_counts_the_rest():
    covered = Coverage(50, tuple(LeftOut(f"w{i}", 10, "floats") for i in range(5)))
    assert covered.sentence(2) == (
        "faults reach 50 of 100 weights (50.0 %), left out: 'w0' (10, floats); 'w1' (10, floats); and 3 more (30)"
    )
    assert Coverage(0, ()).sentence() == "the model holds nothing that looks like weights"
