"""Early answers: each image as if it were alone, the base in a branch as it was, and the same in two files."""

import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from scipy.special import log_softmax

from nfkit.access.runtime import Runner
from nfkit.energy.count import count, count_fused
from nfkit.errors import ModelError, UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.early import condition
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.modes.taking import run_always
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.split import answer_stage, evidence_model, split
from nfkit.graph.fusion.trust import Trust, combine
from nfkit.graph.fusion.two_files import SURE, front_and_back
from nfkit.graph.injection.inject import inject, remove, with_codes
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import fault_sites
from nfkit.graph.quantised.requantise import requantise
from nfkit.model import load, save, to_bytes

ONE_OUTPUT = (
    "logits", "probabilities", "log-probabilities", "dequantised", "int8-probabilities", "uint8-logits", "qlinear",
    "deep-codes", "float16",
)  # fmt: skip
TRUST = Trust(sharpness=0.7, doubt=0.3, weight=0.6, temperature=1.5)
NEVER = 2.0


@pytest.fixture(scope="module")
def early_of(base_of, looker, images, execute):
    """early_of(form, ...): the fused model, its base and the answer that it was given."""

    def build(form, trust=TRUST, threshold=0.8, opset=18, pushes=False):
        base = base_of(form, opset)
        answer = Answer(find_form(base, execute(base, {"image": images})[0]), trust, threshold)
        return (
            fuse(looker(opset, pushes), base, find_input(base, layout="NCHW", value_range=(-1, 1)), {}, answer),
            base,
            answer,
        )

    return build


def shares(evidence, trust):
    return log_softmax(evidence.astype(np.float64) / trust.temperature, axis=1)


@pytest.mark.parametrize("form", ONE_OUTPUT)
@pytest.mark.parametrize("batch", [1, 64])
def test_sure_images_get_the_evidences_answer_and_others_both(early_of, images, execute, form, batch):
    fused, base, answer = early_of(form)
    runner = Runner(fused, level="basic", threads=1)
    got = runner(images, batch=batch).reshape(len(images), -1)
    logs = shares(execute(evidence_model(fused), {"image": images})[0], TRUST)
    sure = np.exp(logs.max(1)) >= answer.threshold
    assert 20 < sure.sum() < 180
    both = combine(
        answer.form.log_scores(execute(base, {"image": images})[0]),
        execute(evidence_model(fused), {"image": images})[0],
        TRUST,
    )
    wanted = np.where(sure[:, None], logs, both)
    assert (got.argmax(1) == wanted.argmax(1)).all()
    assert (wanted.argmax(1) != both.argmax(1)).any()


def test_no_answer_depends_on_its_company(early_of, images):
    fused, *_ = early_of("int8-probabilities")
    runner = Runner(fused, level="basic", threads=1)
    one_by_one = runner(images, batch=1)
    for batch in (2, 7, 64, 200):
        np.testing.assert_array_equal(runner(images, batch=batch), one_by_one)


def test_the_base_does_not_run_where_all_are_sure(early_of, images, execute):
    """A base that would fail on its input fails only where it runs."""
    fused, *_ = early_of("logits", threshold=0.0)
    weight = with_codes(fused, {"w": np.zeros((32, 3), np.int8)})
    assert execute(weight, {"image": images})[0].tobytes() == execute(fused, {"image": images})[0].tobytes()
    fused, *_ = early_of("logits", threshold=NEVER)
    weight = with_codes(fused, {"w": np.zeros((32, 3), np.int8)})
    assert execute(weight, {"image": images})[0].tobytes() != execute(fused, {"image": images})[0].tobytes()


@pytest.mark.parametrize("form", ONE_OUTPUT)
@pytest.mark.parametrize("level", ["basic", "all"])
def test_in_the_branch_the_base_computes_what_it_did(early_of, images, form, level):
    fused, base, _ = early_of(form, Trust(weight=0.0), NEVER)
    before, after = (Runner(model, level=level, threads=1)(images) for model in (base, fused))
    assert before.tobytes() == after.tobytes()


