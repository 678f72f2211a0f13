"""`nfkit campaign` and what stands beneath it."""

import json
import subprocess

import pytest

from nfkit.campaigns.reading import read_plan
from nfkit.reports.campaign import Campaign
from nfkit.reports.reading import read_as


@pytest.fixture(scope="module")
def plan(files, invoke, tmp_path_factory):
    """What `init` prints, with less to measure."""
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    text = invoke("campaign", "init", files.base, "--data", files.data).stdout
    text = text.replace("# samples = 1000", "samples = 20").replace("chips = 10 ", "chips = 2 ")
    path.write_text(text.replace('"robust-bits:2", "ecc:secded-64"', f'"neuralfuse:{files.fused}"'))
    return path


def test_a_plan_is_measured_shown_and_taken_up_again(invoke, plan, tmp_path):
    command = ["campaign", plan, "-o", tmp_path / "out", "--json", tmp_path / "record.json"]
    first = invoke(*command)
    assert "8 measurements, 4 of them done: about" in first.stderr
    assert "8 measurements of 8 planned in 4 cells" in first.stdout
    record = read_as(tmp_path / "record.json", Campaign)
    assert record.measured == 8
    assert record.command is not None
    again = invoke("campaign", "-o", tmp_path / "out", plan)  # options may stand before the plan
    assert again.stdout == first.stdout
    status = invoke("campaign", "status", tmp_path / "out", "--json", "-")
    assert json.loads(status.stdout)["cells"][0]["chips"] == 2
    invoke("campaign", "export", tmp_path / "out", "-o", tmp_path / "all.csv")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 9


def test_a_campaign_is_seen_as_a_page(invoke, plan, tmp_path):
    page, again, status = (tmp_path / name for name in ("run.html", "again.html", "status.html"))
    command = ["campaign", plan, "-o", tmp_path / "out", "--report", page]
    invoke(*command)
    invoke("report", tmp_path / "out", "-o", again)
    invoke("campaign", "status", tmp_path / "out", "--report", status)
    texts = [path.read_text() for path in (page, again, status)]
    for text in texts:
        assert "<svg" in text
        assert text.count("8 measurements in 4 cells") + text.count("8 measurements of 8 planned in 4 cells") >= 1
    assert ["<span>nfkit</span>" in text for text in texts] == [True, True, True]  # how to do it again


def test_a_map_is_seen_as_a_page(invoke, files, tmp_path):
    page = tmp_path / "map.html"
    invoke("vulnerability", files.base, "--data", files.data, "--samples", "20", "--chips", "2", "--report", page)
    text = page.read_text()
    assert "<svg" in text
    assert "bit 7" in text


def test_a_map_goes_on_beside_the_cells_of_a_campaign(invoke, files, plan, tmp_path):
    """One folder holds both, each is taken up again by its own command, and a report shows both."""
    folder, page = tmp_path / "out", tmp_path / "both.html"
    ask = ["vulnerability", files.base, "--data", files.data, "--samples", "20", "--chips", "2", "-o", folder]
    invoke("campaign", plan, "-o", folder)
    mapped = invoke(*ask)
    assert invoke(*ask).stdout == mapped.stdout
    status = invoke("campaign", "status", folder)
    assert "cells map where errors hurt" in status.stdout
    invoke("campaign", plan, "-o", folder)
    invoke("report", folder, "-o", page)
    text = page.read_text()
    assert "Where it hurts" in text
    assert "Accuracy over bit error rate" in text


def test_options_change_the_plan(invoke, plan, tmp_path):
    result = invoke("campaign", plan, "-o", tmp_path, "--until", "49%", "--max-chips", "3", "--dry-run")
    assert "8 measurements (at most 12), 4 of them done" in result.stderr
    assert "± 49 points takes about 2 chips a cell" in result.stderr


def test_two_folders_are_merged(invoke, plan, tmp_path):
    text = plan.read_text()
    for name, first in (("one", 50_000), ("two", 50_001)):
        part = tmp_path / f"{name}.toml"
        part.write_text(text.replace("chips = 2 ", f"first_chip = {first}\nchips = 1 "))
        invoke("campaign", part, "-o", tmp_path / name)
    assert (
        "8 measurements in 4 cells"
        in invoke("campaign", "merge", tmp_path / "one", tmp_path / "two", "-o", tmp_path / "both").stdout
    )


def test_mistakes_in_a_plan_are_listed(program, files, tmp_path):
    (tmp_path / "plan.toml").write_text(f'models = ["{files.base}"]\nchip = 3\nrates = ["1 %%"]\n')
    result = subprocess.run(
        [program, "campaign", tmp_path / "plan.toml", "-o", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"nfkit: 2 things to mend in '{tmp_path / 'plan.toml'}':",
        "  chip: no such key; did you mean chips?",
        "  rates: '1 %%' is no share: write 0.01 or \"1%\"",
    ]


def test_help_lists_what_can_be_done(invoke):
    text = invoke("campaign", "--help").stdout
    assert all(f"│ {name} " in text for name in ("run", "init", "status", "merge", "export"))
    assert "nfkit campaign plan.toml -o results" in text
    assert "--until" in invoke("campaign", "run", "--help").stdout


def test_a_plan_to_begin_with_is_read(plan):
    assert read_plan(plan).chips == 2
