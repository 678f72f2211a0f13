"""Inputs that tell most, what a device shows on them, and the mode that is chosen for it."""

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

import nfkit
from nfkit.access.chip import put_on_chip
from nfkit.access.runtime import Runner
from nfkit.cli.main import app
from nfkit.data import Dataset
from nfkit.deploy.canary import CALIBRATING_CHIPS, CHOOSING_CHIPS, Canary, Plant, build_canary, choose, find_rule
from nfkit.deploy.canary_file import load_canary, save_canary
from nfkit.deploy.health import look_after, tell_health
from nfkit.errors import DataError, NfkitError, OptionError
from nfkit.faults import EVALUATION_CHIPS, BitErrors, Chip, parse_layout
from nfkit.graph.fusion.modes.record import set_mode
from nfkit.graph.fusion.modes.taking import plain
from nfkit.graph.fusion.split import split
from nfkit.graph.input.discovery import find_input
from nfkit.model import save

RATES = (0.001, 0.004, 0.016, 0.064)


@pytest.fixture(scope="module")
def plant(protected, small_base):
    """A small file with modes, samples with the base's own answers as labels, and its input."""
    model = protected("modes")
    spec = find_input(small_base, layout="NCHW", value_range=(-1, 1))
    x = np.random.default_rng(3).uniform(-1, 1, (80, 2, 4, 4)).astype(np.float32)
    return model, Dataset("small", x, Runner(small_base, level="basic")(x).argmax(1)), spec


@pytest.fixture(scope="module")
def canary(plant):
    model, data, spec = plant
    return build_canary(model, data, spec, BitErrors(0.01), parse_layout("iid"), n=24, chips=10, level="basic")


# --- which inputs ---


def test_inputs_that_tell_nothing_are_taken_last():
    random = np.random.default_rng(0)
    rates, chips = np.array(RATES), 12
    steep = random.random((4, chips, 5)) < (rates / 0.07)[:, None, None]
    never, always = np.zeros((4, chips, 5), bool), np.ones((4, chips, 5), bool)
    chosen = choose(np.concatenate([never, steep, always], axis=2), RATES, 0.016, 5)
    assert set(chosen) == {5, 6, 7, 8, 9}


def test_inputs_that_say_the_same_are_not_taken_twice():
    random = np.random.default_rng(1)
    p = (np.array(RATES) / 0.08)[:, None, None]
    one = random.random((4, 40, 1)) < p
    copies, others = np.repeat(one, 6, axis=2), random.random((4, 40, 6)) < p
    chosen = choose(np.concatenate([copies, others], axis=2), RATES, 0.016, 6)
    assert sum(i < 6 for i in chosen) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_chosen_inputs_tell_the_rate_better_than_the_first_ones(seed):
    """By the information of their count about rates near the one of operation, on chips that chose nothing."""
    random, rates = np.random.default_rng(seed), np.geomspace(0.0005, 0.2, 8)
    at = np.exp(random.normal(np.log(0.02), 3, 300))  # the rate about which each answer changes
    p = 1 / (1 + (at[None, None, :] / rates[:, None, None]) ** 3)
    flips = random.random((8, 200, 300)) < p
    chosen = choose(flips[:, :16], rates, 0.01, 20)

    def information(inputs):
        count = flips[:, 16:, inputs].sum(2).astype(float)
        slope = np.gradient(count.mean(1), np.log(rates))
        near = np.exp(-((np.log(rates / 0.01) / 2) ** 2))
        return float((near * slope**2 / np.maximum(count.var(1, ddof=1), 0.25)).sum())

    assert information(chosen) > 1.3 * information(np.arange(20))


# --- the rule ---


def brute_force(shown, worth):
    """The best sum over all ways to cut the sorted chips into modes."""
    order = np.argsort(shown, kind="stable")
    shown, worth = shown[order], worth[order]
    best = -math.inf
    for first in range(len(shown) + 1):
        for second in range(first, len(shown) + 1):
            cuts = [c for c in (first, second) if 0 < c < len(shown)]
            if any(shown[c] == shown[c - 1] for c in cuts):
                continue
            best = max(best, worth[:first, 0].sum() + worth[first:second, 1].sum() + worth[second:, 2].sum())
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_rule_is_the_best_there_is(seed):
    random = np.random.default_rng(seed)
    shown, worth = random.integers(0, 6, 14) / 6, random.random((14, 3))
    rule = find_rule(shown.reshape(2, 7), worth.reshape(2, 7, 3))
    assert rule == sorted(rule)
    modes = np.searchsorted(rule, shown, side="right")
    assert worth[np.arange(14), modes].sum() == pytest.approx(brute_force(shown, worth))


# --- what it tells ---


def test_it_is_made_of_the_files_own_base_and_modes(canary, plant):
    model, data, spec = plant
    assert canary.modes == ("nominal", "low", "lower")
    base = split(plain(model))[1]
    wanted = Runner(base, level="basic")(canary.x)
    assert canary.calibration.clean.tobytes() == wanted.astype(np.float32).tobytes()
    assert not set(CHOOSING_CHIPS) & set(CALIBRATING_CHIPS)
    for mode in canary.modes:  # by the formula, as by the file itself
        switched = set_mode(model, mode)
        right = Runner(switched, level="basic")(spec.encode(data.x)).argmax(1) == data.y
        assert canary.clean_accuracy[canary.modes.index(mode)] == pytest.approx(right.mean(), abs=1 / len(data))


