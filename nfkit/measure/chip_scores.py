"""Scores of a base on the same samples, chip by chip, each computed once.

What base and generator answer together, with whatever trust and threshold, is arithmetic on these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.faults import BitErrors, Layout
from nfkit.graph.fusion.scores import ScoreForm
from nfkit.measure.faulty_scores import faulty_scores

Scores = npt.NDArray[np.float32]


class ChipScores:
    """Log scores of a base on some samples.

    Args:
        base: The base; not changed.
        form: How it states its scores.
        x: Samples [N, ...] in its input space.
        layout: How chips hold the weights.
        level: Optimisation level of ONNX Runtime.
        on_chips: Told which errors were put into how many chips, as a few words.
    """

    def __init__(
        self,
        base: ir.Model,
        form: ScoreForm,
        x: npt.NDArray[Any],
        *,
        layout: Layout,
        level: Level = "all",
        on_chips: Callable[[str], None] = lambda said: None,
    ) -> None:
        self.form = form
        self._base, self._x, self._layout, self._level, self._on_chips = base, x, layout, level, on_chips
        self._known: dict[tuple[BitErrors, int], Scores] = {}

    def of(self, errors: BitErrors, chips: Sequence[int]) -> Scores:
        """Log scores [chips, N, C]; at rate 0 all chips are alike, and the result is [1, N, C].

        Raises:
            ModelError: When the base stores no weights as integers, or ONNX Runtime fails.
        """
        seeds = list(chips) if errors.rate else [0]
        if missing := [seed for seed in seeds if (errors, seed) not in self._known]:
            computed = faulty_scores(
                self._base, self.form, self._x, errors, missing, layout=self._layout, level=self._level
            )  # fmt: skip
            for seed, scores in zip(missing, computed, strict=True):
                self._known[errors, seed] = scores.astype(np.float32)
            self._on_chips(f"{100 * errors.rate:.3g} %, {len(missing)} chip{'s' * (len(missing) > 1)}")
        return np.stack([self._known[errors, seed] for seed in seeds])

    def measured(self, errors: BitErrors, chips: Sequence[int]) -> int:
        """How many of these chips are known, from the first on."""
        known = [(errors, seed) in self._known for seed in chips]
        return known.index(False) if False in known else len(known)
