"""A model protected by the answer of both ends: from training to a file, its record and its dials."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

import nfkit
from nfkit.access.runtime import Runner
from nfkit.errors import ModelError, OptionError
from nfkit.faults import BitErrors, Iid
from nfkit.graph.fusion.dial import dial, fitted_trust, with_trust
from nfkit.graph.fusion.early import condition
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.split import evidence_model, split
from nfkit.graph.fusion.trust import Trust, combine
from nfkit.graph.input.discovery import find_input
from nfkit.learn.config import TrainConfig
from nfkit.measure.early import sureness
from nfkit.model import load, to_bytes
from nfkit.models import zoo as model_zoo
from nfkit.remedies.both_ends import choose_answer, probe_form
from nfkit.workflows.protection import protect

pytestmark = pytest.mark.usefixtures("one_thread")


def configure(**changes):
    settings = {
        "generator": "hint-8", "errors": BitErrors(0.01), "layout": Iid(), "epochs": 4.0, "batch": 32, "copies": 1,
        "precision": "float32", "answer": "both", "residual": False, "teaching": 0.5, "averaging": 0.9,
    }  # fmt: skip
    return TrainConfig(**settings | changes)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A run on the zoo's model with early answers, from file to file."""
    folder = tmp_path_factory.mktemp("zoo")
    source = folder / "base.onnx"
    shutil.copy(model_zoo.path("resnet8-fashion-mnist"), source)
    images = str(model_zoo.images("resnet8-fashion-mnist"))
    train, test = nfkit.load_data(images, "train").take(256), nfkit.load_data(images, "test").take(60)
    output = folder / "base.nf.onnx"
    spec = find_input(load(source))
    result = protect(source, train, test, spec, configure(), output, chips=2, around=False, early=True, early_loss=0.3)
    fused = load(output)
    return SimpleNamespace(**locals())


def test_the_base_is_unchanged_and_reads_the_image_itself(zoo):
    onnx.checker.check_model(str(zoo.output), full_check=True)
    prefix, base = split(zoo.fused)
    assert to_bytes(base) == to_bytes(load(zoo.source))
    assert [v.name for v in prefix.graph.outputs] == ["nfkit/generator/evidence"]
    assert condition(zoo.fused) is not None


def test_the_file_answers_by_the_formula(zoo):
    x = zoo.spec.encode(zoo.test.x)
    answer = read_answer(zoo.fused)
    evidence = Runner(evidence_model(zoo.fused), level="basic")(x)
    scores = answer.form.log_scores(Runner(load(zoo.source), level="basic")(x))
    sure = sureness(evidence, answer.trust) >= answer.threshold
    wanted = np.where(sure, evidence.argmax(1), combine(scores, evidence, answer.trust).argmax(1))
    got = Runner(zoo.fused, level="basic")(x).argmax(1)
    assert (got == wanted).mean() >= 0.95  # near ties are decided by float32


def test_the_record_says_what_was_fitted(zoo):
    record = zoo.result.to_dict()
    answer = record["answer"]
    rates = [fit["ber"] for fit in answer["fits"]]
    assert rates == [0.0, 0.001, 0.002, 0.005, 0.01, 0.02]
    for fit in answer["fits"]:
        assert fit["nll"] <= min(fit["base_nll"], fit["generator_nll"]) + 1e-9
    trust = Trust(**answer["trust"])
    assert trust == Trust(**answer["fits"][4]["trust"])
    for name, number in read_answer(zoo.fused).trust.to_dict().items():
        assert number == np.float32(trust.to_dict()[name])
    assert 0 <= answer["clean_at_nominal_trust"] <= 1
    early = record["evaluate"]["early"]
    assert early["low"] <= early["share"] <= early["high"]
    assert early["samples"] == 60
    assert any("base and generator answer together" in note for note in zoo.result.overview().notes)


def test_early_answers_count_in_the_energy_that_is_saved(zoo):
    record = zoo.result.to_dict()["evaluate"]
    (point,) = record["points"]
    energy = record["energy"]
    added = energy["added"]["accesses"] / energy["base"]["accesses"]
    expected = 1 - (1 - record["early"]["share"]) * point["voltage"]["energy_per_access"] - added
    assert point["saving"]["by_accesses"] == pytest.approx(expected)


def test_early_answers_without_a_lower_voltage_are_a_rival(zoo):
    record = zoo.result.to_dict()["evaluate"]
    (comparison,) = record["verdict"]["comparisons"]
    rival = next(rival for rival in comparison["rivals"] if rival["kind"] == "early")
    saving = record["points"][0]["saving"]["by_accesses"]
    assert saving <= rival["saving"] < saving + 1 / len(zoo.test) + 1e-9
    x = zoo.spec.encode(zoo.test.x)
    trust = fitted_trust(zoo.fused, 0.0)
    evidence = Runner(evidence_model(zoo.fused))(x)
    both = combine(read_answer(zoo.fused).form.log_scores(Runner(load(zoo.source))(x)), evidence, trust).argmax(1)
    surest = np.argsort(-sureness(evidence, trust), kind="stable")
    added = record["energy"]["added"]["accesses"] / record["energy"]["base"]["accesses"]
    early = np.zeros(len(x), bool)
    early[surest[: round((rival["saving"] + added) * len(x))]] = True
    expected = (np.where(early, evidence.argmax(1), both) == zoo.test.y).mean()
    assert rival["accuracy"] == pytest.approx(expected, abs=1e-9)


