"""Generators of several sizes: which are tried, and what a second run does again."""

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from nfkit.energy import load_curve
from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Iid
from nfkit.graph.fusion.fused import is_fused
from nfkit.learn.config import TrainConfig
from nfkit.model import load, sha256
from nfkit.plans.candidates import find_candidates
from nfkit.plans.operating_points import Scale
from nfkit.reports.protection import Protection
from nfkit.reports.reading import read_as
from nfkit.reports.search import Found, Search
from nfkit.workflows.search import Aim, train_candidates

CURVE = load_curve("stutz-2021")
SCALE = Scale(BitErrors(0.0), 0.5, CURVE)
STRENGTH = SCALE.at_rate(0.01)
CONFIG = TrainConfig("hint-8", BitErrors(0.01), Iid(), epochs=0.5, batch=16, copies=1, precision="float32")
SHAPE = (1, 28, 28)


@pytest.fixture(scope="module")
def small(zoo):
    """The zoo's model, and samples to train and to measure on."""
    train, test = zoo.test.take(80), zoo.test.select(range(80, 120))
    return SimpleNamespace(path=Path(zoo.path), model=zoo.model, spec=zoo.spec, train=train, test=test)


@pytest.fixture(scope="module")
def run(small, tmp_path_factory):
    """run(folder, **changes): a search with two widths, and what it said."""

    def start(folder, generators=("hint-8", "hint-16"), config=CONFIG, **options):
        stages = []
        result = train_candidates(
            small.path, small.train, small.test, small.spec, config, SCALE, generators, folder,
            chips=2, on_stage=stages.append, **options,
        )  # fmt: skip
        return result, stages

    return start


@pytest.fixture(scope="module")
def done(run, tmp_path_factory):
    """A finished search, its folder and what it said."""
    folder = tmp_path_factory.mktemp("searches") / "found"
    return folder, *run(folder)


