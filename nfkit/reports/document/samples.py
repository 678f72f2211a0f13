"""What a report shows of single samples: images, where a model goes wrong, how sure it is, and a map of its scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nfkit.pictures.charts import Axis, Chart, Mark, Series
from nfkit.pictures.cloud import Cloud
from nfkit.pictures.figures import Picture
from nfkit.pictures.heat import Heat
from nfkit.pictures.images import LARGEST, data_uri
from nfkit.reports.document.sections import Cell, Gallery, Section
from nfkit.reports.rendering import Table
from nfkit.reports.single_samples import Answers, Looks

MOST_CLASSES = 12
"""Classes of which a sample is shown, at most; the section says how many there are."""
MOST_WRONG = 8
"""Samples that are shown where a model goes wrong."""


def section_of_looks(looks: Looks, facts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()) -> Section:
    """The section of a model that was looked at.

    Args:
        looks: What was seen.
        facts: What it depends on.
    """
    judged, base, faulty = looks.judged, looks.base, looks.faulty
    verdict = (
        f"with {looks.errors}, {_right(judged, looks):.1f} % of {len(looks.y)} samples are answered rightly by the "
        f"{judged.name}; {_right(base, looks):.1f} % by the base without errors"
    )
    if looks.protected is not None:
        verdict += f", {_right(faulty, looks):.1f} % by the base with them"
    pictures: list[Picture] = [_confusion(looks)]
    if looks.calibrations:
        pictures.append(_reliability(looks))
    pictures += _clouds(looks)
    pictures += _flips(looks)
    return Section(
        name=looks.model,
        kind="single samples",
        verdict=verdict,
        lead=(f"{len(looks.y)} samples of {looks.data}; {looks.errors}",),
        table=_by_class(looks),
        pictures=tuple(pictures),
        galleries=tuple(_galleries(looks)),
        notes=looks.notes,
        facts=facts,
        subject=looks.model,
    )


def _right(answers: Answers, looks: Looks) -> float:
    return 100 * float((answers.classes == looks.y).mean())


def _by_class(looks: Looks) -> Table:
    """How often each model is right about each class."""
    models = [*looks.shown, *([looks.evidence] if looks.evidence else [])]
    rows = []
    for index, name in enumerate(looks.names):
        of = looks.y == index
        if of.any():
            rights = (f"{100 * float((answers.classes[of] == index).mean()):.1f} %" for answers in models)
            rows.append((name, str(int(of.sum())), *rights))
    return Table(("class", "samples", *(answers.name for answers in models)), tuple(rows))


def _confusion(looks: Looks) -> Heat:
    count = len(looks.names)
    values = np.zeros((count, count))
    np.add.at(values, (looks.y, looks.judged.classes), 1)
    of = np.maximum(values.sum(axis=1, keepdims=True), 1)
    shares = np.rint(100 * values / of)
    return Heat(
        "Which class is taken for which", f"{looks.judged.name}: % of the samples of each true class.",
        "answer", "class", looks.names, tuple(tuple(row) for row in shares.tolist()),
    )  # fmt: skip


def _reliability(looks: Looks) -> Chart:
    series = [Series("as right as sure", (Mark(0.0, 0.0), Mark(100.0, 100.0)), "clean")]
    for found in looks.calibrations:
        marks = tuple(Mark(100 * b.confidence, 100 * b.accuracy, name=f"{b.count} samples") for b in found.bins)
        name = f"{found.answers.name}, off by {100 * found.error:.1f} points"
        series.append(Series(name, marks, found.answers.role))
    return Chart(
        "How sure, and how right",
        "Samples by the confidence of the answer, in ten steps; below the dotted line a model is surer than right.",
        Axis("confidence (%)", low=0.0, high=100.0), Axis("right (%)", low=0.0, high=100.0), tuple(series),
    )  # fmt: skip


def _flips(looks: Looks) -> list[Heat]:
    """Which bits of which site the chip changes, the highest bit first."""
    if looks.flipped is None:
        return []
    counts = looks.flipped.counts[:, ::-1]
    values = tuple(tuple(math.nan if count < 0 else float(count) for count in row) for row in counts)
    return [
        Heat(
            "Which stored bits the errors flip",
            f"Weights of each site that come back with a bit flipped, the highest bit first; {looks.errors}.",
            "bit", "site", looks.flipped.sites, values, tuple(map(str, reversed(range(counts.shape[1])))),
        )
    ]  # fmt: skip


def _clouds(looks: Looks) -> list[Cloud]:
    """One map a model, all on the same scale."""
    if looks.score_map is None:
        return []
    samples, places = looks.score_map.samples, looks.score_map.places
    low, high = places.min(axis=(0, 1)), places.max(axis=(0, 1))
    frame = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    signs = "signs are true classes, as in the table; samples that are scored alike lie together, in all maps alike"
    return [
        Cloud(
            f"Scores of the {answers.name}", f"In two dimensions: {signs}.",
            tuple((float(x), float(y)) for x, y in at), tuple(looks.y[samples].tolist()),
            tuple((answers.classes == looks.y)[samples].tolist()), looks.names, frame,
        )
        for answers, at in zip(looks.shown, places, strict=True)
    ]  # fmt: skip


def _galleries(looks: Looks) -> list[Gallery]:
    if looks.images is None:
        return []
    size = f" Reduced to {LARGEST} pixels." if max(looks.images.shape[2:]) > LARGEST else ""
    channels = "" if looks.images.shape[1] in (1, 3) else " The first channel."
    found = []
    present = [index for index in range(len(looks.names)) if (looks.y == index).any()]
    of_all = "" if len(present) <= MOST_CLASSES else f" The first {MOST_CLASSES} of {len(present)} classes."
    classes = present[:MOST_CLASSES]
    rest = f"{of_all}{size}{channels}"
    firsts = [int(np.argmax(looks.y == index)) for index in classes]
    if looks.transformed is not None:
        found.append(_changed(looks, firsts, looks.transformed - looks.images, rest))
    else:
        found.append(
            Gallery(
                "One sample of each class", f"What goes in, and what is answered.{rest}", ("input", *_columns(looks)),
                tuple(_plain(looks, at) for at in firsts),
            )
        )  # fmt: skip
    wrong = np.flatnonzero((looks.base.classes == looks.y) & (looks.judged.classes != looks.y))
    if len(wrong):
        found.append(
            Gallery(
                "Where it goes wrong",
                f"Samples that the base without errors answers rightly, and the {looks.judged.name} does not: "
                f"{min(len(wrong), MOST_WRONG)} of {len(wrong)}.{size}{channels}",
                ("input", *_columns(looks)),
                tuple(_plain(looks, int(at)) for at in wrong[:MOST_WRONG]),
            )
        )
    return found


def _changed(looks: Looks, firsts: Sequence[int], residual: npt.NDArray[np.float32], rest: str) -> Gallery:
    """Input, residual and transformed input of one sample a class, and the pattern of the class."""
    assert looks.images is not None
    assert looks.transformed is not None
    means = [residual[looks.y == looks.y[at]].mean(axis=0) for at in firsts]
    most = max(float(np.abs(change).max()) for change in (*residual[firsts], *means))
    rows = []
    for at, mean in zip(firsts, means, strict=True):
        cells = (
            Cell(image=data_uri(looks.images[at]), told="input"),
            _residual(residual[at], most, "residual"),
            Cell(image=data_uri(looks.transformed[at]), told="transformed input"),
            _residual(mean, most, "mean residual of the class"),
        )
        rows.append((looks.names[looks.y[at]], (*cells, *_said(looks, at))))
    magnified = f"magnified {_times(1 / most)} times; grey is no change" if most else "all of them 0"
    return Gallery(
        "What the generator does to a sample",
        f"One sample of each class, and the mean residual of all its samples. Residuals are of an input from -1 to 1, "
        f"{magnified}.{rest}",
        ("input", "residual", "transformed", "mean of class", *_columns(looks)),
        tuple(rows),
    )


def _residual(change: npt.NDArray[np.float32], most: float, told: str) -> Cell:
    return Cell(f"up to {float(np.abs(change).max()):.2g}", data_uri(change / (most or 1)), told)


def _times(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 10 else f"{factor:.2g}"


def _plain(looks: Looks, at: int) -> tuple[str, tuple[Cell, ...]]:
    """A sample as it goes in, and what is answered."""
    assert looks.images is not None
    return looks.names[looks.y[at]], (Cell(image=data_uri(looks.images[at]), told="input"), *_said(looks, at))


def _columns(looks: Looks) -> tuple[str, ...]:
    return tuple(answers.name for answers in looks.shown)


def _said(looks: Looks, at: int) -> tuple[Cell, ...]:
    """What each model answers about a sample, and how sure it is."""
    said = []
    for answers in looks.shown:
        best = int(answers.classes[at])
        sign = "✓" if best == looks.y[at] else "✗"
        said.append(Cell(f"{sign} {looks.names[best]}, {100 * float(answers.shares[at, best]):.0f} %"))
    return tuple(said)
