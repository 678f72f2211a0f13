"""Running models: faulty weights get in as if they were in the file, and every sample gets an answer."""

import numpy as np
import pytest

from nfkit import parallel
from nfkit.access.runtime import Runner, accuracy
from nfkit.errors import ModelError, OptionError, UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.injection.inject import chip_inputs, inject, with_codes
from nfkit.graph.memory.sites import fault_sites
from nfkit.model import to_bytes

ERRORS = BitErrors(0.01)


def classifier(parse, batch="N", axes="3", body="y = MatMul (x, w)", **arrays):
    text = f"""
    <ir_version: 10, opset_import: ["" : 18]>
    classifier (float[{batch}, 4] x) => (float[{batch}, {axes}] y)
    {{ {body} }}
    """
    arrays = arrays or {"w": np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)}
    return parse(text, **arrays)


def samples(count):
    return np.random.default_rng(1).normal(size=(count, 4)).astype(np.float32)


@pytest.mark.parametrize("level", ["none", "basic", "extended", "all"])
def test_replaced_weights_give_the_bits_of_the_baked_model(zoo, read_by, level):
    x, chip = zoo.spec.encode(zoo.test.x[:16]), Chip(50_000)
    baked = Runner(inject(zoo.model, zoo.sites, chip, ERRORS, "baked"), level=level)(x)
    replaced = Runner(with_codes(zoo.model, read_by(zoo.model, chip, ERRORS)), level=level)(x)
    assert np.array_equal(replaced, baked)
    assert not np.array_equal(replaced, Runner(zoo.model, level=level)(x))


# Forms in which optimisers fold, transpose or repack a weight before the first run.
FORMS = {
    "per axis and uint8": None,
    "weights alone, MatMul": ("4", "d = DequantizeLinear (w, s_w) y = MatMul (x, d)", (4, 3)),
    "weights alone, Gemm": ("4", "d = DequantizeLinear (w, s_w) y = Gemm <transB = 1> (x, d)", (3, 4)),
    "weights alone, Conv": (
        "2, 8, 8",
        "d = DequantizeLinear (w, s_w) c = Conv (x, d) p = GlobalAveragePool (c) y = Flatten (p)",
        (3, 2, 3, 3),
    ),
    "transposed codes": (
        "4",
        """q = QuantizeLinear (x, s, z) f = DequantizeLinear (q, s, z)
           t = Transpose (w) d = DequantizeLinear (t, s_w) y = MatMul (f, d)""",
        (3, 4),
    ),
    "transposed values": (
        "4",
        """q = QuantizeLinear (x, s, z) f = DequantizeLinear (q, s, z)
           d = DequantizeLinear (w, s_w) t = Transpose (d) y = MatMul (f, t)""",
        (3, 4),
    ),
    "QLinearMatMul": (
        "4",
        """q = QuantizeLinear (x, s, z) p = QLinearMatMul (q, s, z, w, s_w, z_w, s_y, z)
           y = DequantizeLinear (p, s_y, z)""",
        (4, 3),
    ),
    "MatMulInteger": (
        "4",
        "q = QuantizeLinear (x, s, z) i = MatMulInteger (q, w, z, z_w) c = Cast <to = 1> (i) y = Mul (c, s_w)",
        (4, 3),
    ),
}


@pytest.mark.parametrize("level", ["none", "basic", "extended", "all"])
@pytest.mark.parametrize("form", FORMS)
def test_replaced_weights_of_any_form_give_the_bits_of_the_baked_model(parse, convnet, read_by, form, level):
    if FORMS[form] is None:
        model, shape = convnet(), (2, 4, 4)
    else:
        axes, body, weights = FORMS[form]
        text = f"""
        <ir_version: 10, opset_import: ["" : 18]>
        form (float[N, {axes}] x) => (float[N, 3] y)
        <float s = {{0.0078125}}, uint8 z = {{128}}, float s_w = {{0.02}}, int8 z_w = {{0}}, float s_y = {{0.5}}>
        {{ {body} }}
        """
        model = parse(text, w=np.random.default_rng(0).integers(-128, 128, weights, np.int8))
        shape = tuple(int(axis) for axis in axes.split(","))
    x, chip, errors = np.random.default_rng(1).uniform(-1, 1, (9, *shape)).astype(np.float32), Chip(7), BitErrors(0.1)
    baked = Runner(inject(model, fault_sites(model), chip, errors, "baked"), level=level)(x)
    replaced = Runner(with_codes(model, read_by(model, chip, errors)), level=level)(x)
    assert np.array_equal(replaced, baked)
    assert not np.array_equal(replaced, Runner(model, level=level)(x))


def test_replaced_weights_leave_model_and_other_runners_alone(zoo, read_by):
    x, before = zoo.spec.encode(zoo.test.x[:8]), to_bytes(zoo.model)
    clean = Runner(zoo.model)
    expected = clean(x)
    Runner(with_codes(zoo.model, read_by(zoo.model, Chip(50_000), ERRORS)))(x)
    assert np.array_equal(clean(x), expected)
    assert to_bytes(zoo.model) == before


