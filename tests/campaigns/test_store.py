"""Measurements come back as they were made, once each, and never beside those of something else."""

import sqlite3

import numpy as np
import pytest

from nfkit.campaigns.kit import ClassMeasurement, MetricMeasurement, Task
from nfkit.campaigns.sizing import sample_bytes, store_size
from nfkit.campaigns.store import FILE, MeasurementStore
from nfkit.campaigns.tables import Run
from nfkit.errors import DataError, OptionError, OutputError
from nfkit.reports.campaign import Cell

CELL = Cell("m", "d", "bare", "stuck", 0.5, "iid", "as-stored", 0.01)
CLEAN = np.array([1, 1, 1, 0, 0, 1, 1, 0, 1], np.bool_)
RUN = Run("2026-01-01T00:00:00+00:00", "here", "threads", {"nfkit": "1"})
PRINT = {"model m": "a" * 64, "level": "all"}


@pytest.fixture
def store(tmp_path):
    with MeasurementStore(tmp_path / "new" / "folder", create=True) as opened:
        opened.begin(PRINT, {"m on d": (9, CLEAN)}, {CELL.key: (CELL, "m on d")}, RUN)
        yield opened


def test_a_measurement_is_counted_against_the_model_without_errors(store, made):
    correct = [1, 0, 0, 1, 0, 1, 1, 0, 1]
    changed = [0, 1, 1, 1, 1, 0, 0, 0, 0]
    store.add(made(CELL.key, 7, correct, changed, top=[1] * 8 + [0]), 1)
    row = store.rows(
        "SELECT right, top5, changed, right_to_wrong, wrong_to_right, faulty_cells, flipped_bits, run FROM measurements"
    )
    assert row == [(5, 8, 4, 2, 1, 5, 3, 1)]
    assert store.done() == {Task(CELL.key, 7)}
    assert [rights.tolist() for rights in store.samples(CELL.key)] == [list(map(bool, correct))]
    assert store.cells() == {CELL.key: (CELL, "m on d")}
    assert store.subjects()["m on d"].tolist() == CLEAN.tolist()


def test_the_same_again_is_kept_once_and_another_is_refused(store, made):
    store.add(made(CELL.key, 7, CLEAN), 1)
    store.add(made(CELL.key, 7, CLEAN, seconds=9.0), 1)
    assert store.counts(CELL.key)["seconds"] == [0.25]
    with pytest.raises(
        DataError, match=r"chip 7 of m, d, bare.* differs in right, wrong_to_right, correct_bits between"
    ):
        store.add(made(CELL.key, 7, np.ones(9), changed=CLEAN), 1)


def test_some_chips_are_asked_for_by_their_seeds(store, made):
    for chip in (9, 7, 8):
        store.add(made(CELL.key, chip, CLEAN, bits=chip), 1)
    assert store.counts(CELL.key, range(8, 10))["flipped_bits"] == [8, 9]
    assert (store.count(CELL.key), store.count(CELL.key, range(7, 9)), store.count("other")) == (3, 2, 0)


def test_a_campaign_may_grow_but_not_change(store):
    store.begin({**PRINT, "model n": "b" * 64}, {}, {}, RUN)
    assert set(store.fingerprint) == {"model m", "model n", "level"}
    with pytest.raises(
        OptionError, match=r"level was all and is basic; model m was a{12} and is c{12}; they do not mix"
    ):
        store.begin({"model m": "c" * 64, "level": "basic", "model o": "new"}, {}, {}, RUN)
    assert "model o" not in store.fingerprint  # nothing of a refused plan is kept
    with pytest.raises(OptionError, match="m on d without errors answers otherwise"):
        store.begin(PRINT, {"m on d": (9, ~CLEAN)}, {}, RUN)


def test_two_connections_see_each_other(store, made):
    with MeasurementStore(store.folder) as other:
        store.add(made(CELL.key, 7, CLEAN), 1)
        assert other.done() == {Task(CELL.key, 7)}
        other.add(made(CELL.key, 7, CLEAN), 1)
    assert store.count(CELL.key) == 1


