"""Layers, operations and parameters of graphs, against counts made by hand."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from nfkit.energy import SystolicArray, count, count_fused, count_macs, count_parameters
from nfkit.energy.shapes import infer_shapes
from nfkit.errors import OptionError, UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.injection.inject import inject
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import fault_sites
from nfkit.model import to_bytes


def one_node(parse, node, shape, weight=None):
    """A model of one node that reads x of the given shape and weights w."""
    axes = ", ".join(f"d{i}" for i in range(len(shape) - 1))
    text = f"""
    <ir_version: 10, opset_import: ["" : 18]>
    one (float[{", ".join(map(str, shape))}] x) => (float[M, {axes}] y)
    {{ [only] y = {node} }}
    """
    return parse(text, **({} if weight is None else {"w": np.ones(weight, np.float32)}))


@pytest.mark.parametrize(
    ("node", "shape", "weight", "expected"),
    [
        # output 4 x 6 x 5, 2 x 3 x 3 multiplications each
        ("Conv <pads = [1, 1, 1, 1]> (x, w)", ("N", 2, 6, 5), (4, 2, 3, 3), 4 * 6 * 5 * 2 * 3 * 3),
        # every second position: 4 x 3 x 3
        ("Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w)", ("N", 2, 6, 5), (4, 2, 3, 3), 4 * 3 * 3 * 2 * 3 * 3),
        # four groups of one channel each
        ("Conv <group = 4, pads = [1, 1, 1, 1]> (x, w)", ("N", 4, 6, 5), (4, 1, 3, 3), 4 * 6 * 5 * 3 * 3),
        # each of 2 x 6 x 5 inputs meets 4 x 4 x 4 weights, whatever the stride
        ("ConvTranspose <strides = [2, 2]> (x, w)", ("N", 2, 6, 5), (2, 4, 4, 4), 2 * 6 * 5 * 4 * 4 * 4),
        ("MatMul (x, w)", ("N", 7), (7, 3), 7 * 3),
        ("MatMul (x, w)", ("N", 5, 7), (7, 3), 5 * 7 * 3),
        ("Gemm (x, w)", ("N", 7), (7, 3), 7 * 3),
        ("Gemm <transB = 1> (x, w)", ("N", 7), (3, 7), 7 * 3),
        ("MatMul (x, w)", (16, 7), (7, 3), 7 * 3),  # a fixed batch counts one sample
        ("Relu (x)", ("N", 7), None, 0),
    ],
)
def test_operations_of_one_node(parse, node, shape, weight, expected):
    assert count_macs(one_node(parse, node, shape, weight)) == expected


def test_an_operand_of_unknown_shape_is_refused_by_name(parse):
    model = one_node(parse, "Conv <pads = [1, 1, 1, 1]> (x, w)", ("N", 2, "H", "W"), (4, 2, 3, 3))
    with pytest.raises(UnsupportedError, match=r"'only' \(Conv\)"):
        count_macs(model)


def test_operations_of_a_quantised_network(convnet):
    # 3 x 4 x 4 positions of 2 x 3 x 3, then a product of 3 x 3.
    assert count_macs(convnet()) == 3 * 4 * 4 * 2 * 3 * 3 + 3 * 3


def test_the_model_is_not_changed(convnet):
    model = convnet()
    before = to_bytes(model)
    count_macs(model)
    assert to_bytes(model) == before


def test_parameters_are_the_elements_of_weights(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        mixed (float[N, 4] x) => (float[N, 3] y)
        <float s = {0.5}, int64[2] shape = {-1, 4}>
        {
            r = Reshape (x, shape)
            w_f = DequantizeLinear (w, s)
            p = MatMul (r, w_f)
            y = Add (p, b)
        }
        """,
        w=np.ones((4, 3), np.int8),
        b=np.ones(3, np.float32),
    )
    assert count_parameters(model) == 4 * 3 + 3  # neither the scale nor the shape


def only(model, **options):
    """The one layer of a model."""
    counted = count(model, **options)
    assert counted.uncounted == ()
    (layer,) = counted.layers
    return layer