def times(folder):
    """When each candidate's files were written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.nf.*")}


def test_every_candidate_is_a_file_with_its_record(done):
    folder, result, _ = done
    assert [point.generator for point in result.points] == ["hint-8", "hint-16"]
    assert not any(point.reused for point in result.points)
    assert result.points[0].saving > result.points[1].saving > 0
    for point in result.points:
        path = result.path(point)
        assert is_fused(load(path))
        record = read_as(path.with_suffix(".json"), Protection)
        assert record.evaluation.model.sha256 == sha256(path)
        assert replace(point, on_front=False) == Found.of(record, reused=False)
    assert read_as(folder / "front.json", Search) == replace(result, folder="")
    assert result.front
    assert not list(folder.glob("*.checkpoint.pt"))


def test_the_picture_is_drawn_or_its_lack_told(done):
    folder, _, stages = done
    drawn = (folder / "front.svg").exists()
    assert drawn != any("pip install 'nfkit[plot]'" in stage for stage in stages)


def test_a_second_run_trains_only_what_is_missing(done, run):
    folder, first, _ = done
    missing = first.path(first.points[0])
    before = times(folder)
    missing.unlink()
    second, stages = run(folder)
    assert [point.reused for point in second.points] == [False, True]
    assert [stage for stage in stages if stage.startswith("training")] == [
        stage for stage in stages if "training hint-8" in stage
    ]
    after = times(folder)
    assert {name for name in after if after[name] == before[name]} == {n for n in before if "hint-16" in n}
    assert [replace(point, reused=False) for point in second.points] == list(first.points)  # seeded


def test_a_finished_search_writes_no_candidate(done, run):
    folder, _, _ = done
    before = times(folder)
    again, _ = run(folder)
    assert all(point.reused for point in again.points)
    assert times(folder) == before


def test_other_settings_are_refused_then_trained_anew(done, run):
    folder, _, _ = done
    before = times(folder)
    other = dataclasses.replace(CONFIG, seed=1)
    with pytest.raises(OptionError, match=r"made with other settings \(seed\).*--force"):
        run(folder, ["hint-8"], other)
    assert times(folder) == before
    result, _ = run(folder, ["hint-8"], other, force=True)
    assert not result.points[0].reused
    assert run(folder, ["hint-8"], other)[0].points[0].reused


def test_files_that_no_search_made_stay(small, run, tmp_path):
    path = tmp_path / f"{small.path.name.removesuffix('.onnx')}.hint-8.nf.onnx"
    path.write_bytes(b"precious")
    with pytest.raises(OptionError, match="without the record of a search"):
        run(tmp_path, ["hint-8"])
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == b"precious"


# --- candidates ---


def test_candidates_within_the_budget_by_rising_accesses(small):
    found, left_out = find_candidates(small.model, SHAPE, STRENGTH, CURVE, budget=0.05, widths=[32, 16, 8])
    assert [saving.name for saving in found] == ["hint-8", "hint-16"]
    assert all(saving.overhead <= 0.05 for saving in found)
    assert left_out == ["hint-32"]


def test_widths_by_default_are_the_widest_and_its_halves(small):
    found, left_out = find_candidates(small.model, SHAPE, STRENGTH, CURVE, budget=0.15, generators=["hint-8"])
    assert [saving.name for saving in found] == ["hint-8", "hint-16", "hint-32"]
    assert left_out == []


def test_a_budget_that_nothing_fits(small):
    with pytest.raises(OptionError, match=r"at most 0.1 % .*hint-8 reads .*raise --energy-budget"):
        find_candidates(small.model, SHAPE, STRENGTH, CURVE, budget=0.001, widths=[8, 16])


def test_a_rate_without_a_voltage(small):
    with pytest.raises(OptionError, match="knows no voltage for a bit error rate of 40 %"):
        find_candidates(small.model, SHAPE, Scale(BitErrors(0.0, "flip"), 1.0, CURVE).at_rate(0.4), CURVE, widths=[8])


def test_a_candidate_that_was_killed_before_its_file_was_in_place_is_taken_up(done, run):
    folder, _, _ = done
    path = next(folder.glob("*hint-16.nf.onnx"))
    path.write_bytes(b"what was there before")
    checkpoint = path.with_name(f"{path.name}.checkpoint.pt")
    with pytest.raises(OptionError, match="was changed since the search made it"):
        run(folder, ["hint-16"])
    checkpoint.write_bytes(b"")
    result, _ = run(folder, ["hint-16"])
    assert is_fused(load(path))
    assert not result.points[0].reused
    assert not checkpoint.exists()


def test_with_a_tolerance_every_candidate_is_planned(small, tmp_path):
    aim = Aim(0.2, (), 0.5)
    found = train_candidates(
        small.path,
        small.train,
        small.test,
        small.spec,
        CONFIG,
        SCALE,
        ["hint-8", "hint-16"],
        tmp_path,
        aim=aim,
        chips=2,
    )
    assert found == replace(read_as(tmp_path / "front.json", Search), folder=str(tmp_path))
    plans = [read_as(found.path(point).with_suffix(".json"), Protection).plan for point in found.points]
    assert [point.plan for point in found.points] == [None if p.best is None else p.options[p.best] for p in plans]
    assert found.best is not None
    assert found.best.plan.saving == max(point.plan.saving for point in found.points if point.plan)
    shown = found.overview()
    assert [row[0] for row in shown.table.rows] == ["hint-8", "hint-16"]
    named = f"{found.best.generator}: " if found.best.plan.uses_generator else ""
    assert shown.first == named + found.best.plan_sentence
    assert {point.generator for point in found.points if point.reused} == set()
    with pytest.raises(OptionError, match="max_loss"):
        train_candidates(
            small.path, small.train, small.test, small.spec, CONFIG, SCALE, ["hint-8"], tmp_path,
            aim=dataclasses.replace(aim, max_loss=0.1), chips=2,
        )  # fmt: skip
