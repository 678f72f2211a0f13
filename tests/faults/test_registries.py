"""What can be chosen is documented, and offered by the commands."""

from pathlib import Path

import pytest

from nfkit.cli.commands import load
from nfkit.faults.codes import STORAGE_CODES
from nfkit.faults.ecc import CORRECTIONS
from nfkit.faults.kinds import KINDS
from nfkit.faults.layouts import LAYOUTS

PAGE = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
CHOICES = {"--kind": KINDS, "--storage": STORAGE_CODES, "--ecc": CORRECTIONS, "--memory-layout": LAYOUTS}


@pytest.mark.parametrize("option", CHOICES)
def test_every_choice_is_on_the_page(option):
    assert [name for name in CHOICES[option] if f"`{name}" not in PAGE] == []


@pytest.mark.parametrize("command", ["evaluate", "protect", "search", "inject", "serve"])
@pytest.mark.parametrize("option", CHOICES)
def test_every_choice_is_in_the_help(command, option):
    options = {name: o for o in load(command).params for name in o.opts}
    offered = f"{options[option].metavar} {options[option].help}"
    assert [name for name in CHOICES[option] if name not in offered] == []


@pytest.mark.parametrize("registry", CHOICES.values(), ids=list(CHOICES))
def test_names_can_be_typed(registry):
    assert all(name == name.lower() and not set(name) & set(" :,#+") for name in registry)


def test_every_layout_says_how_it_is_typed():
    for name, layout in LAYOUTS.items():
        assert [usage for usage in layout.usage if usage.partition(":")[0] != name] == []
        assert layout.usage
