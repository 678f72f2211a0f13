"""Base and evidence in one answer, in the base's own form, against the formula in NumPy."""

import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from scipy.special import log_softmax, softmax

from nfkit.errors import ModelError, UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.fuse import fuse, transfer
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.split import answer_stage, evidence_model, split
from nfkit.graph.fusion.trust import Trust, combine
from nfkit.graph.injection.inject import inject, remove
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import fault_sites, find_sites
from nfkit.model import load, save, to_bytes

FORMS = (
    "logits", "probabilities", "log-probabilities", "spelt-out", "dequantised", "int8-probabilities", "uint8-logits",
    "int8-log", "qlinear", "deep", "deep-codes", "float16", "two-outputs",
)  # fmt: skip
TRUST = Trust(sharpness=0.7, doubt=0.3, weight=0.6, temperature=1.5)


@pytest.fixture(scope="module")
def fused_of(base_of, looker, images, execute):
    """fused_of(form, trust, ...): the fused model, its base, form, the base's outputs, and the evidence."""

    def build(form, trust, opset=18, pushes=False, threshold=None):
        base = base_of(form, opset)
        spec = find_input(base, layout="NCHW", value_range=(-1, 1))
        outputs = execute(base, {"image": images})
        stated = find_form(base, outputs[0])
        fused = fuse(looker(opset, pushes), base, spec, {}, Answer(stated, trust, threshold))
        evidence = execute(evidence_model(fused), {"image": images})[0]
        return fused, base, stated, outputs, evidence

    return build


def expected(form, outputs, evidence, trust):
    """Real numbers that the formula gives, [N, C], in the form's kind."""
    answer = combine(form.log_scores(outputs), evidence, trust)
    if form.kind == "probabilities":
        return softmax(answer, axis=1)
    return log_softmax(answer, axis=1) if form.kind == "log-probabilities" else answer


@pytest.mark.parametrize("form", FORMS)
def test_the_file_computes_the_formula(fused_of, images, execute, form):
    fused, _, stated, outputs, evidence = fused_of(form, TRUST)
    answer = execute(fused, {"image": images})
    assert answer[0].dtype == outputs[0].dtype
    assert answer[0].shape == outputs[0].shape
    for other, before in zip(answer[1:], outputs[1:], strict=True):
        assert other.tobytes() == before.tobytes()
    wanted = expected(stated, outputs[0], evidence, TRUST)
    got = answer[0].reshape(len(images), -1)
    assert (got.argmax(1) == wanted.argmax(1)).all()
    assert not (got.argmax(1) == outputs[0].reshape(len(images), -1).argmax(1)).all()
    if stated.scale is None and stated.kind != "logits":
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)
    elif stated.scale is None:  # logits hold up to a summand an image
        precision = 8e-3 if stated.dtype == "float16" else 1e-5  # a step of float16 at 8 is 0.0078
        np.testing.assert_allclose(
            got - got.max(1, keepdims=True), wanted - wanted.max(1, keepdims=True), atol=precision
        )


