"""A run is its settings: reproducible, resumable, and never worse than the best state it has seen."""

import json
import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nfkit.data import Dataset
from nfkit.errors import OptionError, UnsupportedError
from nfkit.faults import TRAINING_CHIPS, VALIDATION_CHIPS, BitErrors, Iid
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import fault_sites
from nfkit.learn.config import TrainConfig
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.learn.objective import ModelInput, protect
from nfkit.learn.subject import Surrogate, Surrogates
from nfkit.learn.train import train

CLASSIFIER = """
<ir_version: 10, opset_import: ["" : 18]>
classifier (float[N, 1, 8, 8] image) => (float[N, 4] probabilities)
<float s_image = {0.0078125}, int8 z_image = {0}, float s_w = {0.015625}, float s_c = {0.03125}, uint8 z_c = {0},
 float s_d = {0.03125}>
{
    image_q = QuantizeLinear (image, s_image, z_image)
    image_f = DequantizeLinear (image_q, s_image, z_image)
    w_f = DequantizeLinear (w, s_w)
    c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (image_f, w_f)
    r = Relu (c)
    r_q = QuantizeLinear (r, s_c, z_c)
    r_f = DequantizeLinear (r_q, s_c, z_c)
    f = Flatten (r_f)
    d_f = DequantizeLinear (d, s_d)
    logits = MatMul (f, d_f)
    probabilities = Softmax (logits)
}
"""


@pytest.fixture(scope="module")
def subject(parse):
    """A small classifier, and images with the labels that it gives them without faults."""
    random = np.random.default_rng(4)
    w, d = random.integers(-60, 61, (6, 1, 3, 3), np.int8), random.integers(-60, 61, (96, 4), np.int8)
    model = parse(CLASSIFIER, w=w, d=d)
    spec = find_input(model)
    x = random.integers(0, 256, (80, 8, 8, 1), np.uint8)
    with torch.no_grad():
        y = FrozenGraph(model)(torch.from_numpy(spec.encode(x))).argmax(1).numpy()
    data = Dataset("random", x, y)
    return SimpleNamespace(
        model=model, sites=fault_sites(model), spec=spec, data=data.take(64), held_out=data.select(range(64, 80))
    )


def configure(**changes):
    settings = {
        "generator": "conv-s", "errors": BitErrors(0.02), "layout": Iid(), "epochs": 8.0, "batch": 16, "copies": 2,
        "precision": "float32",
    }  # fmt: skip
    return TrainConfig(**settings | changes)


def run(subject, config=None, **options):
    """The result, and the progress of every step."""
    seen = []

    def record(progress):
        seen.append(progress)
        if then:
            then(progress)

    then = options.pop("then", None)
    result = train(
        subject.model, subject.sites, subject.spec, subject.data, subject.held_out, config or configure(),
        classes=4, on_progress=record, **options,
    )  # fmt: skip
    return result, seen


def same_weights(one, other):
    first, second = one.generator.state_dict(), other.generator.state_dict()
    return all(torch.equal(first[key], second[key]) for key in first)


class KilledError(Exception):
    """Stands for whatever ends a process in the middle of a run."""


def kill(subject, path, *, after, config=None):
    """Ends a run at the first step from `after` on that was not measured; returns what it had reported."""
    reports = []

    def end(progress):
        reports.append(progress)
        if progress.step >= after and progress.clean is None:
            raise KilledError

    with pytest.raises(KilledError):
        run(subject, config, checkpoint=path, then=end)
    return reports


@pytest.fixture(scope="module")
def whole(subject):
    """An uninterrupted run."""
    return run(subject)


# --- runs ---


def test_the_same_seed_gives_the_same_weights(subject, whole):
    again, seen = run(subject)
    assert same_weights(again, whole[0])
    assert [p.loss for p in seen] == [p.loss for p in whole[1]]
    assert (again.clean, again.perturbed, again.steps) == (whole[0].clean, whole[0].perturbed, whole[0].steps)


def test_the_present_random_state_does_not_count(subject, whole):
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 - the very state that must not matter
    assert same_weights(run(subject)[0], whole[0])


def test_another_seed_gives_other_weights(subject, whole):
    assert not same_weights(run(subject, configure(seed=1))[0], whole[0])


