"""Stores of several machines made one, or refused by what contradicts."""

import sqlite3

import pytest

import nfkit
from nfkit.campaigns.store import FILE, MeasurementStore
from nfkit.campaigns.tables import ANSWERS
from nfkit.errors import DataError, OptionError
from nfkit.workflows.campaign_folders import merge_campaigns


@pytest.fixture
def halves(plan, tmp_path):
    """Two folders of one campaign that share a chip."""
    small = plan(remedies="bare")
    nfkit.campaign({**small, "chips": 2}, tmp_path / "one")
    nfkit.campaign({**small, "first_chip": 50_001, "chips": 2}, tmp_path / "two")
    nfkit.campaign({**small, "chips": 3}, tmp_path / "all")
    return tmp_path


def rows(folder):
    with MeasurementStore(folder) as store:
        return store.rows(f"SELECT {', '.join(ANSWERS.truth)} FROM measurements ORDER BY cell, chip")


def test_what_is_merged_is_what_one_machine_would_have_measured(halves):
    record = merge_campaigns([halves / "one", halves / "two"], halves / "merged")
    assert rows(halves / "merged") == rows(halves / "all")
    assert record.measured == 6
    assert sorted(path.name for path in (halves / "merged").iterdir()) == [FILE]
    with MeasurementStore(halves / "merged") as store:  # each row knows who measured it
        assert store.rows("SELECT run, count(*) FROM measurements GROUP BY run") == [(1, 4), (2, 2)]


def test_contradictions_are_refused_by_cell_and_chip(halves):
    with sqlite3.connect(halves / "two" / FILE) as file:
        file.execute("UPDATE measurements SET flipped_bits = flipped_bits + 1 WHERE chip = 50001")
    file.close()
    with pytest.raises(DataError, match=r"chip 50001 of .*base.onnx, .*bare.* differs in flipped_bits"):
        merge_campaigns([halves / "one", halves / "two"], halves / "merged")
    assert list((halves / "merged").iterdir()) == []


def test_campaigns_of_different_things_do_not_mix(halves, plan):
    nfkit.campaign(plan(remedies="bare", level="basic", chips=1), halves / "basic")
    with pytest.raises(OptionError, match="basic' does not mix with the folders before it: level was all and is basic"):
        merge_campaigns([halves / "one", halves / "basic"], halves / "merged")


def test_folders_that_make_no_sense_are_refused(halves):
    with pytest.raises(OptionError, match="holds a campaign already"):
        merge_campaigns([halves / "one", halves / "two"], halves / "all")
    with pytest.raises(OptionError, match="two folders or more"):
        merge_campaigns([halves / "one"], halves / "merged")
    with pytest.raises(DataError, match="holds no campaign"):
        merge_campaigns([halves / "one", halves / "none"], halves / "merged")