FORMS = {
    "Conv": "q = DequantizeLinear (w, s)  [only] y = Conv <pads = [1, 1, 1, 1]> (x, q)",
    "ConvInteger": "c, cs, cz = DynamicQuantizeLinear (x)  [only] y = ConvInteger <pads = [1, 1, 1, 1]> (c, w, cz)",
    "QLinearConv": """
        c = QuantizeLinear (x, s, z)
        [only] y = QLinearConv <pads = [1, 1, 1, 1]> (c, s, z, w, s, z, s, z)
    """,
    "FusedConv": """
        q = DequantizeLinear (w, s)
        [only] y = com.microsoft.FusedConv <pads = [1, 1, 1, 1], activation = "Relu"> (x, q)
    """,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_convolution_counts_the_same(parse, form):
    output = {"ConvInteger": "int32", "QLinearConv": "int8"}.get(form, "float")
    model = parse(
        f"""
        <ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>
        one (float[N, 2, 6, 5] x) => ({output}[N, 4, 6, 5] y)
        <float s = {{0.5}}, int8 z = {{0}}>
        {{ {FORMS[form]} }}
        """,
        w=np.ones((4, 2, 3, 3), np.int8),
    )
    layer = only(model)
    assert (layer.name, layer.positions, layer.depth, layer.outputs, layer.bits) == ("only", 30, 18, 4, 8)
    assert (layer.weights, layer.macs, layer.storage) == (72, 30 * 72, "w")


PRODUCTS = {
    "MatMul": ("q = DequantizeLinear (w, s)  [only] y = MatMul (x, q)", (7, 3), "float"),
    "weight on the left": (
        "t = Transpose <perm = [1, 0]> (x)  q = DequantizeLinear (w, s)  [only] y = MatMul (q, t)",
        (3, 7),
        "float",
    ),
    "Gemm": ("q = DequantizeLinear (w, s)  [only] y = Gemm <transB = 1> (x, q)", (3, 7), "float"),
    "MatMulInteger": ("c, cs, cz = DynamicQuantizeLinear (x)  [only] y = MatMulInteger (c, w, cz)", (7, 3), "int32"),
    "QLinearMatMul": (
        "c = QuantizeLinear (x, s, z)  [only] y = QLinearMatMul (c, s, z, w, s, z, s, z)",
        (7, 3),
        "int8",
    ),
    "QGemm": (
        "c = QuantizeLinear (x, s, z)  [only] y = com.microsoft.QGemm <transB = 1> (c, s, z, w, s, z, , s, z)",
        (3, 7),
        "int8",
    ),
    "FusedMatMul": (
        "q = DequantizeLinear (w, s)  [only] y = com.microsoft.FusedMatMul <transB = 1> (x, q)",
        (3, 7),
        "float",
    ),
    "FusedGemm": (
        'q = DequantizeLinear (w, s)  [only] y = com.microsoft.FusedGemm <activation = "Relu"> (x, q)',
        (7, 3),
        "float",
    ),
}


@pytest.mark.parametrize("form", PRODUCTS)
def test_every_form_of_a_product_counts_the_same(parse, form):
    nodes, shape, output = PRODUCTS[form]
    model = parse(
        f"""
        <ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>
        one (float[N, 7] x) => ({output}[A, B] y)
        <float s = {{0.5}}, int8 z = {{0}}>
        {{ {nodes} }}
        """,
        w=np.ones(shape, np.int8),
    )
    layer = only(model)
    assert (layer.positions, layer.depth, layer.outputs, layer.bits) == (1, 7, 3, 8)
    assert (layer.weights, layer.macs) == (21, 21)


def test_shapes_are_known_behind_runtime_operators(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>
        runtime (uint8[N, 2, 8, 8] x) => (uint8[N, 3] y)
        <float s = {0.5}, uint8 z = {0}, int64[2] flat = {-1, 32}>
        {
            a = com.microsoft.QLinearAdd (x, s, z, x, s, z, s, z)
            p = com.microsoft.QLinearAveragePool <kernel_shape = [2, 2], strides = [2, 2]> (a, s, z, s, z)
            r = Reshape (p, flat)
            y = com.microsoft.QGemm (r, s, z, w, s, z, , s, z)
        }
        """,
        w=np.ones((32, 3), np.uint8),
    )
    assert only(model).macs == 96


def test_packed_weights_of_four_bits(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>
        packed (float[N, 5, 64] x) => (float[N, 5, 3] y)
        { y = com.microsoft.MatMulNBits <K = 64, N = 3, bits = 4, block_size = 32> (x, w, s) }
        """,
        w=np.ones((3, 2, 16), np.uint8),
        s=np.ones(6, np.float32),
    )
    layer = only(model)
    assert (layer.positions, layer.depth, layer.outputs, layer.bits) == (5, 64, 3, 4)
    assert count(model).accesses == 64 * 3 * 4 / 64


def test_a_recurrent_layer_reads_its_recurrent_weights_every_step(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        recurrent (float[20, 1, 6] x) => (float[20, D, 1, 5] y)
        { y = LSTM <hidden_size = 5, direction = "bidirectional"> (x, w, r) }
        """,
        w=np.ones((2, 20, 6), np.float32),
        r=np.ones((2, 20, 5), np.float32),
    )
    # The first axis is time here: 20 samples could not be told from 20 steps, so the steps are read off the operator.
    entering, recurrent = count(model).layers
    assert (entering.positions, entering.depth, entering.outputs, entering.groups) == (20, 6, 20, 2)
    assert (recurrent.positions, recurrent.depth, recurrent.repeats, recurrent.groups) == (1, 5, 20, 2)
    assert SystolicArray().weight_reads(recurrent) == 20 * 2 * 20 * 5


def test_a_product_of_activations_has_operations_alone(parse):
    model = one_node(parse, "MatMul (x, x)", ("N", 4, 4))
    assert (only(model).macs, count(model).accesses, count(model).weights) == (64, 0, 0)


def test_stacked_weights_are_products_of_their_own(parse):
    layer = only(one_node(parse, "MatMul (x, w)", ("N", 3, 5, 7), (3, 7, 2)))
    assert (layer.groups, layer.positions, layer.depth, layer.outputs) == (3, 5, 7, 2)


def test_a_shared_weight_is_one_memory_and_read_twice(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        shared (float[N, 8] x) => (float[N, 8] y)
        { h = MatMul (x, w)  y = MatMul (h, w) }
        """,
        w=np.ones((8, 8), np.float32),
    )
    counted = count(model, weight_bits=8)
    assert (counted.weights, counted.reads, counted.accesses) == (64, 128, 16)


def test_floats_count_as_stored_unless_told(parse):
    model = one_node(parse, "MatMul (x, w)", ("N", 8), (8, 8))
    assert (count(model).accesses, count(model).float_bits) == (32, 32)
    assert (count(model, weight_bits=8).accesses, count(model, weight_bits=8).float_bits) == (8, None)
    assert count(model, preset="paper").accesses == 8


def test_weights_that_are_computed_from_constants_are_weights(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        computed (float[N, 8] x) => (float[N, 4] y)
        <float s = {0.5}, int64[2] extent = {8, 4}>
        { f = ConstantOfShape (extent)  q = QuantizeLinear (f, s)  d = DequantizeLinear (q, s)  y = MatMul (x, d) }
        """
    )
    layer = only(model)
    assert (layer.weights, layer.bits) == (32, 8)


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("Gather (w, i)", "depend on what is looked up"),
        ('Einsum <equation = "nm,mk->nk"> (x, w)', "no rule for this operator"),
        ("strange.Dense (x, w)", "of domain 'strange'"),
        ("com.microsoft.QAttention (x, w)", "of domain 'com.microsoft'"),
    ],
)
def test_what_cannot_be_counted_is_named(parse, node, reason):
    model = parse(
        f"""
        <ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1, "strange" : 1]>
        odd (float[N, 8] x, int64[N] i) => (float[N, M] y)
        {{ [odd_one] y = {node} }}
        """,
        w=np.ones((8, 4), np.float32),
    )
    counted = count(model)
    (entry,) = counted.uncounted
    assert (entry.name, counted.accesses) == ("odd_one", 0)
    assert reason in entry.reason
    with pytest.raises(UnsupportedError, match="odd_one"):
        count_macs(model)


def test_what_is_missing_is_said_in_a_sentence(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        odd (float[N, 8] x) => (float[N, 4] y) { [odd_one] y = Einsum <equation = "ij,jk->ik"> (x, w) }
        """,
        w=np.ones((8, 4), np.float32),
    )
    counted = count(model)
    why = (
        "energy leaves out what could not be counted in the base: Einsum 'odd_one': there is no rule for this operator"
    )
    assert str(counted.gap) == f"{why} (nfkit energy lists it)"
    assert replace(counted, uncounted=counted.uncounted * 3).gap.endswith(", and 2 more (nfkit energy lists it)")
    assert replace(counted, uncounted=()).gap is None