def test_folders_and_files_that_are_no_store_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds no campaign"):
        MeasurementStore(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot keep measurements"):
        MeasurementStore(tmp_path / "file" / "below", create=True)
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(OutputError, match="takes or gives no measurements"):
        MeasurementStore(tmp_path)
    later = tmp_path / "later"
    later.mkdir()
    with sqlite3.connect(later / FILE) as file:
        file.execute("PRAGMA user_version = 9")
    file.close()
    with pytest.raises(DataError, match="is a store of version 9, this nfkit reads version 2"):
        MeasurementStore(later)


@pytest.mark.parametrize(("images", "count"), [(20, 1), (100, 1000), (1000, 500), (10_000, 200)])
def test_the_size_of_a_store_is_known_before_it_is_there(tmp_path, images, count):
    some = np.zeros(images, np.bool_)
    packed = np.packbits(some).tobytes()
    with MeasurementStore(tmp_path, create=True) as store:
        store.begin(PRINT, {"m on d": (images, some)}, {CELL.key: (CELL, "m on d")}, RUN)
        with store.transaction():
            for chip in range(50_000, 50_000 + count):
                store.add(ClassMeasurement(CELL.key, chip, 100, 50, 0.1, packed, packed, packed), 1)
    assert store_size(count, sample_bytes(images)) == pytest.approx((tmp_path / FILE).stat().st_size, rel=0.2)


VALUES = np.array([0.5, -1.25, 3.0])


@pytest.fixture
def scored(tmp_path):
    with MeasurementStore(tmp_path / "scored", create=True) as opened:
        opened.begin({**PRINT, "metric": "m.py:f"}, {"m on d": (3, VALUES)}, {CELL.key: (CELL, "m on d")}, RUN)
        yield opened


def test_values_of_a_metric_come_back_as_they_were(scored):
    for chip in (8, 7):
        scored.add(MetricMeasurement(CELL.key, chip, 5, 3, 0.25, (VALUES * chip).astype("<f8").tobytes()), 1)
    assert scored.rows("SELECT chip, value, faulty_cells, flipped_bits FROM scores ORDER BY chip") == [
        (7, 5.25, 5, 3), (8, 6.0, 5, 3),
    ]  # fmt: skip
    assert [values.tolist() for values in scored.samples(CELL.key)] == [(VALUES * 7).tolist(), (VALUES * 8).tolist()]
    assert scored.subjects()["m on d"].tolist() == VALUES.tolist()
    assert (scored.images(), scored.done()) == ({"m on d": 3}, {Task(CELL.key, 7), Task(CELL.key, 8)})
    with pytest.raises(DataError, match="differs in value, sample_values"):
        scored.add(MetricMeasurement(CELL.key, 7, 5, 3, 0.25, VALUES.tobytes()), 1)


def test_answers_and_values_do_not_mix(scored, store):
    with pytest.raises(OptionError, match=r"metric was m\.py:f and is none"):
        scored.begin(PRINT, {}, {}, RUN)
    with pytest.raises(OptionError, match=r"metric was none and is m\.py:f"):
        store.begin({**PRINT, "metric": "m.py:f"}, {}, {}, RUN)


def test_a_store_of_the_first_version_takes_more(store, made):
    store.add(made(CELL.key, 7, CLEAN), 1)
    for table in ("scores", "scored_subjects"):  # which it did not have
        store.rows(f"DROP TABLE {table}")
    store.rows("PRAGMA user_version = 1")
    with MeasurementStore(store.folder) as again:
        again.add(made(CELL.key, 8, CLEAN), 1)
        assert again.count(CELL.key) == 2


def test_cells_are_told_apart_by_every_attribute():
    others = [
        Cell("n", "d", "bare", "stuck", 0.5, "iid", "as-stored", 0.01),
        Cell("m", "e", "bare", "stuck", 0.5, "iid", "as-stored", 0.01),
        Cell("m", "d", "ecc:secded-64", "stuck", 0.5, "iid", "as-stored", 0.01),
        Cell("m", "d", "bare", "flip", 0.5, "iid", "as-stored", 0.01),
        Cell("m", "d", "bare", "stuck", 0.4, "iid", "as-stored", 0.01),
        Cell("m", "d", "bare", "stuck", 0.5, "reference", "as-stored", 0.01),
        Cell("m", "d", "bare", "stuck", 0.5, "iid", "gray", 0.01),
        Cell("m", "d", "bare", "stuck", 0.5, "iid", "as-stored", 0.010000000000000002),
        Cell("m", "d", "bare", "stuck", 0.5, "iid", "as-stored", 0.01, 0.9),
    ]
    assert len({cell.key for cell in (CELL, *others)}) == 10
    assert CELL.key == "894643e9910b0487"  # stores of other versions are read by it
