import re
import subprocess
import sys
from pathlib import Path

import pytest

from nfkit.errors import OptionError
from nfkit.reports.terms import TERMS, find_term

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("word", "name"),
    [("BER", "bit error rate"), ("bit  Error RATE", "bit error rate"), ("PA (NF)", "PA"), ("twma", "weight accesses")],
)
def test_a_word_is_found_by_any_spelling(word, name):
    assert find_term(word).name == name


def test_spellings_are_unambiguous_and_pages_exist():
    spellings = [s.lower() for term in TERMS.values() for s in {term.name, *term.others}]
    assert sorted(spellings) == sorted(set(spellings))
    assert [t.name for t in TERMS.values() if t.see and not (ROOT / "docs" / t.see).is_file()] == []


def test_an_unknown_word_names_its_neighbours():
    with pytest.raises(OptionError, match="did you mean caution"):
        find_term("cautoin")
    with pytest.raises(OptionError, match="did you mean not confirmed"):  # by the spelling, which is then found
        find_term("not confirmd")
    with pytest.raises(OptionError, match="nfkit explain lists all"):
        find_term("xyzzy")


def test_what_is_printed_as_advice_is_explained():
    """The plan that nfkit campaign init prints, and the columns of a plan's table."""
    for word in ("remedy", "worst chip", "V/Vmin", "loss", "95 % interval", "energy saved", "base runs", "preset"):
        assert find_term(word).text


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "nfkit", *arguments], capture_output=True, text=True, check=False)


def test_the_command_explains_in_lines_of_80_columns():
    result = run("explain", "early", "answers")
    assert result.returncode == 0
    assert re.match(r"early answers\n  Where the evidence is surer than a threshold", result.stdout)
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert run("explain", "xyzzy").returncode == 1


def test_the_version_has_a_short_option():
    assert run("-V").stdout == run("--version").stdout != ""