def test_functions_that_cannot_be_inlined_are_named(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18, "own" : 1]>
        calling (float[N, 8] x) => (float[N, 4] y)
        { [call] y = own.Dense (x, w) }
        <domain: "own", opset_import: ["" : 17]>
        Dense (a, b) => (c) { c = MatMul (a, b) }
        """,
        w=np.ones((8, 4), np.float32),
    )
    assert [str(entry) for entry in count(model).uncounted] == ["Dense 'call': its function cannot be inlined"]


def test_layers_of_unknown_shape_are_named_and_the_others_counted(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        half (float[N, 2, H, W] x, float[N, 8] z) => (float[N, 4, A, B] y, float[N, 4] u)
        { [free] y = Conv (x, k)  [fixed] u = MatMul (z, w) }
        """,
        k=np.ones((4, 2, 3, 3), np.float32),
        w=np.ones((8, 4), np.float32),
    )
    counted = count(model)
    assert [layer.name for layer in counted.layers] == ["fixed"]
    assert [entry.name for entry in counted.uncounted] == ["free"]
    assert "make_dynamic_shape_fixed" in counted.uncounted[0].reason


def test_the_paper_rounds_up_and_counts_what_its_tool_counted(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        strided (float[N, 2, 32, 32] x) => (float[N, 4, 16, 16] y)
        { c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w, b)  y = Relu (c) }
        """,
        w=np.ones((4, 2, 3, 3), np.float32),
        b=np.ones(4, np.float32),
    )
    true, paper = count(model, weight_bits=8), count(model, preset="paper")
    assert (true.accesses, true.macs) == (8 * 72 / 8, 256 * 72)
    assert (paper.accesses, paper.macs) == (10 * 72 / 8, 256 * 72 + 2 * 4 * 256)  # ceil(17 * 17 / 32) = 10


def test_injected_faults_change_no_count(convnet):
    model = convnet()
    sites = fault_sites(model)
    for mode in ("node", "input", "baked"):
        faulty = inject(model, sites, Chip(50_000), BitErrors(0.01), mode)
        assert count(faulty).to_dict() == count(model).to_dict()


def test_parts_of_a_fused_file_are_those_of_its_halves(parse, convnet):
    base = convnet()
    generator = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        generator (float[N, 2, 4, 4] image) => (float[N, 2, 4, 4] protected)
        <float s = {0.01}>
        { k_f = DequantizeLinear (k, s)  protected = Conv <pads = [1, 1, 1, 1]> (image, k_f) }
        """,
        k=np.ones((2, 2, 3, 3), np.int8),
    )
    fused = fuse(generator, base, find_input(base, value_range=(-1, 1)), {})
    for half, original, part in zip(count_fused(fused), (base, generator), ("base", "generator"), strict=True):
        alone = count(original)
        assert (half.weights, half.parameters, half.macs, half.accesses) == (
            alone.weights, alone.parameters, alone.macs, alone.accesses,
        )  # fmt: skip
        assert {layer.part for layer in half.layers} == {part}


