"""A protection within a tolerance: planned without a generator first, and with it when it is trained.

One half of the test data chooses everything that is chosen after the training: trust, threshold, voltage. The other
half confirms it, and the file is measured on that half alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.energy import Curve
from nfkit.errors import DataError, UnsupportedError
from nfkit.faults import BitErrors, Layout
from nfkit.graph.fusion.dial import answer_of, record_fits
from nfkit.graph.fusion.early import check_branch
from nfkit.graph.fusion.fused import FITS_KEY
from nfkit.graph.input.spec import InputSpec
from nfkit.plans.tolerance import CONFIDENCE, check_confidence, check_tolerance
from nfkit.progress import OnProgress, silent
from nfkit.remedies.neuralfuse import Shield
from nfkit.reports.plan import Plan
from nfkit.reports.provenance import DataFacts, ModelFacts, Provenance, versions
from nfkit.workflows.planned_file import set_plan
from nfkit.workflows.planning import plan_on_halves

RATE = 0.002
"""Bit error rate that trust is fitted for before the plan is known, where none is given."""
BUDGET = 0.15
"""Largest share of the base's accesses that a generator may read where its width is chosen: each image pays for it, and
early answers spare the base for most of them."""
WIDEST = 64
"""Widest hint that is chosen by itself: in ten minutes wider ones learn little more, and every image pays for them."""


@dataclass(frozen=True)
class Tolerance:
    """What a protection may lose, and what decides that.

    Attributes:
        max_loss: Largest loss of accuracy against the clean base, as a share of the samples.
        can: What the chip can do besides a lower voltage.
        test: Labelled samples, of which one half chooses and the other confirms.
        spec: The base's input.
        errors: Kind of the errors.
        curve: The voltage curve.
        layout: How cells hold weights.
        chips: How many chips choose, and how many confirm.
        seed: Seed of the division into halves.
        level: Optimisation level of ONNX Runtime.
        confidence: How surely the loss has to be within the tolerance.
        warnings: What is doubtful about the data.
        on_progress: Told how far it is.

    Raises:
        OptionError: When the loss is no share.
        DataError: When there are too few samples.
    """

    max_loss: float
    can: tuple[str, ...]
    test: Dataset
    spec: InputSpec
    errors: BitErrors
    curve: Curve
    layout: Layout
    chips: int
    seed: int
    level: Level
    confidence: float = CONFIDENCE
    warnings: tuple[str, ...] = ()
    on_progress: OnProgress = silent

    def __post_init__(self) -> None:
        check_tolerance(self.max_loss)
        check_confidence(self.confidence)
        if len(self.test) < 4:
            raise DataError(
                f"{self.test.name}: a plan needs images to choose by and others to confirm: give at least 4"
            )

    @property
    def halves(self) -> tuple[Dataset, Dataset]:
        """Samples that choose, and samples that confirm."""
        return self.test.hold_out(0.5, self.seed)

    def before(self, base: ir.Model, model: ModelFacts) -> Plan:
        """What can be had without a generator."""
        return self._plan(base, model, None)

    def after(self, made: Shield, base: Plan, output: str) -> tuple[Shield, Plan]:
        """Plans a new file, and sets it to its plan.

        Args:
            made: The file as it was trained.
            base: What can be had without a generator.
            output: Where the file will be written.

        Returns:
            The file with trust, threshold and operating point of the plan, or as it was where nothing that uses them is
            within the tolerance; and the plan.
        """
        found = self._plan(made.fused, ModelFacts(output, "", None, True), base)
        option = found.of_file
        if option is None:
            return made, found
        fused = set_plan(made.fused, found, option)
        if made.answer is None:
            return replace(made, fused=fused), found
        if FITS_KEY in made.fused.metadata_props:
            record_fits(fused, made.answer.trusts)
        return replace(made, fused=fused, answer=replace(made.answer, answer=answer_of(fused))), found

    def _plan(self, model: ir.Model, facts: ModelFacts, known: Plan | None) -> Plan:
        provenance = Provenance(facts, DataFacts.of(self.test), versions())
        return plan_on_halves(
            model, self.halves, self.spec, self.errors, self.max_loss, self.can,
            confidence=self.confidence, curve=self.curve, layout=self.layout, chips=self.chips, seed=self.seed,
            level=self.level, provenance=provenance, warnings=self.warnings, known=known, on_progress=self.on_progress,
        )  # fmt: skip


def may_answer_early(base: ir.Model) -> bool:
    """Whether a base can stand in a branch, so that early answers spare it."""
    try:
        check_branch(list(base.graph.outputs[1:]), list(base.graph.initializers.values()))
    except UnsupportedError:
        return False
    return True


def as_means(can: str | Iterable[str]) -> tuple[str, ...]:
    """Names of what the chip can do."""
    return (can,) if isinstance(can, str) else tuple(can)
