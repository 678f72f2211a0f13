"""The plans that a campaign's folder was measured by, kept beside the measurements: what it takes to do it again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import msgspec

from nfkit.campaigns.plan import CampaignPlan
from nfkit.outputs import write_atomically

_NAME = "plan-{}.toml"


def keep_plan(folder: Path, plan: CampaignPlan, run: int) -> None:
    """Writes a plan into a campaign's folder, unless the same one is there already.

    Args:
        folder: The campaign's folder.
        plan: The plan, with what a command line changed in it.
        run: Number of the run that measures by it.

    Raises:
        OutputError: When it cannot be written.
    """
    content = to_toml(plan).encode()
    if all(known.read_bytes() != content for known in kept_plans(folder)):
        write_atomically(folder / _NAME.format(run), content)


def kept_plans(folder: Path) -> list[Path]:
    """The plans in a folder, the oldest first."""
    numbered = [(path.stem.partition("-")[2], path) for path in folder.glob(_NAME.format("*"))]
    return [path for _, path in sorted((int(number), path) for number, path in numbered if number.isdigit())]


def commands_again(folder: Path) -> list[str]:
    """The commands that measure all of a folder again, into another one, quoted for a shell; none without a plan."""
    again = folder.parent / f"{folder.resolve().name}-again"
    return [shlex.join(["nfkit", "campaign", str(plan), "-o", str(again)]) for plan in kept_plans(folder)]


def to_toml(plan: CampaignPlan) -> str:
    """A plan as TOML that `nfkit.campaigns.reading.read_plan` reads as the same plan."""
    plain: dict[str, Any] = msgspec.to_builtins(plan)
    return "".join(f"{key} = {_value(value)}\n" for key, value in plain.items() if value is not None)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        entries = (f"{key} = {_value(entry)}" for key, entry in value.items() if entry is not None)
        return f"{{ {', '.join(entries)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # Strings, numbers and truth values are written alike in both, but for one sign that JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
