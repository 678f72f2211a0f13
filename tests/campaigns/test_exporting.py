"""Measurements as tables of other programs."""

import csv
import json

import numpy as np
import pytest

import nfkit
from nfkit.campaigns.exporting import columns_of
from nfkit.campaigns.tables import ANSWERS
from nfkit.errors import OptionError
from nfkit.workflows.campaign_folders import export_measurements


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("campaign")
    nfkit.campaign({"models": str(tiny.base), "data": str(tiny.data), "rates": [0.02, 0.05], "chips": 2}, folder)
    return folder


def test_csv_has_one_row_a_measurement(folder, tmp_path):
    assert export_measurements(folder, tmp_path / "all.csv") == 4
    with open(tmp_path / "all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == columns_of(ANSWERS)
    assert [(row["rate"], row["chip"]) for row in rows] == [
        (r, c) for r in ("0.02", "0.05") for c in ("50000", "50001")
    ]
    assert all(int(row["images"]) == 100 and json.loads(row["versions"])["nfkit"] for row in rows)
    table = nfkit.campaign_measurements(folder)
    assert [str(row[table.columns.index("right")]) for row in table.rows] == [row["right"] for row in rows]


def test_parquet_holds_the_samples_as_well(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    export_measurements(folder, tmp_path / "all.parquet")
    rows = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert len(rows) == 4
    for row in rows:
        assert np.unpackbits(np.frombuffer(row["correct_bits"], np.uint8)).sum() == row["right"]
        assert np.unpackbits(np.frombuffer(row["changed_bits"], np.uint8)).sum() == row["changed"]
        assert np.unpackbits(np.frombuffer(row["top5_bits"], np.uint8)).sum() == row["top5"]


def test_other_names_are_refused(folder, tmp_path):
    with pytest.raises(OptionError, match=r"ends in .csv or .parquet"):
        export_measurements(folder, tmp_path / "all.xlsx")
