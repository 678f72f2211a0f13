"""The page of remedies: every one is on it, and its first example runs."""

import re
from pathlib import Path

from nfkit.remedies.hardware import ABILITIES
from nfkit.remedies.registry import REMEDIES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "remedies.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_every_remedy_and_every_need_is_on_the_page():
    assert [name for name in REMEDIES if f"| `{name}" not in PAGE] == []
    assert [name for name in ABILITIES if f"`{name}`" not in PAGE] == []


def test_the_first_example_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    exec(compile(EXAMPLES[0], "docs/remedies.md", "exec"), {})
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.endswith("['storage-decoder']")
    assert "protected_top=1, storage='sign-magnitude'" in second
    assert abs(float(third) - 0.239) < 0.001


def test_a_remedy_of_ones_own_adds_up(capsys):
    exec(compile(EXAMPLES[1], "docs/remedies.md", "exec"), {"__name__": __name__})
    assert capsys.readouterr().out == "(1.0, 1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.0)\n"


def test_the_last_example_is_python():
    compile(EXAMPLES[2], "docs/remedies.md", "exec")