def test_a_real_base_is_bit_identical_in_the_branch_at_every_level(zoo, parse):
    text = """
    <ir_version: 8, opset_import: ["" : OPSET]>
    generator (float[N, 1, 28, 28] image) => (float[N, 10] evidence) {
        flat = Flatten (image)
        evidence = MatMul (flat, k)
    }
    """.replace("OPSET", str(zoo.model.opset_imports[""]))
    generator = parse(text, k=np.random.default_rng(0).normal(0, 0.1, (784, 10)).astype(np.float32))
    x = zoo.spec.encode(zoo.test.x[:64])
    form = find_form(zoo.model, Runner(zoo.model)(x))
    fused = fuse(generator, zoo.model, zoo.spec, {}, Answer(form, Trust(weight=0.0), NEVER))
    assert to_bytes(split(fused)[1]) == to_bytes(zoo.model)
    for level in ("none", "basic", "extended", "all"):
        before, after = (Runner(model, level=level)(x) for model in (zoo.model, fused))
        assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize("form", ONE_OUTPUT)
@pytest.mark.parametrize("pushes", [False, True])
def test_splitting_gives_back_the_base(early_of, form, pushes, tmp_path):
    fused, base, _ = early_of(form, pushes=pushes)
    assert to_bytes(split(fused)[1]) == to_bytes(base)
    save(fused, tmp_path / "early.onnx")
    assert to_bytes(split(load(tmp_path / "early.onnx"))[1]) == to_bytes(base)


@pytest.mark.parametrize("opset", range(13, 22))
def test_every_opset_from_13_on(early_of, images, execute, opset):
    fused, *_ = early_of("probabilities", opset=opset)
    onnx.checker.check_model(ir.to_proto(fused), full_check=True)
    expected, *_ = early_of("probabilities")
    np.testing.assert_allclose(
        execute(fused, {"image": images})[0], execute(expected, {"image": images})[0], rtol=1e-5, atol=1e-7
    )


def test_memories_keep_their_names_and_can_err(early_of, images, execute):
    fused, base, answer = early_of("int8-probabilities", threshold=NEVER)
    assert condition(fused) is not None
    assert fault_sites(fused) == fault_sites(base)
    chip, errors = Chip(50000), BitErrors(0.1)
    codes = {
        site.name: chip.faults(site, errors).apply(base.graph.initializers[site.name].const_value.numpy())
        for site in fault_sites(base)
    }
    evidence = execute(evidence_model(fused), {"image": images})[0]
    broken = execute(with_codes(base, codes), {"image": images})[0]
    wanted = combine(answer.form.log_scores(broken), evidence, TRUST).argmax(1)
    assert (execute(with_codes(fused, codes), {"image": images})[0].argmax(1) == wanted).all()
    for mode in ("node", "baked"):
        injected = inject(fused, fault_sites(fused), chip, errors, mode)
        assert (execute(injected, {"image": images})[0].argmax(1) == wanted).all()
        assert to_bytes(remove(injected)) == to_bytes(fused)


def test_constants_and_branches_of_the_base_keep_their_names(parse, looker, images, execute):
    """Two memories that are no initializers of the main graph: a Constant node, and one inside a branch of the base."""
    base = parse(
        """
        <ir_version: 7, opset_import: ["" : 18]>
        base (float[N, 2, 4, 4] image) => (float[N, 3] scores) <float s = {0.0078125}, float zero = {0}> {
            flat = Flatten (image)
            w_f = DequantizeLinear (w, s)
            l = MatMul (flat, w_f)
            total = ReduceSum <keepdims = 0> (image)
            positive = Greater (total, zero)
            [choice] scores = If (positive) <
                then_branch = plus () => (float[N, 3] a) <int8[3] u = {10, -20, 30}> {
                    u_f = DequantizeLinear (u, s)
                    a = Mul (l, u_f)
                },
                else_branch = times () => (float[N, 3] b) { b = Mul (l, s) }
            >
        }
        """,
        w=np.random.default_rng(3).integers(-127, 128, (32, 3), np.int8),
    )
    form = find_form(base, execute(base, {"image": images})[0])
    fused = fuse(looker(), base, find_input(base, layout="NCHW", value_range=(-1, 1)), {}, Answer(form, TRUST, 0.8))
    roles = ("weight", "constant", "bias")
    assert fault_sites(fused, roles=roles) == fault_sites(base, roles=roles)
    assert to_bytes(split(fused)[1]) == to_bytes(base)