def test_simulated_worth_is_that_of_the_faulty_file(plant):
    from nfkit.graph.injection.inject import inject
    from nfkit.graph.memory.sites import fault_sites

    model, data, spec = plant
    chip, errors = Chip(EVALUATION_CHIPS[3]), BitErrors(0.03)
    device = put_on_chip(split(plain(model))[1], chip, errors, level="basic").base
    told = Plant(model, data, spec, "basic").ask(device)[1]
    faulty = Runner(inject(model, fault_sites(model), chip, errors), level="basic")
    x = spec.encode(data.x)
    real = [(faulty(x, extra={"nfkit/mode": np.array(i)}).argmax(1) == data.y).mean() for i in range(3)]
    assert told == pytest.approx(real, abs=1 / len(data))


def test_rates_of_unseen_chips_lie_in_the_interval(canary, plant):
    base, held, low_below_high = split(plain(plant[0]))[1], 0, []
    for rate in (0.004, 0.02):
        estimates = []
        for seed in EVALUATION_CHIPS[:15]:
            device = put_on_chip(base, Chip(seed), BitErrors(rate), level="basic").base
            told = tell_health(canary, device).device.by_scores
            held += told.low <= rate <= told.high
            estimates.append(told.rate)
        low_below_high.append(np.median(estimates))
    assert held >= 24  # of 30 at 95 %: fewer by chance once in 10,000
    assert low_below_high[0] < low_below_high[1]


def test_a_device_without_errors(canary, plant):
    switched = nfkit.Switched(plant[0], level="basic")
    health = look_after(switched, canary)
    assert health.device.best.rate == 0
    assert switched.mode == health.mode
    assert health.accuracy["nominal"][0] == pytest.approx(1.0)
    assert health.suffices


def test_too_little_accuracy_is_said(plant):
    model, data, spec = plant
    demanding = build_canary(
        model, data, spec, BitErrors(0.01), parse_layout("iid"), n=8, chips=3, least=1.0, level="basic"
    )  # fmt: skip
    device = put_on_chip(split(plain(model))[1], Chip(50_001), BitErrors(0.45), level="basic").base
    health = tell_health(demanding, device)
    assert health.device.best.rate > 0.05
    assert health.beyond
    assert health.accuracy[health.mode][1] == 0
    assert not health.suffices
    assert "raise the voltage" in health.sentence()
    assert json.loads(json.dumps(health.to_dict()))["suffices"] is False


# --- as a file ---


def test_the_file_gives_it_back(canary, tmp_path):
    path = save_canary(canary, tmp_path / "c.canary.npz")
    again = load_canary(path)
    assert again.x.tobytes() == canary.x.tobytes()
    assert (again.rule, again.modes, again.about) == (canary.rule, canary.modes, canary.about)
    assert again.calibration.rates == canary.calibration.rates
    for measure, departures in canary.calibration.departures.items():
        np.testing.assert_array_equal(again.calibration.departures[measure], departures)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="no canary at"):
        load_canary(tmp_path / "c.canary.npz")


def test_a_changed_file_is_not_believed(canary, tmp_path):
    path = save_canary(canary, tmp_path / "c.npz")
    content, random = path.read_bytes(), np.random.default_rng(9)
    stored = dict(np.load(path))
    for name in ("x", "clean", "rates", "scores", "answers", "accuracy"):
        changed = dict(stored)
        changed[name] = changed[name] * 1.01 + 0.01
        np.savez(tmp_path / "changed.npz", **changed)
        with pytest.raises(DataError, match="other contents"):
            load_canary(tmp_path / "changed.npz")
    changed = dict(stored, about=np.array(str(stored["about"]).replace('"least": null', '"least": 0.5')))
    np.savez(tmp_path / "changed.npz", **changed)
    with pytest.raises(DataError, match="other contents"):
        load_canary(tmp_path / "changed.npz")
    for _ in range(20):
        cut = content[: int(random.integers(len(content)))]
        (tmp_path / "cut.npz").write_bytes(cut)
        with pytest.raises(NfkitError):
            load_canary(tmp_path / "cut.npz")


def test_that_of_another_file_is_refused(canary, plant, protected, small_base):
    switched = nfkit.Switched(plant[0], level="basic")
    with pytest.raises(OptionError, match="shape"):
        tell_health(canary, lambda x: np.zeros((len(x), 7), np.float32))
    other = Canary(**{**vars(canary), "modes": ("nominal", "low")})
    with pytest.raises(OptionError, match="other modes"):
        look_after(switched, other)
    with pytest.raises(OptionError, match="no modes"):
        build_canary(protected("both"), plant[1], plant[2], BitErrors(0.01), parse_layout("iid"))
    with pytest.raises(OptionError, match="100 inputs of 80 samples"):
        build_canary(plant[0], plant[1], plant[2], BitErrors(0.01), parse_layout("iid"), n=100)


def test_the_command(plant, tmp_path):
    model, data, _ = plant
    training = {"config": {"errors": {"rate": 0.01, **BitErrors(0.01).to_dict()}, "layout": "iid"}}
    model = model.clone()
    model.metadata_props["nfkit.training"] = json.dumps(training)
    path, made = save(model, tmp_path / "m.onnx"), tmp_path / "m.canary.npz"
    np.savez(tmp_path / "d.npz", x=data.x, y=data.y)

    def run(*arguments):
        return CliRunner().invoke(app, ["canary", *map(str, arguments)], catch_exceptions=False)

    built = run(path, "--data", tmp_path / "d.npz", "-n", 12, "--samples", 80, "--chips", 3, "--json", "-")
    assert built.exit_code == 0
    record = json.loads(built.stdout)
    assert (record["output"], record["n"], record["modes"]) == (str(made), 12, ["nominal", "low", "lower"])
    checked = run(path, "--check", made)
    assert checked.exit_code == 0
    assert "bit error rate 0 %" in checked.stdout
