"""Finished rows survive the end of their process."""

import pytest

from nfkit.errors import OutputError
from nfkit.measure.journal import Journal
from nfkit.reports.operating_point import Row

ROWS = [Row(0.1 + 0.2, chip, 10, 5, 0.5, 0.75, b"\x80\x01", b"\xff") for chip in (3, 4)]


def test_rows_come_back_as_they_were(tmp_path):
    first = Journal(tmp_path / "new", ["a", "b"])
    for row in ROWS:
        first.add(row)
    again = Journal(tmp_path / "new", ["a", "b"])
    assert [again.find(0.1 + 0.2, chip, True) for chip in (3, 4, 5)] == [*ROWS, None]
    assert len(again) == 2


def test_another_measurement_has_rows_of_its_own(tmp_path):
    Journal(tmp_path, ["a", "b"]).add(ROWS[0])
    assert len(Journal(tmp_path, ["a", "c"])) == 0
    assert len(Journal(tmp_path, ["a\nb"])) == 1  # what it depends on, line by line


def test_a_row_without_the_protected_model_does_for_the_base_alone(tmp_path):
    journal = Journal(tmp_path, ["x"])
    journal.add(Row(0.1, 3, 10, 5, 0.5, base_correct=b"\x80"))
    assert journal.find(0.1, 3, True) is None
    assert journal.find(0.1, 3, False).base == 0.5


@pytest.mark.parametrize("kept", [1, 20, -1, -2])
def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path, kept):
    journal = Journal(tmp_path, ["x"])
    for row in ROWS:
        journal.add(row)
    first, second = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(first + second[:kept])
    again = Journal(tmp_path, ["x"])
    assert again.find(ROWS[0].ber, 3, True) == ROWS[0]
    assert again.find(ROWS[0].ber, 4, True) is None
    again.add(ROWS[1])
    assert len(Journal(tmp_path, ["x"])) == 2


def test_what_is_done_is_forgotten(tmp_path):
    journal = Journal(tmp_path, ["x"])
    journal.add(ROWS[0])
    journal.discard()
    assert list(tmp_path.iterdir()) == []
    assert len(journal) == 0


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot keep finished rows"):
        Journal(tmp_path / "file" / "below", ["x"])
