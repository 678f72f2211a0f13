"""Early answers without a lower voltage: what a protected model with both has to beat.

A threshold can be lowered until early answers alone save as much as a lower voltage and early answers do together. What
that costs in accuracy is what the lower voltage has to be worth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.faults import BitErrors
from nfkit.graph.fusion.dial import answer_of, fitted_trust
from nfkit.graph.fusion.fused import FITS_KEY
from nfkit.measure.bench import Bench, Correct
from nfkit.measure.early import sureness
from nfkit.plans.looked import Looked
from nfkit.plans.rivals import Rival


@dataclass(frozen=True, eq=False)
class EarlyAtVmin:
    """A file with early answers at the nominal voltage, with the trust that was fitted for it.

    Attributes:
        both: Which images base and generator get right together, [N].
        alone: The same of the generator, [N].
        sure: Largest probability of the generator's evidence, [N].
        added: Accesses of the generator, over those of the base.
    """

    both: Correct
    alone: Correct
    sure: npt.NDArray[np.float64]
    added: float

    @classmethod
    def of(cls, model: ir.Model, bench: Bench, added: float) -> EarlyAtVmin | None:
        """The rival of a fused model on a bench; None where the model has no early answers.

        Args:
            model: The model; not changed.
            bench: The same with its samples.
            added: Accesses of the generator, over those of the base.
        """
        looked = None if bench.early is None else Looked.of(bench, model, (), lambda said: None)
        if looked is None:
            return None
        trust = fitted_trust(model, 0.0) if FITS_KEY in model.metadata_props else answer_of(model).trust
        both = looked.both(BitErrors(0.0), 1, trust)[0]
        return cls(both, looked.alone, sureness(looked.evidence, trust), added)

    def __call__(self, saving: float | None) -> Rival | None:
        """The rival that saves at least so much; None where that is not known, or not even the generator alone does.

        Args:
            saving: Share of the weight memory's energy that the protected model saves.
        """
        if saving is None or saving + self.added > 1:
            return None
        # Each image that is answered early saves its part of the base's energy, whole at this voltage.
        needed = max(0, math.ceil((saving + self.added) * len(self.sure) - 1e-9))
        threshold = float("inf") if needed == 0 else float(np.sort(self.sure)[-needed])
        early = self.sure >= threshold
        name = f"early answers at full voltage (of {100 * early.mean():.0f} % of the images)"
        answers = np.where(early, self.alone, self.both)[np.newaxis]
        return Rival.of(name, "early", answers, saving=float(early.mean()) - self.added, volts=1.0)
