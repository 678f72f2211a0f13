"""The pages name no option that the program does not have, and one of them every command."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from nfkit.cli.commands import SUMMARIES, load
from nfkit.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_OTHERS = {"--quick", "--cluster", "--kills", "--nproc-per-node"}  # of benchmarks, and of torchrun


def options(command) -> set[str]:
    """All options of a command and of those beneath it, hidden ones too."""
    found = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return found.union(*(options(inner) for inner in getattr(command, "commands", {}).values()))


KNOWN = options(get_command(app)).union(*(options(load(name)) for name in SUMMARIES)) | {"--help"} | OF_OTHERS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_on_a_page_exists(page):
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if "python benchmarks/" not in line]
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*\w", "\n".join(lines)))
    assert sorted(named - KNOWN) == []


def test_a_page_names_every_command():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in SUMMARIES if f"`nfkit {name}" not in text] == []