def test_a_run_takes_its_epochs_phase_by_phase(whole):
    result, seen = whole
    assert result.steps == 8 * 4
    assert [p.step for p in seen] == list(range(1, 33))
    assert list(dict.fromkeys(p.phase for p in seen)) == ["patterns", "labels", "paint", "eopm"]
    assert all(0 <= a.done < b.done < 1 for a, b in pairwise(seen))
    assert all(math.isfinite(p.loss) and p.seconds_left >= 0 for p in seen)
    assert not result.interrupted
    assert result.precision == "float32"


def test_a_part_of_an_epoch_is_a_budget(subject):
    assert run(subject, configure(epochs=0.6, warm_start=False))[0].steps == 3  # of 2.4, rounded up


def score(state):
    """What states are chosen by, weighed as the loss weighs."""
    return state.clean + configure().weight * state.perturbed


def test_the_result_is_the_best_state_that_was_measured(subject, whole):
    result, seen = whole
    measured = [score(p) for p in seen if p.clean is not None]
    assert len(measured) >= 5
    assert score(result) >= max(measured)


def test_the_stated_clean_accuracy_is_that_of_the_generator(subject, whole):
    generator = whole[0].generator
    assert not generator.training
    x = torch.from_numpy(subject.spec.normalise(subject.spec.encode(subject.held_out.x)))
    with torch.no_grad():
        entered = ModelInput(subject.spec, torch.device("cpu"))(protect(generator, x))
        predicted = FrozenGraph(subject.model)(entered).argmax(1)
    assert float((predicted.numpy() == subject.held_out.y).mean()) == whole[0].clean


def test_the_model_is_as_before(subject, whole):
    x = torch.from_numpy(subject.spec.encode(subject.data.x))
    with torch.no_grad():
        assert np.array_equal(FrozenGraph(subject.model)(x).argmax(1), subject.data.y)


@pytest.mark.parametrize("changes", [{"warm_start": False}, {"generator": "pattern"}])
def test_without_a_warm_start_there_is_one_phase(subject, changes):
    result, seen = run(subject, configure(epochs=1.0, **changes))
    assert {p.phase for p in seen} == {"eopm"}
    assert result.steps == 4


def test_a_budget_too_short_for_a_step_still_gives_a_generator(subject):
    result, seen = run(subject, configure(epochs=None, minutes=1e-9))
    assert seen == []
    assert result.steps == 0
    assert all(v.isfinite().all() for v in result.generator.state_dict().values())


def test_bfloat16_trains(subject):
    result, _ = run(subject, configure(epochs=1.0, precision="bfloat16"))
    assert result.precision == "bfloat16"
    assert all(v.isfinite().all() for v in result.generator.state_dict().values())
    assert {v.dtype for v in result.generator.parameters()} == {torch.float32}


class Witness(Iid):
    """Remembers, in a list that copies share, which chips were asked for."""

    seeds: list = []  # noqa: RUF012 - shared on purpose: configurations copy their layout

    def faulty(self, seed, memory, errors):
        self.seeds.append((seed, memory.name))
        return super().faulty(seed, memory, errors)


def test_every_step_takes_fresh_chips_and_none_to_be_judged_by(subject):
    Witness.seeds.clear()
    run(subject, configure(epochs=2.0, layout=Witness(), warm_start=False))
    first_site = [seed for seed, name in Witness.seeds if name == subject.sites[0].name]
    training = [seed for seed in first_site if seed in TRAINING_CHIPS]
    held_out = [seed for seed in first_site if seed in VALIDATION_CHIPS]
    assert len(training) + len(held_out) == len(first_site)
    assert len(training) == len(set(training)) == 8 * 2  # steps x copies
    assert len(held_out) == 4


def test_images_of_a_size_that_the_generator_has_to_pad(subject, parse):
    text = CLASSIFIER.replace("8, 8] image", "7, 5] image")
    random = np.random.default_rng(4)
    w, d = random.integers(-60, 61, (6, 1, 3, 3), np.int8), random.integers(-60, 61, (72, 4), np.int8)
    model = parse(text, w=w, d=d)
    data = Dataset("odd", random.integers(0, 256, (32, 7, 5, 1), np.uint8), random.integers(0, 4, 32))
    odd = SimpleNamespace(
        model=model, sites=fault_sites(model), spec=find_input(model), data=data, held_out=data.take(8)
    )
    result, _ = run(odd, configure(epochs=4.0))
    assert result.steps == 8


