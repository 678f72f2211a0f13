"""`nfkit report`, `--report` of the commands that measure, and what guards both."""

import json
import re

import pytest

import nfkit
from nfkit.outputs import REPORT_MARK
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.reading import read_as


@pytest.fixture(scope="module")
def measured(invoke, files, tmp_path_factory):
    """A record and the page that the same command wrote beside it."""
    folder = tmp_path_factory.mktemp("measured")
    record, page = folder / "record.json", folder / "record.html"
    told = invoke(
        "evaluate", files.fused, "--data", files.data, "--chips", "2", "--ber", "1%", "--json", record, "--report", page
    )
    return record, page, told.stdout


def test_evaluate_writes_record_and_page_and_still_tells(measured):
    record, page, told = measured
    content = page.read_bytes()
    assert content.startswith(REPORT_MARK)
    found = read_as(record, Evaluation)
    assert found.model.sha256.encode() in content
    assert found.verdict.sentence in told
    assert b"nfkit evaluate" in content or found.command.split()[0].encode() in content


def test_a_report_of_files(invoke, measured, tmp_path):
    record, _, _ = measured
    output = tmp_path / "a.html"
    said = json.loads(invoke("report", record, "-o", output, "--json", "-").stdout)
    assert said["schema"] == "nfkit.report/1"
    assert said["bytes"] == output.stat().st_size
    assert "record.json" in output.read_text()
    assert "1 file, " in invoke("report", record, "-o", output, "--force").stdout


def test_records_stand_before_single_samples(measured, files, tmp_path):
    record, _, _ = measured
    page = nfkit.report([files.fused, record], tmp_path / "r.html", data=files.data, samples=60).read_text()
    assert re.findall(r'<h2 id="h\d">(\S+)', page) == [record.name, files.fused.name]


def test_a_model_is_run_on_single_samples(invoke, files, tmp_path):
    page = tmp_path / "seen.html"
    data = ["--data", files.data, "--samples", "40", "--ber", "2%", "--chip", "7"]
    invoke("report", files.fused, *data, "-o", page)
    content = page.read_text()
    assert "stuck errors at a bit error rate of 2 %, chip 7" in content
    assert content.count("data:image/png") >= 20
    assert "What the generator does to a sample" in content
    assert "Scores of the protected model" in content


def test_what_report_refuses(run_all, measured, files, tmp_path):
    record, _, _ = measured
    (tmp_path / "record.json").write_bytes(record.read_bytes())
    (tmp_path / "notes.html").write_text("<!doctype html><p>mine")
    data = ["--data", str(files.data)]
    cases = {
        "faulty rate": (["report", str(files.base), *data, "--ber", "7", "-o", "a.html"], "rate"),
        "model onto itself": (["report", str(files.base), *data, "-o", str(files.base), "--force"], "never changed"),
        "exists": (["report", "record.json", "-o", "notes.html"], "give --force"),
        "itself": (["report", "record.json", "-o", "record.json", "--force"], "which is never changed"),
        "absent": (["report", "no.json", "-o", "a.html"], "cannot read the record 'no.json'"),
        "folder": (["report", str(tmp_path), "-o", "a.html"], "is a folder: give the record in it"),
        "no record": (["report", "notes.html", "-o", "a.html"], "is no JSON"),
        "option onto a page": (
            ["evaluate", str(files.base), *data, "--report", "notes.html"], "is no report of nfkit: choose another",
        ),
        "option onto the model": (["evaluate", str(files.base), *data, "--report", str(files.base)], "never changed"),
        "twice": (["plan", str(files.base), *data, "--report", "b", "--json", "b"], "give two names"),
        "address": (
            ["evaluate", "http://localhost:9/v2/models/m", *data, "--report", "notes.html"], "is no report of nfkit",
        ),
    }  # fmt: skip
    results = run_all({name: (arguments, tmp_path) for name, (arguments, _) in cases.items()})
    for name, (_, words) in cases.items():
        assert results[name].code == 1, (name, results[name].out)
        assert words in results[name].err, name
    assert not (tmp_path / "a.html").exists()


def test_an_older_report_is_replaced(invoke, measured, files, tmp_path):
    page = tmp_path / "page.html"
    page.write_bytes(REPORT_MARK + b" old")
    invoke("evaluate", files.base, "--data", files.data, "--chips", "1", "--report", page)
    assert b" old" not in page.read_bytes()[:100]
