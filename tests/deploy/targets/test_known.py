"""Every target can be run, is on its page, and is offered by the commands."""

from pathlib import Path

import pytest

from nfkit.cli.commands import load
from nfkit.deploy.targets.known import TARGETS
from nfkit.deploy.targets.runtimes import _RUNTIMES

PAGE = (Path(__file__).parents[3] / "docs" / "targets.md").read_text(encoding="utf-8")


def test_what_runs_them():
    assert list(_RUNTIMES) == list(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_page_and_help(name):
    assert f"| `{name}` |" in PAGE
    for command in ("check", "export"):
        (option,) = (p for p in load(command).params if p.name == "target")
        assert name in option.help


def test_the_page_states_the_versions_of_the_operators():
    rows = {line.split("|")[1].strip(" `"): line for line in PAGE.splitlines() if line.startswith("| `")}
    for name in ("onnxruntime", "openvino", "tract"):
        lowest, highest = TARGETS[name].opsets
        assert f"operators {lowest} to {highest}" in rows[name]
    assert f"from {TARGETS['reference'].opsets[0]} on" in rows["reference"]