def test_a_model_without_gradients_is_refused_before_the_first_step(subject, parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        strange (float[N, 4, 4] x) => (float[N] y)
        { y = Det (x) }
        """
    )
    strange = SimpleNamespace(**{**vars(subject), "model": model, "sites": []})
    with pytest.raises(UnsupportedError, match="Det"):
        run(strange)


# --- ending early, and going on ---


def test_ctrl_c_ends_a_run_with_the_best_state_so_far(subject):
    def interrupt(progress):
        if progress.step == 25:
            raise KeyboardInterrupt

    result, seen = run(subject, then=interrupt)
    assert result.interrupted
    assert result.steps == 25
    assert not result.generator.training
    best = max(score(p) for p in seen if p.clean is not None)
    assert score(result) >= best


def test_ctrl_c_before_the_first_measurement_gives_a_generator(subject):
    def interrupt(progress):
        raise KeyboardInterrupt

    result, _ = run(subject, then=interrupt)
    assert result.interrupted
    assert result.steps == 1
    assert all(v.isfinite().all() for v in result.generator.state_dict().values())


@pytest.mark.parametrize("after", [6, 14, 21, 27])
def test_a_killed_run_goes_on_to_the_same_weights(subject, whole, tmp_path, after):
    path = tmp_path / "run.pt"
    reports = kill(subject, path, after=after)
    # Short runs keep their state at the end of each phase; long ones every minute as well.
    kept = max(a.step for a, b in pairwise(reports) if a.phase != b.phase)

    result, seen = run(subject, checkpoint=path)
    assert seen[0].step == kept + 1
    assert [p.step for p in seen] == list(range(kept + 1, 33))
    assert result.steps == 32
    assert same_weights(result, whole[0])
    assert (result.clean, result.perturbed) == (whole[0].clean, whole[0].perturbed)


def test_a_run_killed_twice_goes_on_to_the_same_weights(subject, whole, tmp_path):
    path = tmp_path / "run.pt"
    kill(subject, path, after=14)
    kill(subject, path, after=21)
    assert same_weights(run(subject, checkpoint=path)[0], whole[0])


def test_a_run_killed_after_its_last_step_only_measures(subject, whole, tmp_path):
    path = tmp_path / "run.pt"
    run(subject, checkpoint=path)
    result, seen = run(subject, checkpoint=path)
    assert seen == []
    assert result.steps == 32
    assert same_weights(result, whole[0])


def test_a_checkpoint_changes_no_weight(subject, whole, tmp_path):
    assert same_weights(run(subject, checkpoint=tmp_path / "run.pt")[0], whole[0])


@pytest.mark.parametrize("other", [{"seed": 1}, {"errors": BitErrors(0.03)}, {"weight": 4.0}], ids=str)
def test_a_checkpoint_of_other_settings_is_ignored(subject, whole, tmp_path, other):
    path = tmp_path / "run.pt"
    kill(subject, path, after=14, config=configure(**other))
    result, seen = run(subject, checkpoint=path)
    assert seen[0].step == 1
    assert same_weights(result, whole[0])


def test_a_checkpoint_of_another_model_or_other_data_is_ignored(subject, tmp_path):
    path = tmp_path / "run.pt"
    kill(subject, path, after=14)
    _, seen = run(subject, checkpoint=path, identity="something else", config=configure())
    assert seen[0].step == 1


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: b"no checkpoint", lambda c: c[: len(c) // 2]])
def test_a_damaged_checkpoint_is_ignored_and_replaced(subject, whole, tmp_path, damage):
    path = tmp_path / "run.pt"
    kill(subject, path, after=14)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    result, seen = run(subject, checkpoint=path)
    assert seen[0].step == 1
    assert same_weights(result, whole[0])
    assert path.read_bytes() != damaged


def test_a_checkpoint_of_another_program_is_ignored(subject, tmp_path):
    path = tmp_path / "run.pt"
    torch.save({"settings": "{}", "losses": {}}, path)
    assert run(subject, configure(epochs=0.5), checkpoint=path)[1][0].step == 1


def test_nothing_is_left_beside_the_checkpoint(subject, tmp_path):
    kill(subject, tmp_path / "run.pt", after=14)
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


# --- hints ---


@pytest.fixture(scope="module")
def hinted(subject):
    """An uninterrupted run of a hint generator."""
    return run(subject, configure(generator="hint-8"))


def test_a_hint_learns_patterns_then_labels_then_both(subject, hinted):
    assert list(dict.fromkeys(p.phase for p in hinted[1])) == ["patterns", "labels", "eopm"]
    assert same_weights(run(subject, configure(generator="hint-8"))[0], hinted[0])


@pytest.mark.parametrize(("generator", "after"), [("hint-8", 2), ("hint-8", 12), ("hint-8", 28), ("conv-s", 8)])
def test_a_run_killed_within_a_phase_goes_on_with_its_optimiser(
    subject, request, tmp_path, monkeypatch, generator, after
):
    monkeypatch.setattr("nfkit.learn.train.SAVE_EVERY", -1.0)  # at every step
    whole = request.getfixturevalue("whole" if generator == "conv-s" else "hinted")
    path, config = tmp_path / "run.pt", configure(generator=generator)
    killed = kill(subject, path, after=after, config=config)
    result, seen = run(subject, config, checkpoint=path)
    assert (killed[-1].phase, killed[-1].step + 1) == (seen[0].phase, seen[0].step)
    assert same_weights(result, whole[0])


# --- settings ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": None}, "either as --epochs or as --minutes"),
        ({"minutes": 1.0}, "either as --epochs or as --minutes"),
        ({"epochs": 0.0}, "give a number above 0"),
        ({"epochs": -1.0}, "give a number above 0"),
        ({"epochs": None, "minutes": 0.0}, "give a number above 0"),
        ({"epochs": None, "minutes": -3.0}, "give a number above 0"),
        ({"copies": 0}, "whole number from"),
        ({"batch": 1}, "from 2"),
        ({"seed": -1}, "whole number from"),
        ({"passes": 0}, "seen by 1 to 2"),
        ({"passes": 3}, "seen by 1 to 2"),
        ({"precision": "float16"}, "choose auto, float32 or bfloat16"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_settings_that_make_no_run_are_refused(changes, message):
    with pytest.raises(OptionError, match=message):
        configure(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": math.nan},
        {"epochs": math.inf},
        {"epochs": None, "minutes": math.nan},
        {"weight": math.nan},
        {"weight": -1.0},
        {"amplitude": 0.0},
        {"amplitude": math.nan},
        {"caution": 0.0},
        {"shift": -1},
    ],
    ids=str,
)
def test_numbers_that_would_fail_in_mid_run_are_refused(changes):
    with pytest.raises(OptionError):
        configure(**changes)


def test_an_unknown_generator_is_refused(subject):
    with pytest.raises(OptionError, match="no generator 'conv-xl'"):
        run(subject, configure(generator="conv-xl"))


def test_settings_are_a_record():
    record = configure(shift=2).to_dict()
    assert json.loads(json.dumps(record)) == record | {
        "errors": record["errors"] | {"protected_bits": [], "protected_sites": []}
    }
    assert record["generator"] == "conv-s"
    assert record["layout"] == "iid"
    assert record["errors"]["rate"] == 0.02
    assert record["shift"] == 2
    assert record["version"] == 1


# --- surrogates ---


def through(subject, *names, answers):
    models = [Surrogate(name, subject.model, subject.sites, subject.spec) for name in names]
    return Surrogates(models, answers)


def test_a_surrogate_is_driven_as_the_model_itself_would_be_at_one_and_a_half_times_the_rate(subject):
    asked = []

    def answer(x):
        asked.append(x)
        return np.zeros(len(x), np.int64)

    stand_in, seen = run(subject, surrogates=through(subject, "twin", answers=[answer, answer]))
    direct, expected = run(subject, configure(errors=BitErrors(0.03)))
    assert [p.loss for p in seen] == [p.loss for p in expected]
    # The model itself only chooses: what it says is what the state is worth.
    share = float((subject.held_out.y == 0).mean())
    assert (stand_in.clean, stand_in.perturbed) == (share, share)
    assert asked[0].shape == (16, *subject.spec.shape)
    assert asked[0].min() >= subject.spec.low[0]
    assert list(stand_in.by_model) == ["twin"]
    assert direct.by_model == {}


def test_surrogates_take_turns(subject):
    result, _ = run(subject, surrogates=through(subject, "one", "two", answers=[lambda x: np.zeros(len(x), np.int64)]))
    assert set(result.by_model) == {"one", "two"}
    assert result.by_model["one"] != result.by_model["two"]
