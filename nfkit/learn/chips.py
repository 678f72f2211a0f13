"""Perturbed copies of a model for training: fresh chips, from seeds that no evaluation uses."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from nfkit.faults import TRAINING_CHIPS, VALIDATION_CHIPS, BitErrors, Chip, Layout
from nfkit.graph.memory.sites import WeightSite, codes
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.learn.gradients.steps import Environment


class PerturbedCopies:
    """Draws the weights of chips.

    Args:
        model: The model.
        sites: Its weight sites.
        frozen: The same model in torch.
        errors: Bit errors that the chips have.
        layout: How they hold the weights.
        seed: Seed of the run; other seeds train on other chips.
    """

    def __init__(
        self,
        model: ir.Model,
        sites: list[WeightSite],
        frozen: FrozenGraph,
        errors: BitErrors,
        layout: Layout,
        seed: int,
    ) -> None:
        self.sites, self.frozen, self.errors, self.layout = sites, frozen, errors, layout
        self._stored = {site.name: np.ascontiguousarray(codes(model, site)) for site in sites}
        # Runs of different seeds start far apart in the one long list of training chips.
        self._first = seed * 10_000_019 % len(TRAINING_CHIPS)

    def training(self, index: int) -> Environment:
        """Weights of the run's index-th training chip."""
        return self._weights(TRAINING_CHIPS[(self._first + index) % len(TRAINING_CHIPS)])

    def validation(self, count: int) -> list[Environment]:
        """Weights of the first chips that are held out to choose between generators."""
        return [self._weights(VALIDATION_CHIPS[i]) for i in range(count)]

    def chip(self, seed: int) -> Environment:
        """Weights of a chip by its seed: of one that is known, and no sample of others."""
        return self._weights(seed)

    def _weights(self, seed: int) -> Environment:
        chip = Chip(seed, self.layout)
        return self.frozen.weights(
            {s.name: chip.faults(s, self.errors).apply(self._stored[s.name]) for s in self.sites}
        )