@pytest.mark.parametrize("threshold", [None, 0.8])
def test_memories_named_by_the_output_keep_their_names_behind_an_answer(looker, images, execute, parse, threshold):
    """The output bears another name behind an answer stage, and an If without a name is called by its output."""
    base = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        base (float[N, 2, 4, 4] image) => (float[N, 3] scores) <float s = {0.0078125}, bool taken = {1}> {
            flat = Flatten (image)
            scores = If (taken) <
                then_branch = one () => (float[N, 3] a) { w_f = DequantizeLinear (w, s)  a = MatMul (flat, w_f) },
                else_branch = other () => (float[N, 3] b) {
                    u = Constant <value = int8[1, 3] {10, -20, 30}> ()
                    u_f = DequantizeLinear (u, s)
                    b = Mul (u_f, u_f)
                }
            >
        }
        """,
        w=np.random.default_rng(3).integers(-127, 128, (32, 3), np.int8),
    )
    form = find_form(base, execute(base, {"image": images})[0])
    fused = fuse(
        looker(), base, find_input(base, layout="NCHW", value_range=(-1, 1)), {}, Answer(form, TRUST, threshold)
    )
    for model in (base, fused):
        assert [s.name for s in fault_sites(model, roles=("weight", "constant"))] == ["w", "scores.else_branch/u"]
    assert [layer.name for layer in count_fused(fused)[0].layers] == [layer.name for layer in count(base).layers]


def test_energy_is_counted_as_if_the_base_ran(early_of):
    always, *_ = early_of("logits", threshold=None)
    early, *_ = early_of("logits")
    for one, other in zip(count_fused(always), count_fused(early), strict=True):
        assert (one.accesses, one.macs) == (other.accesses, other.macs)


def test_a_model_that_always_runs_answers_alike(early_of, images, execute):
    fused, base, _ = early_of("uint8-logits")
    straight = run_always(fused)
    assert condition(straight) is None
    assert execute(straight, {"image": images})[0].tobytes() == execute(fused, {"image": images})[0].tobytes()
    assert to_bytes(split(straight)[1]) == to_bytes(base)


def test_fewer_bits_in_a_branch(early_of, images, execute):
    fused, base, _ = early_of("logits")
    narrow = requantise(fused, 4)
    assert to_bytes(split(narrow)[1]) == to_bytes(requantise(base, 4))


@pytest.mark.parametrize("form", ONE_OUTPUT)
@pytest.mark.parametrize("pushes", [False, True])
def test_two_files_answer_as_the_one_does(early_of, images, execute, form, pushes):
    fused, base, answer = early_of(form, pushes=pushes)
    front, back = front_and_back(fused)
    for model in (front, back):
        onnx.checker.check_model(ir.to_proto(model), full_check=True)
        assert json.loads(model.metadata_props["nfkit.early"])["threshold"] == pytest.approx(answer.threshold)
        assert not any(node.op_type in ("If", "Loop", "Scan") for node in model.graph)
    assert [v.name for v in front.graph.outputs][:2] == [base.graph.outputs[0].name, SURE]
    given, sure, evidence, *changed = execute(front, {"image": images})
    rest = ~sure
    seen = changed[0] if pushes else images
    given[rest] = execute(back, {"image": seen[rest], "nfkit/generator/evidence": evidence[rest]})[0]
    assert given.tobytes() == execute(fused, {"image": images})[0].tobytes()


def test_two_files_need_early_answers(early_of):
    with pytest.raises(ModelError, match="no early answers"):
        front_and_back(early_of("logits", threshold=None)[0])


def test_further_outputs_are_refused(early_of):
    with pytest.raises(UnsupportedError, match="further outputs \\(flat\\)"):
        early_of("two-outputs")


def test_overridable_initializers_are_refused(base_of, looker, images, execute):
    base = base_of("logits")
    form = find_form(base, execute(base, {"image": images})[0])
    base.graph.inputs.append(base.graph.initializers["s"])
    with pytest.raises(UnsupportedError, match="initializer 's' is listed as an input"):
        fuse(looker(), base, find_input(base, layout="NCHW", value_range=(-1, 1)), {}, Answer(form, TRUST, 0.8))


def test_the_stage_of_an_early_file_is_that_behind_a_base_that_ran(early_of):
    stage = answer_stage(early_of("logits")[0])
    assert not any(node.op_type == "If" for node in stage.graph)