@pytest.mark.parametrize(("options", "message"), [({"preset": "best"}, "true, paper"), ({"weight_bits": 0}, "from 1")])
def test_options_that_make_no_sense(convnet, options, message):
    with pytest.raises(OptionError, match=message):
        count(convnet(), **options)


def test_codes_count_as_parameters_and_scales_do_not(convnet):
    assert count_parameters(convnet()) == 3 * 2 * 9 + 3 * 3 + 3


def test_running_statistics_are_no_parameters(parse):
    names = ("scale", "shift", "mean", "variance")
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        normalised (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y)
        { y = BatchNormalization (x, scale, shift, mean, variance) }
        """,
        **{name: np.ones(3, np.float32) for name in names},
    )
    assert count_parameters(model) == 3 + 3


ARITHMETIC = {
    "the scale second": "g = Mul (f, s)",
    "the scale first": "g = Mul (s, f)",
    "shifted": "c = Sub (f, z)  g = Mul (c, s)",
    "added to": "m = Mul (f, s)  g = Add (m, o)",
    "added to, the offset first": "m = Mul (s, f)  g = Add (o, m)",
    "shifted by Add": "c = Add (z, f)  g = Mul (s, c)",
    "divided": "g = Div (f, s)",
    "scaled twice": "m = Mul (f, s)  g = Mul (o, m)",
}


@pytest.mark.parametrize("form", ARITHMETIC)
def test_weights_that_are_dequantised_by_arithmetic_count_as_their_codes(parse, form):
    model = parse(
        f"""
        <ir_version: 8, opset_import: ["" : 18]>
        one (float[N, 3, 16, 16] x) => (float[N, 6, 16, 16] y)
        <float o = {{0.01}}, float z = {{3.0}}>
        {{ f = Cast <to = 1> (w)  {ARITHMETIC[form]}  [only] y = Conv <pads = [1, 1, 1, 1]> (x, g) }}
        """,
        w=np.ones((6, 3, 3, 3), np.int8),
        s=np.full((6, 1, 1, 1), 0.02, np.float32),
    )
    layer = only(model)
    assert (layer.bits, layer.storage, layer.weights) == (8, "w", 6 * 27)
    assert count_parameters(model) == 6 * 27  # the six scales were not learned as weights
    assert count(model).float_bits is None


def test_codes_in_part_and_more_than_once_are_as_many_as_are_stored(parse):
    """Three quarters of one memory in two layers, and a memory of four that a layer reads as sixteen."""
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        shared (float[N, 4] x) => (float[N, 4] y)
        <float s = {0.5}, int64[4] sizes = {4, 4, 4, 4}, int64[2] times = {1, 4}>
        {
            a, b, c, unused = Split <axis = 1> (w, sizes)
            a_f = DequantizeLinear (a, s)  b_f = DequantizeLinear (b, s)  c_f = DequantizeLinear (c, s)
            h = MatMul (x, a_f)  i = MatMul (h, b_f)  j = MatMul (i, c_f)
            t_f = DequantizeLinear (t, s)  u = Tile (t_f, times)
            y = MatMul (j, u)
        }
        """,
        w=np.ones((4, 16), np.int8),
        t=np.ones((4, 1), np.int8),
    )
    counted = count(model)
    assert [layer.weights for layer in counted.layers] == [16, 16, 16, 16]
    assert counted.weights == 3 * 16 + 4


