"""`nfkit plan`."""

import json

from nfkit.reports.plan import Plan
from nfkit.reports.reading import read_as


def test_plan_writes_what_it_says(invoke, files, tmp_path):
    record = tmp_path / "plan.json"
    result = invoke(
        "plan", files.base, "--data", files.data, "--max-loss", "100%", "--can", "robust-bits,ecc", "--chips", 2,
        "--samples", 12, "--curve", "neuralfuse", "--json", record,
    )  # fmt: skip
    plan = read_as(record, Plan)
    assert plan.sentence in result.stdout
    assert plan.tolerance == 1.0
    assert {option.name for option in plan.options} >= {"bare", "robust-bits:3", "ecc:secded-64"}
    assert all(option.volts_over_vmin == 0.833 for option in plan.options)
    assert json.loads(record.read_text())["command"].startswith("nfkit")


def test_wrong_use_is_a_sentence(run_all, files):
    commands = {
        "loss": (["plan", str(files.base), "--data", str(files.data), "--max-loss", "much"], files.data.parent),
        "means": (["plan", str(files.base), "--data", str(files.data), "--can", "magic"], files.data.parent),
    }
    done = run_all(commands)
    assert done["loss"].code == done["means"].code == 1
    assert "--max-loss 'much': give a share such as" in done["loss"].err
    assert "unknown means 'magic' of a plan: choose from voltage, robust-bits" in done["means"].err
