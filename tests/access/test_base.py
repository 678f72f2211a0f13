"""What answers: graphs, callables, chips; and answers that are none are not taken for any."""

import numpy as np
import pytest

from nfkit.access.base import Description, FunctionBase, GraphBase, Tensor, best_only, check_answers
from nfkit.access.chip import put_on_chip
from nfkit.access.input import find_input_of
from nfkit.access.runtime import Runner
from nfkit.errors import AccessError, NfkitError, OptionError, UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.injection.inject import count_faults, inject
from nfkit.graph.memory.sites import fault_sites

IMAGES = np.random.default_rng(3).uniform(-1, 1, (5, 2, 4, 4)).astype(np.float32)


def test_a_graph_answers_as_onnx_runtime(convnet):
    model = convnet()
    base = GraphBase(model, threads=1)
    assert np.array_equal(base(IMAGES), Runner(model, threads=1)(IMAGES))
    about = base.about
    assert (about.name, about.classes, about.answers) == ("convnet", 3, "scores")
    assert about.input == Tensor("image", "float32", (-1, 2, 4, 4))
    assert base.graph is model


def test_equal_graphs_have_one_identity(convnet):
    chip, sites = Chip(7), fault_sites(convnet())
    faulty = inject(convnet(), sites, chip, BitErrors(0.1), "baked")
    same, other = (GraphBase(model).about.identity for model in (convnet(), faulty))
    assert GraphBase(convnet()).about.identity == same != other


def test_codes_as_scores_become_floats(parse):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        g (uint8[2, 3] x) => (uint8[2, 3, 1] y) <int64[3] s = {2, 3, 1}> { y = Reshape (x, s) }
        """
    )
    base = GraphBase(model)
    x = np.array([[1, 2, 255], [0, 9, 1], [7, 7, 8]], np.uint8)
    answers = base(x)  # a fixed batch of two, and three samples
    assert answers.dtype == np.float32
    assert np.array_equal(answers, x)


@pytest.mark.parametrize("kind", ["stuck", "flip"])
def test_a_base_on_a_chip_is_the_file_with_its_errors(convnet, kind):
    model, chip, errors = convnet(), Chip(7), BitErrors(0.05, kind)
    sites = fault_sites(model)
    device = put_on_chip(model, chip, errors, threads=1)
    assert np.array_equal(device.base(IMAGES), Runner(inject(model, sites, chip, errors, "baked"), threads=1)(IMAGES))
    assert (device.faulty_cells, device.flipped_bits) == count_faults(model, sites, chip, errors)
    assert device.flipped_bits > 0


def test_of_a_protected_model_the_generator_is_spared(zoo, residual_generator):
    from nfkit.graph.fusion.fuse import fuse

    fused = fuse(residual_generator(1, 28, 28), zoo.model, zoo.spec, {})
    ours, bare = (put_on_chip(m, Chip(7), BitErrors(0.01), threads=1) for m in (fused, zoo.model))
    assert (ours.faulty_cells, ours.flipped_bits) == (bare.faulty_cells, bare.flipped_bits)


def function(given, answers="scores"):
    return FunctionBase(lambda x: given, Description("f", "1", Tensor("x", "float32", (-1, 2)), 3, answers))


X = np.zeros((2, 2), np.float32)


def test_a_callable_answers():
    assert np.array_equal(function([[1, 2, 3], [4, 5, 6]])(X), [[1, 2, 3], [4, 5, 6]])
    assert np.array_equal(function(np.ones((2, 3, 1, 1), np.int8))(X), np.ones((2, 3)))
    assert np.array_equal(function([2, 0], "top-1")(X), [[0, 0, 1], [1, 0, 0]])
    named = best_only(function([[1, 2, 3], [9, 5, 6]]))
    assert (named.about.answers, named(X).tolist()) == ("top-1", [[0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    ("given", "answers", "said"),
    [
        ([[1, 2, 3]], "scores", r"asked for 2 samples and answers with shape \[1, 3\]"),
        (7, "scores", r"answers with shape \[\]"),
        ([[1, 2], [3, 4]], "scores", "expected were scores of 3 classes"),
        (np.ones((2, 1)), "scores", "expected were scores of 3 classes"),
        ([["a", "b", "c"]] * 2, "scores", "no numbers"),
        ([[1, 2, np.nan], [1, 2, 3]], "scores", "sample 0 of 2"),
        ([[1, 2, 3], [1, np.inf, 3]], "scores", "sample 1 of 2"),
        ([[1, 2, 3], [1, 1e300, 3]], "scores", "sample 1 of 2"),
        ([0, 3], "top-1", "class 3, the classes are 0 to 2"),
        ([-1, 0], "top-1", "class -1"),
        ([0.0, 1.0], "top-1", "expected was one whole number"),
        ([[0, 1], [1, 0]], "top-1", "expected was one whole number"),
    ],
)
def test_answers_that_are_none(given, answers, said):
    with pytest.raises(AccessError, match=said):
        function(given, answers)(X)
    with pytest.raises(AccessError, match=said):
        check_answers(np.asarray(given), 2, 3, answers, "f")


def test_what_a_callable_raises_is_a_sentence():
    def fail(x):
        raise RuntimeError("the board is gone")

    about = Description("board", "1", Tensor("x", "float32", (-1, 2)), 3)
    with pytest.raises(AccessError, match="board fails on 2 samples: RuntimeError: the board is gone"):
        FunctionBase(fail, about)(X)


def test_free_axes_and_odd_outputs_are_refused(parse):
    free = parse("""<ir_version: 8, opset_import: ["" : 18]> g (float[N, M] x) => (float[N, M] y) { y = Relu (x) }""")
    with pytest.raises(UnsupportedError, match="free axes besides the batch"):
        GraphBase(free)
    single = parse("""<ir_version: 8, opset_import: ["" : 18]> g (float[N, 1] x) => (float[N, 1] y) { y = Relu (x) }""")
    with pytest.raises(NfkitError, match="one score a class"):
        GraphBase(single)


# --- inputs without a graph ---


def test_an_input_without_a_graph():
    spec = find_input_of(Tensor("v", "int8", (-1, 32, 32, 3)))
    assert (spec.name, spec.layout, spec.shape, spec.batch) == ("v", "NHWC", (32, 32, 3), "N")
    assert (spec.low, spec.high) == ((-128.0,), (127.0,))
    spec = find_input_of(Tensor("v", "float32", (4, 3, 32, 32)), value_range=(0.0, 1.0))
    assert (spec.layout, spec.batch, spec.low, spec.high) == ("NCHW", 4, (0.0,), (1.0,))


def test_what_it_leaves_open_is_asked_for():
    with pytest.raises(OptionError, match="give --input-layout"):
        find_input_of(Tensor("v", "float32", (-1, 32, 32, 32)))
    with pytest.raises(OptionError, match="give --range LOW HIGH"):
        find_input_of(Tensor("v", "float32", (-1, 3, 32, 32))).bounds()