def test_masks_that_are_fed_give_the_bits_of_the_baked_model(zoo):
    x = zoo.spec.encode(zoo.test.x[:8])
    fed = Runner(inject(zoo.model, zoo.sites, Chip(50_000), ERRORS, "input"), level="basic")
    assert np.array_equal(fed(x), Runner(zoo.model, level="basic")(x))
    for seed in (50_000, 50_001):
        baked = Runner(inject(zoo.model, zoo.sites, Chip(seed), ERRORS, "baked"), level="basic")
        assert np.array_equal(fed(x, extra=chip_inputs(zoo.model, zoo.sites, Chip(seed), ERRORS)), baked(x))


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_fixed_batch_takes_any_number_of_samples(parse, count):
    fixed, free = Runner(classifier(parse, batch="3")), Runner(classifier(parse))
    assert (fixed.fixed_batch, free.fixed_batch) == (3, None)
    assert fixed(samples(count)).shape == (count, 3)
    # One product of four terms a number: whatever the batch, the same sum.
    np.testing.assert_allclose(fixed(samples(count)), free(samples(count)), rtol=1e-6)


def test_the_size_of_batches_does_not_count(parse):
    runner = Runner(classifier(parse))
    whole = runner(samples(10))
    for batch in (1, 3, 10, 64):
        np.testing.assert_allclose(runner(samples(10), batch=batch), whole, rtol=1e-6)


def test_outputs_that_are_no_numbers_are_no_class_and_count_as_wrong(parse):
    body = "p = MatMul (x, w) y = Log (p)"
    runner = Runner(classifier(parse, body=body, w=np.eye(4, 3, dtype=np.float32)))
    x = np.array([[1, 2, 3, 0], [1, -2, 3, 0], [3, 2, 1, 0], [-1, -1, -1, 0]], np.float32)
    assert runner.classify(x).tolist() == [2, -1, 0, -1]
    assert accuracy(runner, x, np.array([2, 2, 0, 0])) == 0.5


def test_integer_scores_are_classified(parse):
    body = "p = MatMul (x, w) y = Cast <to = 6> (p)"
    model = parse(
        f"""
        <ir_version: 10, opset_import: ["" : 18]>
        integer (float[N, 4] x) => (int32[N, 3] y)
        {{ {body} }}
        """,
        w=np.eye(4, 3, dtype=np.float32),
    )
    assert Runner(model).classify(np.array([[1, 9, 3, 0], [7, 2, 3, 0]], np.float32)).tolist() == [1, 0]


@pytest.mark.parametrize(("axes", "shape"), [("3", "-1, 3"), ("1, 1, 3", "-1, 1, 1, 3"), ("3, 1, 1", "-1, 3, 1, 1")])
def test_classes_of_a_classifier(parse, axes, shape):
    count = shape.count(",") + 1
    body = f"p = MatMul (x, w) s = Constant <value = int64[{count}] {{{shape}}}> () y = Reshape (p, s)"
    runner = Runner(classifier(parse, axes=axes, body=body))
    assert runner.classes(samples(2)) == 3
    assert runner.classify(samples(5)).shape == (5,)


@pytest.mark.parametrize(
    ("axes", "body"),
    [
        ("1", "y = ReduceSum (p, a)"),
        ("3, 3", "u = Unsqueeze (p, a) t = Transpose <perm = [0, 2, 1]> (u) y = MatMul (t, u)"),
    ],
)
def test_outputs_that_are_no_score_a_class_are_refused(parse, axes, body):
    model = classifier(parse, axes=axes, body=f"p = MatMul (x, w) a = Constant <value = int64[1] {{1}}> () {body}")
    with pytest.raises(UnsupportedError, match=r"output 'y' has shape .*accuracy needs one score a class"):
        Runner(model).classes(samples(2))


def test_an_output_without_a_class_axis_is_refused(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        flat (float[N, 4] x) => (float[N] y)
        <int64[1] a = {1}>
        { y = ReduceSum <keepdims = 0> (x, a) }
        """
    )
    with pytest.raises(UnsupportedError, match="accuracy needs one score a class"):
        Runner(model).classes(samples(2))


def test_an_unknown_level_is_refused(parse):
    with pytest.raises(OptionError, match="level 'most': choose one of none, basic, extended, all"):
        Runner(classifier(parse), level="most")


def test_a_model_that_cannot_run_is_refused_in_one_sentence():
    with pytest.raises(ModelError, match=r"^ONNX Runtime \S+ refuses the model: .") as refusal:
        Runner(b"no model")
    assert "\n" not in str(refusal.value)


def test_samples_that_do_not_fit_are_refused_in_one_sentence(parse):
    with pytest.raises(ModelError, match=r"^ONNX Runtime \S+ fails on the data: .") as refusal:
        Runner(classifier(parse))(np.zeros((2, 5), np.float32))
    assert "\n" not in str(refusal.value)


def test_model_without_inputs_is_refused(parse):
    model = parse('<ir_version: 8, opset_import: ["" : 18]> g () => (float[1] y) <float[1] w = {1}> { y = Relu (w) }')
    with pytest.raises(ModelError, match="takes no input, so there is nothing to run it on"):
        Runner(model)


@pytest.mark.parametrize("size", ["N", "1", "7"])
@pytest.mark.parametrize("level", ["none", "basic", "extended", "all"])
def test_batches_side_by_side_give_the_bits_of_one_after_another(blocks, size, level, monkeypatch):
    monkeypatch.setattr(parallel, "_pinned", 4)
    parallel._pool.cache_clear()
    x = np.random.default_rng(2).normal(size=(1100, 2, 4, 4)).astype(np.float32)
    model = blocks(size)
    expected = Runner(model, level=level, threads=1)(x)
    found = Runner(model, level=level, samples=len(x))(x)
    parallel._pool.cache_clear()
    assert len(np.unique(expected, axis=0)) > 100
    np.testing.assert_array_equal(found, expected)
