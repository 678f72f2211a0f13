"""The modes of a protected file in a page: what their record states of each, and where the page writes which is on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import onnx_ir as ir

from nfkit.graph.fusion.fused import MODE
from nfkit.graph.fusion.modes.record import Mode, chosen_index, read_modes, set_mode


class PageMode(msgspec.Struct, frozen=True):
    """One mode, as the page offers it.

    Attributes:
        name: What it is called.
        ber: Bit error rate that it is meant for; 0 for the nominal one.
        accuracy: Accuracy at that rate, as the file states it; None where it does not, as for what follows.
        interval: Its 95 % interval.
        clean: Accuracy without errors.
        energy: Energy of the weight memory, the generator's included, over that of the base at Vmin.
        volts: Voltage that the rate stands for, over Vmin.
        stop: Index of the place on the slider that has its rate; None where the slider has none.
        savings: What the file saves in this mode at each place of the slider, each None where that is not known.
    """

    name: str
    ber: float
    accuracy: float | None
    interval: tuple[float, float] | None
    clean: float | None
    energy: float | None
    volts: float | None
    stop: int | None
    savings: tuple[float | None, ...]


class PageModes(msgspec.Struct, frozen=True):
    """All modes of the file.

    Attributes:
        input: Name of the number that chooses between them.
        chosen: Index of the one that the file states.
        modes: The modes in the order of their numbers, the nominal one first.
    """

    input: str
    chosen: int
    modes: tuple[PageMode, ...]


def describe_modes(
    model: ir.Model, rates: tuple[float, ...], savings: Callable[[ir.Model], tuple[float | None, ...]]
) -> PageModes | None:
    """The modes of a file; None for a file without.

    Args:
        model: A fused model.
        rates: Bit error rates of the slider's places.
        savings: Gives what a model saves at each of them; asked once a mode, with the file in that mode.

    Raises:
        ModelError: When the file's record of its modes is damaged.
    """
    modes = read_modes(model)
    if not modes:
        return None
    described = tuple(_describe(mode, rates, savings(set_mode(model, mode.name))) for mode in modes)
    return PageModes(MODE, chosen_index(model), described)


def _describe(mode: Mode, rates: tuple[float, ...], savings: tuple[float | None, ...]) -> PageMode:
    facts: dict[str, Any] = mode.facts or {}
    stated = facts.get("accuracy")
    accuracy: dict[str, Any] = stated if isinstance(stated, dict) else {"mean": stated}
    ends = accuracy.get("ci95")
    low, high = map(_number, ends) if isinstance(ends, list) and len(ends) == 2 else (None, None)
    return PageMode(
        name=mode.name, ber=mode.ber, accuracy=_number(accuracy.get("mean")),
        interval=None if low is None or high is None else (low, high),
        clean=_number(facts.get("clean")), energy=_number(facts.get("energy")),
        volts=_number(facts.get("volts_over_vmin")), stop=rates.index(mode.ber) if mode.ber in rates else None,
        savings=savings,
    )  # fmt: skip


def _number(stated: Any) -> float | None:
    """A number of a record that anybody may have written; None for anything else."""
    return float(stated) if isinstance(stated, int | float) and not isinstance(stated, bool) else None
