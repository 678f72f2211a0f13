"""A model on half of the images, with chips of its own; what has been measured is not measured again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nfkit.errors import OptionError
from nfkit.faults import EVALUATION_CHIPS, VALIDATION_CHIPS
from nfkit.measure.bench import Bench, Setting
from nfkit.plans.ladder import Rung
from nfkit.plans.looked import Looked
from nfkit.plans.rivals import Answers
from nfkit.reports.figures import unpack
from nfkit.reports.operating_point import Row

CHOOSING_CHIPS = VALIDATION_CHIPS[len(VALIDATION_CHIPS) // 2 :]
"""Chips that choose a plan: generators are chosen on those before, trained and judged on others."""
CONFIRMING_CHIPS = EVALUATION_CHIPS
"""Chips that confirm it."""


class Half:
    """Half of the images on the bench, with some chips.

    Args:
        bench: The model with these images.
        chips: Seeds of the chips, at least two: one says nothing of others.
        on_row: Called with each chip that was measured.
        looked: The same for a fused file in which both ends answer; None for any other. Where the generator only
            looks, its scores of the base are those of the bare base.

    Raises:
        OptionError: When there are too few chips or images for an interval.
    """

    def __init__(
        self,
        bench: Bench,
        chips: Sequence[int],
        on_row: Callable[[Row], None] = lambda row: None,
        looked: Looked | None = None,
    ) -> None:
        if len(chips) < 2 or len(bench.data) < 2:
            raise OptionError("a plan rests on intervals over chips and images: give at least 2 chips and 4 images")
        self.bench, self.chips, self.looked, self._on_row = bench, tuple(chips), looked, on_row
        self._rows: dict[Setting, Row] = {}

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.bench.data)

    def of(self, *, protected: bool) -> Examined:
        """The base, or the fused model, on these images and chips."""
        return Examined(self, protected)

    def run(self, rung: Rung, chips: int, *, protected: bool) -> Answers:
        """Which images are right on the first so many chips, [chips, images]."""
        if rung.strength.rate == 0:
            clean = self.bench.clean_protected if protected else self.bench.clean_base
            assert clean is not None
            return np.tile(clean, (chips, 1))
        errors = rung.strength.errors
        if not protected and self.looked is not None and self.looked.plain:
            return self.looked.base(errors, chips)
        settings = [(errors, chip) for chip in self.chips[:chips]]
        for setting, row in self._missing(settings, protected):
            self._rows[setting] = row
            self._on_row(row)
        rows = [self._rows[setting] for setting in settings]
        packed = [row.protected_correct if protected else row.base_correct for row in rows]
        return np.stack([unpack(entry, self.images) for entry in packed if entry is not None])

    def _missing(self, settings: Sequence[Setting], protected: bool) -> Sequence[tuple[Setting, Row]]:
        missing = [
            setting
            for setting in dict.fromkeys(settings)
            if (row := self._rows.get(setting)) is None or (protected and row.protected_correct is None)
        ]
        known = {(errors.rate, chip): row for errors, chip in missing if (row := self._rows.get((errors, chip)))}
        return list(zip(missing, self.bench.run(missing, protected=protected, known=known), strict=True))


@dataclass(frozen=True)
class Examined:
    """See `Half.of`; what `nfkit.plans.tolerance.Examiner` asks for.

    Attributes:
        half: Images and chips.
        protected: Whether it is the fused model, and not its base.
    """

    half: Half
    protected: bool

    @property
    def chips(self) -> Sequence[int]:
        """Seeds of the chips."""
        return self.half.chips

    @property
    def clean(self) -> Answers:
        """Which images the clean base gets right, [1, images]."""
        return self.half.bench.clean_base[None]

    def answers(self, rung: Rung, chips: int) -> Answers:
        """Which images are right on the first so many chips, [chips, images]."""
        return self.half.run(rung, chips, protected=self.protected)

    def independent(self, rung: Rung) -> float:
        """Chips of a base err apart from each other; a generator changes an image for all of them."""
        if self.protected:
            return self.half.images
        return self.half.images * len(set(self.half.chips)) if rung.strength.rate else math.inf
