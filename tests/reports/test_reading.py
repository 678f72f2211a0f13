"""Records as files: whole after a round trip, of any version, and refused by file and field."""

import json
from pathlib import Path

import msgspec
import pytest

from nfkit.errors import DataError
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.protection import Protection
from nfkit.reports.reading import RECORDS, decode, encode, read, read_as, write

RESULTS = Path(__file__).parents[2] / "docs" / "results"
KINDS = ("nfkit.evaluate/", "nfkit.evaluate-bits/", "nfkit.protect/", "nfkit.search/")
FILES = [path for path in sorted(RESULTS.glob("*.json")) if json.loads(path.read_text())["schema"].startswith(KINDS)]


def test_there_are_records_of_version_1():
    assert sum(json.loads(path.read_text())["schema"].endswith("/1") for path in FILES) > 50


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_published_records_are_read_and_say_the_same(path):
    plain, record = json.loads(path.read_text()), read(path)
    assert decode(encode(record), "again") == record
    assert str(record)
    assert record.table().rows
    measured = record.evaluation if isinstance(record, Protection) else record
    old = plain["evaluate"] if isinstance(record, Protection) else plain
    if not isinstance(measured, Evaluation) or "summary" not in old:
        return
    assert [point.ber for point in measured.points] == [entry["ber"] for entry in old["summary"]]
    assert [point.base.mean for point in measured.points] == [entry["base"]["mean"] for entry in old["summary"]]
    assert len(measured.rows) == len(old["rows"])
    assert sum(row.flipped_bits for row in measured.rows) == sum(row["flipped_bits"] for row in old["rows"])
    priced = {entry["ber"]: entry["saving_by_accesses"] for entry in old.get("energy", {}).get("points", ())}
    assert {p.ber: p.saving.by_accesses for p in measured.points if p.saving} == priced


@pytest.fixture
def whole():
    """A published protection in the present form, as plain values."""
    return msgspec.to_builtins(read(RESULTS / "protect_resnet20_auto.json"))


def refused(plain, match):
    with pytest.raises(DataError, match=match):
        decode(json.dumps(plain).encode(), "'a.json'")


def test_a_wrong_field_is_named(whole):
    whole["evaluate"]["points"][0]["ber"] = "much"
    refused(whole, r"'a\.json': field `evaluate\.points\[0\]\.ber`: expected `float`, got `str`")


def test_a_missing_field_is_named(whole):
    del whole["evaluate"]["clean"]["base"]
    refused(whole, r"'a\.json': field `evaluate\.clean`: object missing required field `base`")


def test_other_schemas_are_refused(whole):
    refused(whole | {"schema": "nfkit.protect/9"}, r"its schema is 'nfkit\.protect/9', and not one of nfkit\.campaign")
    refused([1], "its schema is None")
    refused({"schema": ["x"]}, "its schema is")


@pytest.mark.parametrize("damage", ["model", "clean", "rows", "summary"])
def test_a_damaged_record_of_version_1_is_refused(damage):
    plain = json.loads((RESULTS / "evaluate_ai85.nf_iid.json").read_text())
    refused({key: value for key, value in plain.items() if key != damage}, "no whole record of version 1")
    refused(plain | {damage: 3}, r"a\.json")


def test_what_is_no_json_is_refused(tmp_path):
    for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(DataError, match=r"x\.json' is no JSON"):
            read(tmp_path / "x.json")
    with pytest.raises(DataError, match="cannot read the record"):
        read(tmp_path / "absent.json")


def test_a_record_of_another_kind_is_refused(tmp_path):
    record = read(RESULTS / "protect_resnet20_auto.json")
    write(record, tmp_path / "r.json")
    assert read_as(tmp_path / "r.json", Protection) == record
    with pytest.raises(DataError, match="is a record of protection, not of evaluation"):
        read_as(tmp_path / "r.json", Evaluation)


def test_an_old_interval_of_no_width_is_none():
    plain = json.loads((RESULTS / "evaluate_ai85.nf_iid.json").read_text())
    first = plain["rows"][0]
    plain["rows"], plain["summary"] = [first], [plain["summary"][0]]
    (point,) = decode(json.dumps(plain).encode(), "it").points
    assert point.base.std is point.base.ci95 is None


def test_every_schema_names_its_type():
    for schema, kind in RECORDS.items():
        assert kind.__struct_config__.tag == schema
