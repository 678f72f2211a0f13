"""How a training went: its loss, phase by phase, and accuracy on samples that were held out."""

from __future__ import annotations

from nfkit.pictures.charts import Axis, Chart, Mark, Role, Series
from nfkit.reports.protection import CourseMark, Training

_ROLES: tuple[Role, ...] = ("protected", "alone", "milder", "other")


def loss(training: Training) -> Chart | None:
    """The loss of every phase over the budget; None for a record that holds no course."""
    phases = dict.fromkeys(mark.phase for mark in training.course)
    series = [
        Series(phase, tuple(Mark(100 * m.done, m.loss) for m in training.course if m.phase == phase), role)
        for phase, role in zip(phases, _ROLES, strict=False)
    ]
    if not series:
        return None
    return Chart(
        "How the training went",
        "Running mean of the loss over the budget. Each phase has a loss of its own, which is not that of another.",
        Axis("share of the budget (%)", low=0.0, high=100.0), Axis("loss"), tuple(series),
    )  # fmt: skip


def held_out(training: Training) -> Chart | None:
    """Accuracy on held-out samples while it was trained; None where it was not measured before the end."""
    marks = [mark for mark in training.course if mark.clean is not None]
    if len(marks) < 2:
        return None
    return Chart(
        "Accuracy on held-out samples", "What the best state was chosen by.",
        Axis("share of the budget (%)", low=0.0, high=100.0), Axis("accuracy (%)"),
        (
            Series("without errors", _accuracies(marks, "clean"), "clean"),
            Series("on held-out chips", _accuracies(marks, "perturbed"), "protected"),
        ),
    )  # fmt: skip


def _accuracies(marks: list[CourseMark], name: str) -> tuple[Mark, ...]:
    return tuple(Mark(100 * m.done, 100 * getattr(m, name)) for m in marks if getattr(m, name) is not None)
