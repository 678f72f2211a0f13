"""The list of commands, which is written down so that none of them is imported for it."""

import re

import pytest
from typer.testing import CliRunner

from nfkit.cli.commands import SUMMARIES, load
from nfkit.cli.examples import EXAMPLES
from nfkit.cli.main import app


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_is_the_first_sentence_of_the_command(name):
    command = load(name)
    first = " ".join(command.help.split("\n\n")[0].split())
    assert (command.name, first) == (name, SUMMARIES[name])


@pytest.mark.parametrize("name", SUMMARIES)
def test_help_breaks_its_lines_by_the_terminal_alone(name):
    command = load(name)
    for shown in (command, *getattr(command, "commands", {}).values()):
        assert not [part for part in (shown.help or "").split("\n\n") if "\n" in part]


def test_every_command_has_examples():
    assert sorted(EXAMPLES) == sorted(SUMMARIES)


def test_the_help_lists_them_by_section(invoke):
    lines = invoke("--help").stdout.splitlines()
    named = [line.split()[0] for line in lines if re.match(r"  \w", line) and line.split()[0] in SUMMARIES]
    assert named == list(SUMMARIES)
    assert max(map(len, lines)) <= 80
    assert "Ship it:" in lines


def test_a_command_that_there_is_not_is_near_another():
    result = CliRunner().invoke(app, ["evalute"])
    assert (result.exit_code, "Did you mean 'evaluate'?" in result.output) == (2, True)
