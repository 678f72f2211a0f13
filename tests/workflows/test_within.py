"""A protection within a tolerance, from training to a file that is set to its plan."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import nfkit
from nfkit.access.runtime import Runner
from nfkit.errors import OptionError
from nfkit.faults import EVALUATION_CHIPS, BitErrors
from nfkit.graph.fusion.early import condition
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.split import split
from nfkit.graph.input.discovery import find_input
from nfkit.measure.bench import Bench
from nfkit.measure.early import NEVER
from nfkit.model import load, to_bytes
from nfkit.models import zoo as model_zoo
from nfkit.reports.protection import Protection
from nfkit.reports.reading import decode, encode
from nfkit.workflows.protection import protect

pytestmark = pytest.mark.usefixtures("one_thread")
QUICK = {"epochs": 2.0, "batch": 32, "precision": "float32", "chips": 2, "around": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The zoo's model within thirty points: much, so that a generator of seconds has a part in it."""
    folder = tmp_path_factory.mktemp("within")
    source = folder / "base.onnx"
    shutil.copy(model_zoo.path("resnet8-fashion-mnist"), source)
    images = str(model_zoo.images("resnet8-fashion-mnist"))
    train, test = nfkit.load_data(images, "train").take(256), nfkit.load_data(images, "test").take(100)
    said = []
    result = protect(source, train, test, max_loss=0.3, generator="hint-16", on_stage=said.append, **QUICK)
    return SimpleNamespace(
        source=source, test=test, result=result, said=said, fused=load(result.path), spec=find_input(load(source))
    )


def test_what_needs_no_generator_is_said_first(made):
    stages = [index for index, text in enumerate(made.said) if text.startswith(("run at", "stay at", "training"))]
    assert not made.said[stages[0]].startswith("training")
    assert "generator" not in made.said[stages[0]]
    assert made.said[stages[1]].startswith("training hint-16")


def test_the_file_is_set_to_its_plan(made):
    plan = made.result.plan
    option = plan.of_file
    assert option is not None
    assert option.within
    answer = read_answer(made.fused)
    assert answer.trust.to_dict() == {name: np.float32(value) for name, value in option.trust.items()}
    assert condition(made.fused) is not None
    assert answer.threshold == np.float32(NEVER if option.threshold is None else option.threshold)
    stated = json.loads(made.fused.metadata_props["nfkit.plan"])
    assert (stated["volts_over_vmin"], stated["saving"]) == (option.volts_over_vmin, option.saving)
    assert stated["tolerance"] == 0.3
    assert to_bytes(split(made.fused)[1]) == to_bytes(load(made.source))


def test_the_plan_keeps_what_it_found_without_a_generator(made):
    text = next(text for text in made.said if text.startswith(("run at", "stay at")))
    for option in made.result.plan.options:
        if not option.uses_generator:
            assert option.name in text
    assert {"bare", "generator-alone:hint-16", "both-ends:hint-16", "early-at-vmin:hint-16"} <= {
        option.name for option in made.result.plan.options
    }


def test_figures_are_those_of_the_file_on_the_half_that_confirms(made):
    plan, confirming = made.result.plan, made.test.hold_out(0.5, 0)[1]
    option = plan.of_file
    bench = Bench(made.fused, confirming, made.spec)
    rows = list(bench.run([(BitErrors(option.ber), chip) for chip in EVALUATION_CHIPS[:2]])) if option.ber else []
    measured = np.mean([row.protected for row in rows]) if rows else bench.clean_protected.mean()
    assert measured == pytest.approx(option.accuracy.mean, abs=0.01)  # near ties are decided by float32
    assert bench.early is None or option.early["share"] == pytest.approx(bench.early.share, abs=0.01)
    assert made.result.evaluation.data.n == len(confirming) == plan.confirming.images
    if option.ber:
        assert made.result.evaluation.points[0].ber == option.ber


def test_the_data_that_it_names_is_all_of_it(made):
    recorded = json.loads(made.fused.metadata_props["nfkit.data"])
    assert recorded["test"]["n"] == len(made.test)
    right = Runner(split(made.fused)[1]).classify(made.spec.encode(made.test.x)) == made.test.y
    assert recorded["clean_base"] == pytest.approx(right.mean(), abs=1e-6)


def test_the_record_is_whole(made):
    assert isinstance(made.result, Protection)
    assert decode(encode(made.result), "record.json").plan == made.result.plan
    shown = str(made.result)
    assert shown.startswith(made.result.plan.sentence)
    assert "hint-16 with" in shown


def test_a_tolerance_that_cannot_be_kept_is_refused_before_the_training(made):
    with pytest.raises(OptionError, match="cannot be kept to"):
        protect(made.source, made.test, made.test, max_loss=1.5, force=True, **QUICK)
    with pytest.raises(OptionError, match="a confidence of 1: give a share from 50%"):
        protect("no model is looked for.onnx", confidence=1.0)
    with pytest.raises(OptionError, match="unknown means 'magic'"):
        protect(made.source, made.test, made.test, max_loss=0.3, can="magic", force=True, **QUICK)
