"""What a search has found: finished generators, and those of them that no other one beats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from nfkit.plans.bare_base import find_milder
from nfkit.plans.operating_points import Strengths
from nfkit.reports.tradeoff import Tradeoff

T = TypeVar("T")


@dataclass(frozen=True)
class Point:
    """A finished candidate at the bit error rate that it was trained for; accuracies are shares of the samples.

    Attributes:
        generator: Its name.
        output: The fused file.
        overhead: Weight accesses of the generator over those of the base.
        saving: Share of the weight memory's energy that is saved.
        clean: Accuracy without errors.
        base: Mean accuracy of the faulty base over chips, and its standard deviation.
        protected: The same of the pair.
        recovery: The same of their paired difference.
        alone: Accuracy of the generator by itself; None where that is not known.
        recommended: Bit error rates at which the pair beats both of its halves.
        milder: Bit error rate at which the base without a generator saves and scores as much; None where there is none.
        reused: Whether an earlier run of the search had made it.
    """

    generator: str
    output: Path
    overhead: float
    saving: float
    clean: float
    base: tuple[float, float]
    protected: tuple[float, float]
    recovery: tuple[float, float]
    alone: float | None
    recommended: tuple[float, ...]
    milder: float | None
    reused: bool

    @classmethod
    def read(cls, record: dict[str, Any], output: Path, ber: float, *, reused: bool) -> Point:
        """The point of a record `nfkit.protect/1` that states the energy."""
        measured, advice = record["evaluate"], record.get("advice", {})
        energy = measured["energy"]
        at = next(entry for entry in measured["summary"] if entry["ber"] == ber)
        return cls(
            generator=record["generator"],
            output=output,
            overhead=energy["added"]["accesses"] / energy["base"]["accesses"],
            saving=next(entry["saving_by_accesses"] for entry in energy["points"] if entry["ber"] == ber),
            clean=measured["clean"]["protected"],
            base=(at["base"]["mean"], at["base"]["std"]),
            protected=(at["protected"]["mean"], at["protected"]["std"]),
            recovery=(at["recovery"]["mean"], at["recovery"]["std"]),
            alone=advice.get("generator_alone"),
            recommended=tuple(advice.get("recommended", ())),
            milder=next((m.bare_ber for m in find_milder(measured) or () if m.ber == ber), None),
            reused=reused,
        )


@dataclass(frozen=True)
class Search:
    """What a search has found so far.

    Attributes:
        ber: Bit error rate that was trained for.
        points: The finished candidates.
        left_out: Names of candidates that read more than the budget.
        strength: The rate with its voltage.
        interrupted: Whether the last candidate's training was ended early by Ctrl-C, and the search with it.
    """

    ber: float
    points: tuple[Point, ...]
    left_out: tuple[str, ...]
    strength: Strengths
    interrupted: bool = False

    @property
    def front(self) -> tuple[Point, ...]:
        """The points that no other one beats; see `find_front`."""
        return find_front(self.points)

    def tradeoffs(self) -> list[Tradeoff]:
        """The points for the picture."""
        energy = self.strength.points[0].energy if self.strength.points[0] else 1.0
        return [
            Tradeoff(p.generator, str(p.output), self.ber, p.saving, *p.protected, p.base[0], 1 - energy)
            for p in self.points
        ]

    def to_dict(self) -> dict[str, Any]:
        """The record `nfkit.search/1`."""
        front = self.front
        return {
            "schema": "nfkit.search/1",
            "ber": self.ber,
            **self.strength.to_record(),
            "points": [asdict(p) | {"output": p.output.name, "on_front": p in front} for p in self.points],
            "left_out": list(self.left_out),
            "interrupted": self.interrupted,
        }


def find_front(points: Iterable[Point]) -> tuple[Point, ...]:
    """The points for which no other one is as good in accuracy under errors and in energy saved, and better in one."""
    return unbeaten(points, lambda point: (point.protected[0], point.saving))


def unbeaten(entries: Iterable[T], value: Callable[[T], tuple[float, float]]) -> tuple[T, ...]:
    """The entries whose two values no other entry equals or exceeds in both, and exceeds in one; equals all stay."""
    every = [(entry, value(entry)) for entry in entries]
    values = {mine for _, mine in every}
    return tuple(
        entry
        for entry, mine in every
        if not any(other != mine and other[0] >= mine[0] and other[1] >= mine[1] for other in values)
    )
