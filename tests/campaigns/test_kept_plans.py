"""Plans beside the measurements: the same plan read again, and commands that a shell takes as they are."""

import shlex
import subprocess
import sys

import msgspec
import pytest

import nfkit
from nfkit.campaigns.kept_plans import commands_again, keep_plan, kept_plans, to_toml
from nfkit.campaigns.plan import CampaignPlan, ModelEntry
from nfkit.campaigns.reading import read_plan
from nfkit.campaigns.store import MeasurementStore
from nfkit.campaigns.tables import ANSWERS
from nfkit.workflows.reporting import report


def truth(folder):
    with MeasurementStore(folder) as store:
        return store.rows(f"SELECT {', '.join(ANSWERS.truth)} FROM measurements ORDER BY cell, chip")


def test_a_plan_is_read_again_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('odd "name" é\U0001f600\x7f.onnx', "b", "it's.npz"):
        (tmp_path / name).touch()
    plan = CampaignPlan(
        models=(
            ModelEntry('odd "name" é\U0001f600\x7f.onnx', mean=(0.5,), std=(0.25, 1 / 3)), ModelEntry("b", name="b")
        ),
        data=("it's.npz",), samples=7, remedies=("bare", "ecc:secded-64"), kinds=("asymmetric:0.2",),
        rates=(1e-7, 0.01), until=0.01, max_chips=20, figure="loss",
    )  # fmt: skip
    (tmp_path / "plan.toml").write_text(to_toml(plan), encoding="utf-8")
    assert read_plan(tmp_path / "plan.toml") == plan


def test_each_plan_is_kept_once_in_the_order_of_runs(tmp_path):
    plan = CampaignPlan(models=(ModelEntry("m.onnx"),), rates=(0.01,))
    grown = msgspec.structs.replace(plan, chips=20)
    for run, wanted in ((2, plan), (3, plan), (10, grown), (11, plan)):
        keep_plan(tmp_path, wanted, run)
    (tmp_path / "plan-mine.toml").write_text("")
    assert [path.name for path in kept_plans(tmp_path)] == ["plan-2.toml", "plan-10.toml"]
    assert commands_again(tmp_path / "nothing") == []


@pytest.mark.parametrize("name", ["results", "my $results; it's"])
def test_what_a_report_of_a_folder_says_measures_the_same_again(plan, tmp_path, name):
    folder = tmp_path / name
    nfkit.campaign(plan(rates=[0.05], chips=2), folder)
    nfkit.campaign(plan(rates=[0.02], chips=2, remedies=["bare"]), folder)
    commands = commands_again(folder)
    assert len(commands) == 2
    for command in commands:
        program = f"{shlex.quote(sys.executable)} -m nfkit {command.removeprefix('nfkit ')}"
        subprocess.run(program, shell=True, check=True, cwd=tmp_path, capture_output=True)
    assert truth(tmp_path / f"{name}-again") == truth(folder)
    jinja = pytest.importorskip("jinja2", reason="jinja2 is not installed")
    page = report(folder, tmp_path / "report.html").read_text()
    again = page[page.index("To do it again") :]
    for command in commands:
        for word in command.split(" "):
            assert f"<span>{jinja.utils.markupsafe.escape(word)}</span>" in again