@pytest.mark.parametrize("opset", range(13, 22))
def test_every_opset_from_13_on(fused_of, images, execute, opset):
    fused, _, stated, outputs, evidence = fused_of("probabilities", TRUST, opset=opset)
    onnx.checker.check_model(ir.to_proto(fused), full_check=True)
    got = execute(fused, {"image": images})[0]
    np.testing.assert_allclose(got, expected(stated, outputs[0], evidence, TRUST), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_without_weight_the_output_is_the_bases_bit_for_bit(fused_of, images, execute, form):
    fused, _, _, outputs, _ = fused_of(form, Trust(doubt=0.4, sharpness=3.0, weight=0.0))
    assert execute(fused, {"image": images})[0].tobytes() == outputs[0].tobytes()


@pytest.mark.parametrize("form", FORMS)
def test_with_full_doubt_the_evidence_decides(fused_of, images, execute, form):
    fused, _, _, _, evidence = fused_of(form, Trust(doubt=1.0))
    got = execute(fused, {"image": images})[0].reshape(len(images), -1)
    assert (got.argmax(1) == evidence.argmax(1)).all()


@pytest.mark.parametrize("form", ["int8-probabilities", "uint8-logits", "int8-log", "qlinear"])
def test_rounding_makes_no_ties(fused_of, images, execute, form):
    fused, *_ = fused_of(form, Trust(doubt=1.0, temperature=400.0))  # all classes within a fraction of a step
    got = np.sort(execute(fused, {"image": images})[0].reshape(len(images), -1).astype(int), axis=1)
    assert (got[:, -1] > got[:, -2]).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pushes", [False, True])
def test_splitting_gives_back_the_base(fused_of, form, pushes, tmp_path):
    fused, base, *_ = fused_of(form, TRUST, pushes=pushes)
    assert to_bytes(split(fused)[1]) == to_bytes(base)
    save(fused, tmp_path / "fused.onnx")
    assert to_bytes(split(load(tmp_path / "fused.onnx"))[1]) == to_bytes(base)


def test_a_generator_that_pushes_changes_what_the_base_sees(fused_of, images, execute):
    fused, base, stated, _, evidence = fused_of("logits", TRUST, pushes=True)
    prefix, _ = split(fused)
    pushed, seen = execute(prefix, {"image": images})
    np.testing.assert_array_equal(pushed, np.clip(2 * images, -1, 1))
    assert seen.tobytes() == evidence.tobytes()
    through = execute(base, {"image": pushed})[0]
    got = execute(fused, {"image": images})[0]
    assert (got.argmax(1) == combine(stated.log_scores(through), evidence, TRUST).argmax(1)).all()


@pytest.mark.parametrize("form", ["logits", "int8-probabilities", "deep-codes"])
def test_three_parts_in_a_row_are_the_whole(fused_of, images, execute, form):
    fused, *_ = fused_of(form, TRUST)
    prefix, restored = split(fused)
    stage = answer_stage(fused)
    onnx.checker.check_model(ir.to_proto(stage), full_check=True)
    evidence = execute(prefix, {"image": images})[0]
    outputs = execute(restored, {"image": images})[0]
    names = [value.name for value in stage.graph.inputs]
    assert names == ["nfkit/base_output", "nfkit/generator/evidence"]
    whole = execute(fused, {"image": images})[0]
    assert execute(stage, dict(zip(names, (outputs, evidence), strict=True)))[0].tobytes() == whole.tobytes()


def test_sites_are_the_bases_and_faults_come_and_go(fused_of):
    fused, base, *_ = fused_of("int8-probabilities", TRUST)
    assert fault_sites(fused) == fault_sites(base)
    parts = {site.name: site.part for site in find_sites(fused)}
    assert {part for name, part in parts.items() if name.startswith("nfkit/")} == {"generator"}
    injected = inject(fused, fault_sites(fused), Chip(50000), BitErrors(0.1), "node")
    assert to_bytes(remove(injected)) == to_bytes(fused)


def test_names_are_unique_and_marked(fused_of):
    fused, base, *_ = fused_of("deep-codes", TRUST)
    graph = ir.to_proto(fused).graph
    defined = [v.name for v in graph.input] + [t.name for t in graph.initializer]
    defined += [name for node in graph.node for name in node.output]
    assert len(defined) == len(set(defined))
    roles = [node.metadata_props.get("nfkit.role") for node in fused.graph]
    assert sum(role is None for role in roles) == len(base.graph)
    assert set(roles) == {None, "generator", "answer"}


def test_the_numbers_are_named_and_recorded(fused_of):
    fused, *_ = fused_of("logits", TRUST)
    for name, number in TRUST.to_dict().items():
        value = fused.graph.initializers[f"nfkit/answer/{name}"].const_value.numpy()
        assert (value.shape, value.dtype) == ((), np.float32)
        assert value == np.float32(number)
    for name, number in read_answer(fused).trust.to_dict().items():
        assert number == np.float32(TRUST.to_dict()[name])
    assert json.loads(fused.metadata_props["nfkit.answer"])["form"]["kind"] == "logits"


def test_a_stage_that_was_cut_off_is_noticed(fused_of):
    fused, *_ = fused_of("logits", TRUST)
    next(v for n in fused.graph for v in n.outputs if v.name == "nfkit/base_output").name = "other"
    with pytest.raises(ModelError, match="answer stage, but no value"):
        split(fused)


def test_a_generator_without_evidence_has_no_part(base_of, residual_generator, images, execute):
    base = base_of("logits")
    spec = find_input(base, layout="NCHW", value_range=(-1, 1))
    form = find_form(base, execute(base, {"image": images})[0])
    with pytest.raises(ModelError, match="no evidence of its own"):
        fuse(residual_generator(2, 4, 4), base, spec, {}, Answer(form, TRUST))


def test_a_generator_that_only_looks_needs_an_answer(base_of, looker):
    base = base_of("logits")
    with pytest.raises(ModelError, match="can only join the answer"):
        fuse(looker(), base, find_input(base, layout="NCHW", value_range=(-1, 1)), {})


def test_transferred_evidence_joins_the_other_base(fused_of, base_of, images, execute):
    fused, *_, evidence = fused_of("logits", TRUST)
    other = base_of("int8-probabilities")
    outputs = execute(other, {"image": images})[0]
    form = find_form(other, outputs)
    moved = transfer(fused, other, find_input(other, layout="NCHW", value_range=(-1, 1)), Answer(form, TRUST))
    assert to_bytes(split(moved)[1]) == to_bytes(other)
    wanted = combine(form.log_scores(outputs), evidence, TRUST)
    assert (execute(moved, {"image": images})[0].argmax(1) == wanted.argmax(1)).all()


@pytest.mark.parametrize("outputs", [np.zeros((2, 3, 4), np.float32), np.zeros((2, 1), np.float32), np.zeros(5)])
def test_an_output_without_a_score_a_class_is_refused(base_of, outputs):
    with pytest.raises(UnsupportedError, match="one score a class"):
        find_form(base_of("logits"), outputs)


def test_an_integer_output_of_unknown_scale_is_refused(base_of):
    with pytest.raises(UnsupportedError, match="scale of the integer output 'scores'"):
        find_form(base_of("logits"), np.zeros((2, 3), np.int8))
