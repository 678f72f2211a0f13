"""The modes of a file as its metadata state them, compared with its graph."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import onnx_ir as ir

from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.fused import MODE, MODE_PREFIX, MODES_KEY, THRESHOLD, has_modes
from nfkit.graph.fusion.seal import seal
from nfkit.graph.fusion.trust import Trust

NOMINAL = "nominal"
"""Name of the first mode, in which the base answers alone."""
CHANGED = "it was changed after nfkit wrote it; take the original"
"""What an error about a damaged file ends with."""


@dataclass(frozen=True)
class Mode:
    """One mode of a file.

    Attributes:
        name: What it is called.
        ber: Bit error rate that it is meant for; 0 for the nominal mode.
        trust: How far base and evidence are trusted; None where the base answers.
        threshold: Of early answers; None where the file has none, or in the nominal mode.
        facts: What was measured of it, for its record: voltage, accuracy, energy.
    """

    name: str
    ber: float
    trust: Trust | None = None
    threshold: float | None = None
    facts: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The mode for a record."""
        trust = None if self.trust is None else self.trust.to_dict()
        stated = {"name": self.name, "ber": self.ber, "trust": trust, "threshold": self.threshold}
        return {key: value for key, value in stated.items() if value is not None} | (self.facts or {})


class _Stated(msgspec.Struct):
    name: str
    ber: float
    trust: dict[str, float] | None = None
    threshold: float | None = None


def read_modes(model: ir.Model) -> list[Mode]:
    """The modes of a file, the nominal one first; none for a file without.

    Raises:
        ModelError: When their record is damaged, or is not that of the graph.
    """
    if not has_modes(model):
        return []
    text = model.metadata_props.get(MODES_KEY, "")
    try:
        stated = msgspec.json.decode(text, type=list[_Stated])
        known = json.loads(text)
        names = set(_Stated.__struct_fields__)
        modes = [
            Mode(
                entry.name, entry.ber, None if entry.trust is None else Trust(**entry.trust), entry.threshold,
                {key: value for key, value in raw.items() if key not in names},
            )
            for entry, raw in zip(stated, known, strict=True)
        ]  # fmt: skip
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError, OptionError) as error:
        raise ModelError(f"metadata '{MODES_KEY}' is damaged ({error}): {CHANGED}") from error
    _compare(model, modes)
    return modes


def mode_of(model: ir.Model) -> Mode:
    """The mode that a file is in where a host names none.

    Raises:
        ModelError: When the file has no modes, or their record is damaged.
    """
    modes = read_modes(model)
    if not modes:
        raise ModelError("the file has no modes: nfkit modes gives it some")
    return modes[chosen_index(model)]


def set_mode(model: ir.Model, name: str) -> ir.Model:
    """A copy of a file that is in another mode where a host names none.

    Raises:
        ModelError: When the file has no modes.
        OptionError: When it has none of that name.
    """
    modes = read_modes(model)
    if not modes:
        raise ModelError("the file has no modes: nfkit modes gives it some")
    changed = model.clone()
    value = changed.graph.initializers[MODE]
    value.const_value = ir.tensor(np.array(index_of(modes, name), np.int64), name=MODE)
    seal(changed)
    return changed


def index_of(modes: Sequence[Mode], name: str) -> int:
    """The number of the mode of a name.

    Raises:
        OptionError: When there is none.
    """
    names = [mode.name for mode in modes]
    if name not in names:
        raise OptionError(f"there is no mode '{name}': choose from {', '.join(names)}")
    return names.index(name)


def chosen_index(model: ir.Model) -> int:
    """The number of the mode where a host names none."""
    value = model.graph.initializers[MODE].const_value
    assert value is not None, "has_modes looked"
    return int(value.numpy())


def is_nominal(model: ir.Model) -> bool:
    """Whether a file's generator does not run where a host names no mode."""
    return has_modes(model) and chosen_index(model) == 0


def write_record(model: ir.Model, modes: Sequence[Mode]) -> None:
    """States the modes in the metadata, in place."""
    model.metadata_props[MODES_KEY] = json.dumps([mode.to_dict() for mode in modes], sort_keys=True)


def _compare(model: ir.Model, modes: list[Mode]) -> None:
    """Refuses a record of modes that is not that of the graph."""
    problem = None
    tables = {n: v for n, v in model.graph.initializers.items() if n.startswith(f"{MODE_PREFIX}table/")}
    if len(modes) < 2 or not 0 <= chosen_index(model) < len(modes):
        problem = f"the graph is in mode {chosen_index(model)}"
    for name, value in tables.items():
        held = None if value.const_value is None else value.const_value.numpy()
        number = name.rpartition("/")[2]
        for place, mode in enumerate(modes[1:], 1):
            stated = {**(mode.trust.to_dict() if mode.trust else {}), THRESHOLD: mode.threshold}.get(number)
            if held is None or held.shape != (len(modes),):
                problem = f"the table of '{number}' is not one of {len(modes)} modes"
            elif stated is None or not np.isclose(held[place], stated, rtol=1e-6, atol=0):
                problem = f"{number} of mode '{mode.name}' is another in the graph"
    if problem:
        raise ModelError(f"metadata '{MODES_KEY}' is damaged ({problem}): {CHANGED}")