def test_what_no_output_depends_on_costs_nothing_and_is_not_looked_at(parse):
    text = """
    <ir_version: 8, opset_import: ["" : 18]>
    half (float[N, 4] x) => (float[N, 3] y)
    <float s = {0.5}>
    { f = DequantizeLinear (w, s)  y = MatMul (x, f)  DEAD }
    """
    dead = "d_f = DequantizeLinear (v, s)  d = MatMul (x, d_f)  e = Relu (d)"
    arrays = {"w": np.ones((4, 3), np.int8), "v": np.ones((4, 9), np.int8)}
    with_dead, without = parse(text.replace("DEAD", dead), **arrays), parse(text.replace("DEAD", ""), **arrays)
    assert count(with_dead).to_dict() == count(without).to_dict()
    assert count(with_dead).parameters == 12
    assert not {"d_f", "d", "e"} & infer_shapes(with_dead).keys()


def test_weights_that_the_input_masks_are_read_all_the_same(parse):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        masked (float[N, 4] x, bool[4, 3] mask) => (float[N, 3] y)
        <float s = {0.5}, float zero = {0.0}>
        { f = DequantizeLinear (w, s)  m = Where (mask, f, zero)  y = MatMul (x, m) }
        """,
        w=np.ones((4, 3), np.int8),
    )
    layer = only(model)
    assert (layer.bits, layer.storage, layer.weights, layer.positions) == (8, "w", 12, 1)


def test_a_layer_of_several_memories_has_the_name_of_the_largest_and_the_bits_of_the_widest(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 21]>
        joined (float[N, 4] x) => (float[N, 4] y) <float s = {0.5}> {
            a = DequantizeLinear (narrow, s)
            b = DequantizeLinear (wide, s)
            w = Concat <axis = 1> (a, b)
            y = MatMul (x, w)
        }
        """,
        narrow=np.ones((4, 3), ml_dtypes.int4),
        wide=np.ones((4, 1), np.int8),
    )
    layer = only(model)
    assert (layer.storage, layer.bits, layer.held, layer.weights) == ("narrow", 8, 16, 16)
