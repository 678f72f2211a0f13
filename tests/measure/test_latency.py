"""Latency: exact statistics, runs by turns, and what is measured of which model."""

import json

import numpy as np
import pytest

from nfkit.access.runtime import Runner
from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.split import split
from nfkit.measure.latency import WARM_UP, Latency, Percentiles, _in_turn, alternate, by_image, measure_latency


@pytest.fixture(scope="module")
def x(zoo):
    return zoo.spec.encode(zoo.test.x[:3])


@pytest.mark.parametrize(
    ("milliseconds", "p50", "p95"),
    [
        ([7.0], 7.0, 7.0),
        ([4.0, 1.0, 3.0, 2.0], 2.5, 3.85),  # 0.95 * 3 = 2.85: between the third and the fourth
        (list(range(101)), 50.0, 95.0),
        ([1.0] * 19 + [100.0], 1.0, 5.95),  # one slow run in twenty
    ],
)
def test_percentiles(milliseconds, p50, p95):
    found = Percentiles.of(milliseconds)
    assert (found.p50_ms, found.p95_ms) == pytest.approx((p50, p95), rel=1e-12)
    assert found.mean_ms == pytest.approx(sum(milliseconds) / len(milliseconds))


def test_models_take_turns(zoo, fused, x):
    order = []

    def run(name, runner):
        order.append((name, runner(x).shape))

    base, protected = Runner(split(fused)[1], threads=1), Runner(fused, threads=1)
    times = alternate([lambda: run("base", base), lambda: run("protected", protected)], seconds=0)
    assert times.shape == (2, 20)
    assert (times > 0).all()
    assert order == [("base", (3, 10)), ("protected", (3, 10))] * (WARM_UP + 20)


def test_rounds_end_at_their_most_however_much_time_is_left():
    assert alternate([list], seconds=3600).shape == (1, 500)


def test_fused_model_is_measured_beside_its_base(fused, x):
    entries = measure_latency(fused, x, batches=(1, 8), threads=1, seconds=0)
    assert [(entry.batch, entry.rounds, entry.threads) for entry in entries] == [(1, 20, 1), (8, 20, 1)]
    for entry in entries:
        assert 0 < entry.base.p50_ms <= entry.base.p95_ms
        assert 0 < entry.protected.p50_ms <= entry.protected.p95_ms
        assert entry.ratio == entry.protected.p50_ms / entry.base.p50_ms


def test_every_round_takes_the_next_samples():
    class Seen(list):
        def __call__(self, samples, batch):
            self.append((samples[:, 0].tolist(), batch))

    seen, x = Seen(), np.arange(5)[:, None]
    turn = _in_turn(seen, x, 2)
    for _ in range(4):
        turn()
    assert seen == [([0, 1], 2), ([2, 3], 2), ([4, 0], 2), ([0, 1], 2)]


def test_images_are_timed_one_by_one_and_their_medians_count():
    seen = []

    def quick(image):
        seen.append(int(image[0, 0]))

    x = np.arange(30)[:, None]
    times = by_image([quick, quick], x, seconds=3600)
    assert times.shape == (2, 30)
    assert seen == [0] * 2 * WARM_UP + [image for image in range(30) for _ in range(10)]
    assert by_image([quick], x, seconds=0).shape == (1, 20)


def test_bare_base_has_no_protected_figures(zoo, x):
    (entry,) = measure_latency(zoo.model, x, batches=(2,), threads=1, seconds=0)
    assert (entry.protected, entry.ratio) == (None, None)
    assert entry.to_dict().keys() == {"rounds", "threads", "base"}


def test_record():
    entry = Latency(64, 20, 2, Percentiles(2.0, 3.0, 4.0), Percentiles(5.0, 6.0, 3.0))
    assert json.loads(json.dumps(entry.to_dict())) == {
        "rounds": 20,
        "threads": 2,
        "base": {"p50_ms": 2.0, "p95_ms": 3.0, "mean_ms": 4.0},
        "protected": {"p50_ms": 5.0, "p95_ms": 6.0, "mean_ms": 3.0},
        "ratio": 2.5,
        "mean_ratio": 0.75,
    }


def test_equal_batches_are_measured_once_and_a_fixed_batch_instead(parse, zoo, x):
    assert [e.batch for e in measure_latency(zoo.model, x, batches=(2, 2), threads=1, seconds=0)] == [2]
    fixed = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        fixed (float[4, 3] x) => (float[4, 2] y)
        { y = MatMul (x, w) }
        """,
        w=np.ones((3, 2), np.float32),
    )
    entries = measure_latency(fixed, np.ones((1, 3), np.float32), batches=(1, 64), threads=1, seconds=0)
    assert [entry.batch for entry in entries] == [4]


@pytest.mark.parametrize("batches", [(), (0,), (1, -1)])
def test_batches_below_one_are_refused(zoo, x, batches):
    with pytest.raises(OptionError, match="each 1 or more"):
        measure_latency(zoo.model, x, batches=batches)


def test_samples_that_do_not_fit_are_the_models_error(zoo):
    with pytest.raises(ModelError, match="fails on the data"):
        measure_latency(zoo.model, np.ones((1, 3), np.float32), threads=1, seconds=0)