def test_trust_of_another_rate_can_be_dialled(zoo):
    nominal, moved = dial(zoo.fused, {}, at=0.0)
    assert read_answer(nominal).trust.doubt == np.float32(fitted_trust(zoo.fused, 0.0).doubt)
    assert moved
    assert to_bytes(split(nominal)[1]) == to_bytes(load(zoo.source))
    assert "nfkit.results" not in nominal.metadata_props
    alone, _ = dial(zoo.fused, {"weight": 0.0}, threshold=2.0)
    x = zoo.spec.encode(zoo.test.x)
    assert Runner(alone)(x).tobytes() == Runner(load(zoo.source))(x).tobytes()
    with pytest.raises(OptionError, match=r"no trust was fitted for a bit error rate of 0\.3"):
        dial(zoo.fused, {}, at=0.3)
    with pytest.raises(OptionError, match="doubt 2"):
        dial(zoo.fused, {"doubt": 2.0})


def test_a_file_without_fits_says_so(zoo):
    bare = zoo.fused.clone()
    del bare.metadata_props["nfkit.answer.fits"]
    with pytest.raises(ModelError, match="records no trust"):
        fitted_trust(bare, 0.0)


def test_a_damaged_answer_is_refused(zoo):
    for text in ("{", "{}", '{"form": 3, "trust": {}}'):
        damaged = zoo.fused.clone()
        damaged.metadata_props["nfkit.answer"] = text
        with pytest.raises(ModelError, match=r"'nfkit\.answer' of the protected file is damaged"):
            read_answer(damaged)
    lost = zoo.fused.clone()
    lost.graph.initializers["nfkit/answer/doubt"].name = "other"
    with pytest.raises(ModelError, match="no number 'nfkit/answer/doubt'"):
        read_answer(lost)


def test_a_base_alone_has_no_trust_to_change(zoo):
    with pytest.raises(ModelError, match="no trust to change"):
        with_trust(load(zoo.source), Trust())


def test_published_generators_get_a_head(zoo, tmp_path):
    config = configure(generator="conv-s", residual=True, epochs=0.5, teaching=0.0, averaging=0.0)
    output = tmp_path / "conv.nf.onnx"
    result = protect(zoo.source, zoo.train, zoo.test, zoo.spec, config, output, chips=1, around=False)
    fused = load(output)
    prefix, base = split(fused)
    assert to_bytes(base) == to_bytes(load(zoo.source))
    assert [v.name for v in prefix.graph.outputs] == ["nfkit/protected", "nfkit/generator/evidence"]
    assert result.evaluation.alone is not None


def test_who_answers(zoo, residual_generator):
    base, spec = load(zoo.source), zoo.spec
    assert choose_answer("auto", base, spec, True, False)[0] == "both"
    assert choose_answer("auto", base, spec, False, False)[0] == "base"
    assert choose_answer("auto", base, spec, False, True)[0] == "both"
    assert choose_answer("base", base, spec, True, False)[0] == "base"
    with pytest.raises(OptionError, match="--early needs"):
        choose_answer("base", base, spec, True, True)
    with pytest.raises(OptionError, match="unknown answer"):
        choose_answer("neither", base, spec, True, False)
    assert probe_form(base, spec).classes == 10


def test_a_base_that_takes_no_answer_answers_by_itself(parse):
    base = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        odd (float[N, 3, 8, 8] image) => (int32[N, 4] scores) <float s = {0.5}> {
            flat = Flatten (image)
            w_f = DequantizeLinear (w, s)
            l = MatMul (flat, w_f)
            scores = Cast <to = 6> (l)
        }
        """,
        w=np.random.default_rng(0).integers(-9, 9, (192, 4), np.int8),
    )
    spec = find_input(base, value_range=(-1, 1))
    who, why = choose_answer("auto", base, spec, True, False)
    assert who == "base"
    assert "int32" in why


def test_settings_that_contradict_are_refused():
    with pytest.raises(OptionError, match="has to change its input"):
        configure(answer="base")
    with pytest.raises(OptionError, match="unknown answer"):
        configure(answer="none")
    with pytest.raises(OptionError, match="teaching 1"):
        configure(teaching=1.0)
    assert configure().looks_only
    assert not dataclasses.replace(configure(), residual=True).looks_only
    assert json.dumps(configure().to_dict())
