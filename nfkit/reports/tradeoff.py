"""Accuracy under errors against energy saved: points from records of `nfkit evaluate`, and their picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nfkit.errors import DataError, OptionError
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.protection import Protection
from nfkit.reports.reading import read
from nfkit.reports.rendering import Readable

FORMATS = ("svg", "png")


@dataclass(frozen=True)
class Tradeoff:
    """A generator on a base at one bit error rate.

    Attributes:
        generator: Its name.
        model: Path of the fused file.
        ber: Bit error rate per cell.
        saving: Share of the weight memory's energy that is saved, by accesses.
        accuracy: Mean accuracy of the protected model over chips.
        spread: Standard deviation of it.
        unprotected: Mean accuracy of the base alone.
        unprotected_saving: Share that the lower voltage saves without a generator.
    """

    generator: str
    model: str
    ber: float
    saving: float
    accuracy: float
    spread: float
    unprotected: float
    unprotected_saving: float

    def to_dict(self) -> dict[str, Any]:
        """The point for a record."""
        return dict(vars(self))


def read_tradeoffs(paths: Sequence[Path]) -> list[Tradeoff]:
    """Reads the points of several records.

    Args:
        paths: JSON files that `nfkit evaluate --json` wrote for fused models.

    Raises:
        DataError: When a file is no such record.
    """
    return [point for path in paths for point in tradeoffs_of(read(path), f"'{path}'")]


def draw(points: Sequence[Tradeoff], form: str) -> bytes:
    """Draws accuracy against energy saved.

    Args:
        points: At least one.
        form: One of `FORMATS`.

    Returns:
        The picture; the same points give the same bytes.

    Raises:
        OptionError: When there is no such format, or matplotlib is missing.
    """
    if form not in FORMATS:
        raise OptionError(f"cannot draw {form or 'a file without suffix'!r}: name the output .svg or .png")
    if find_spec("matplotlib") is None:
        raise OptionError("drawing needs matplotlib: pip install 'nfkit[plot]'")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for ber in sorted({point.ber for point in points}):
        at = [point for point in points if point.ber == ber]
        bars = axes.errorbar(
            [100 * p.saving for p in at], [100 * p.accuracy for p in at], yerr=[100 * p.spread for p in at],
            fmt="o", capsize=3, label=f"protected, bit error rate {100 * ber:.3g} %",
        )  # fmt: skip
        bare = sorted({(100 * p.unprotected_saving, 100 * p.unprotected) for p in at})
        axes.plot(
            [x for x, _ in bare], [y for _, y in bare], "x", color=bars.lines[0].get_color(),
            label="without a generator",
        )  # fmt: skip
        for point in at:
            place = (100 * point.saving, 100 * point.accuracy)
            axes.annotate(point.generator, place, textcoords="offset points", xytext=(6, 4), fontsize=8)
    axes.margins(x=0.12)  # room for the names
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_xlabel("energy of the weight memory saved, by accesses (%)")
    axes.set_ylabel("accuracy over chips (%)")
    axes.legend(fontsize=8)
    content = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "nfkit"}):
        figure.savefig(content, format=form, metadata={"Date": None} if form == "svg" else None)
    return content.getvalue()


def tradeoffs_of(record: Readable, name: str) -> list[Tradeoff]:
    """The points of one record, in its order.

    Args:
        record: An evaluation or a protection, of a protected model.
        name: What messages call it.

    Raises:
        DataError: When it is another record, or says nothing of energy.
    """
    measured = record.evaluation if isinstance(record, Protection) else record  # what protect ends with
    if not isinstance(measured, Evaluation):
        raise DataError(
            f"{name} is no measurement: give a file that nfkit evaluate --json or nfkit protect --json wrote"
        )
    if measured.energy is None:
        raise DataError(f"{name} says nothing of energy: evaluate a protected model with this version of nfkit")
    points = [
        Tradeoff(
            generator=measured.energy.generator,
            model=measured.model.path,
            ber=point.ber,
            saving=point.saving.by_accesses,
            accuracy=point.protected.mean,
            spread=point.protected.std or 0.0,
            unprotected=point.base.mean,
            unprotected_saving=point.voltage.saving,
        )
        for point in measured.points
        if point.saving is not None and point.voltage is not None and point.protected is not None
    ]
    if not points:
        raise DataError(
            f"the voltage curve of {name} states no energy at its bit error rates: evaluate with another --curve"
        )
    return points
