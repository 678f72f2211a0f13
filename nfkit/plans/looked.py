"""What a fused file answers on a half of the images, by arithmetic: scores of the base on any chip, and evidence.

Both are computed once; every trust and every threshold is then a matter of milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Runner
from nfkit.faults import BitErrors
from nfkit.graph.fusion.fused import JOINT
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.split import evidence_of, split
from nfkit.graph.fusion.trust import Trust, combine
from nfkit.measure.bench import Bench
from nfkit.measure.chip_scores import ChipScores
from nfkit.measure.early import sureness
from nfkit.measure.trust import fit_trust
from nfkit.plans.ladder import Rung
from nfkit.plans.rivals import Answers

_FEWEST = 50  # images below which four numbers are not fitted anew


@dataclass(frozen=True, eq=False)
class Looked:
    """Base and generator of a fused file on some images and chips.

    Attributes:
        scores: The base on what it reads in the file.
        evidence: The generator's own scores z, [N, C].
        labels: [N].
        clean: Which images the clean base gets right on its own input, [1, N].
        chips: Seeds of the chips.
        plain: Whether the base reads the image itself in the file, so that its scores are those of the bare base.
    """

    scores: ChipScores
    evidence: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    clean: Answers
    chips: tuple[int, ...]
    plain: bool = True

    @classmethod
    def of(cls, bench: Bench, model: ir.Model, chips: Sequence[int], on_chips: Callable[[str], None]) -> Looked | None:
        """The fused model on a bench; None where its base answers by itself.

        Args:
            bench: The model with the images.
            model: The same model; not changed.
            chips: Seeds of the chips.
            on_chips: Told what was measured, as a few words.
        """
        answer = read_answer(model) if bench.fused else None
        if answer is None:
            return None
        prefix, _ = split(model)
        x, level = bench.images, bench.level
        plain = not any(value.name == JOINT for value in prefix.graph.outputs)
        seen = x if plain else Runner(prefix, level=level).named(x, [JOINT])[JOINT]
        looking = evidence_of(prefix)
        assert looking is not None, "an answer of both ends has evidence"
        scores = ChipScores(bench.base, answer.form, seen, layout=bench.layout, level=level, on_chips=on_chips)
        evidence = Runner(looking, level=level)(x)
        return cls(scores, evidence, bench.data.y, bench.clean_base[None], tuple(chips), plain)

    def base(self, errors: BitErrors, chips: int) -> Answers:
        """Which images the base gets right by itself, on what it reads in the file, [chips, N]."""
        return self.both(errors, chips, Trust(weight=0.0))

    def both(self, errors: BitErrors, chips: int, trust: Trust) -> Answers:
        """Which images the answer of both gets right on the first so many chips, [chips, N]."""
        rows = [
            combine(scores, self.evidence, trust).argmax(-1) == self.labels
            for scores in self.scores.of(errors, self.chips[:chips])
        ]
        return np.stack(rows if len(rows) == chips else rows * chips)  # without errors all chips are alike

    @property
    def alone(self) -> npt.NDArray[np.bool_]:
        """Which images the generator gets right by itself, [N]."""
        right: npt.NDArray[np.bool_] = np.asarray(self.evidence).argmax(1) == self.labels
        return right

    def sure(self, trust: Trust, threshold: float) -> npt.NDArray[np.bool_]:
        """For which images the generator answers alone, [N]."""
        return sureness(self.evidence, trust) >= threshold


class Trusts:
    """Trust at every voltage, fitted on the half that chooses.

    A fit is the likeliest, which need not be the most accurate: where the base by itself is right more often on the
    images of the fit, the evidence has no weight.

    Args:
        looked: The half that chooses.
    """

    def __init__(self, looked: Looked) -> None:
        self._looked = looked
        self._known: dict[tuple[BitErrors, int], Trust] = {}
        self._fits: list[tuple[float, Trust]] = []

    def at(self, errors: BitErrors, chips: int) -> Trust:
        """Trust under errors, fitted on so many chips, or on more where more have been measured."""
        looked = self._looked
        chips = max(chips, looked.scores.measured(errors, looked.chips)) if errors.rate else 1
        if (errors, chips) not in self._known:
            self._known[errors, chips] = self._fit(errors, chips)
        return self._known[errors, chips]

    def where_unsure(self, errors: BitErrors, chips: int, trust: Trust, threshold: float) -> Trust:
        """Trust for those images alone that the base still runs for; the temperature, by which that is told, stays."""
        unsure = ~self._looked.sure(trust, threshold)
        if unsure.sum() < _FEWEST:
            return trust
        return self._fit(errors, chips, unsure)

    def _fit(self, errors: BitErrors, chips: int, only: npt.NDArray[np.bool_] | None = None) -> Trust:
        looked, images = self._looked, slice(None) if only is None else only
        scores = looked.scores.of(errors, looked.chips[:chips])
        weights = None if only is None else only.astype(np.float64)
        near = min(self._fits, key=lambda fit: abs(fit[0] - errors.rate), default=None)
        trust = fit_trust(scores, looked.evidence, looked.labels, weights, near[1] if near else None).trust
        self._fits.append((errors.rate, trust))
        base = Trust(weight=0.0, temperature=trust.temperature)
        both, alone = (looked.both(errors, chips, each)[:, images].mean() for each in (trust, base))
        return trust if both >= alone else base


@dataclass(frozen=True)
class Seen:
    """An examiner for `nfkit.plans.tolerance`, as far as all are alike: on images and chips that were looked at.

    Attributes:
        looked: Images and chips.
    """

    looked: Looked

    @property
    def chips(self) -> tuple[int, ...]:
        """Seeds of the chips."""
        return self.looked.chips

    @property
    def clean(self) -> Answers:
        """Which images the clean base gets right, [1, images]."""
        return self.looked.clean

    def independent(self, rung: Any) -> float:
        """A generator answers an image alike on all chips."""
        return float(self.looked.clean.shape[1])


@dataclass(frozen=True)
class BothEnds(Seen):
    """The answer of both ends, always given: an examiner of voltages for `nfkit.plans.tolerance`.

    Attributes:
        looked: Images and chips.
        trusts: Trust at each voltage.
        fitting: On how many chips that is fitted, at least; as many as answer by default.
    """

    trusts: Trusts
    fitting: int | None = None

    def answers(self, rung: Rung, chips: int) -> Answers:
        """Which images are right on the first so many chips, [chips, images]."""
        errors = rung.strength.errors
        return self.looked.both(errors, chips, self.trusts.at(errors, self.fitting or chips))
