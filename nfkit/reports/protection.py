"""The record of a protection: what was trained, what is in the file, and how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from nfkit.reports.evaluation import Evaluation
from nfkit.reports.figures import Spread
from nfkit.reports.plan import Plan
from nfkit.reports.provenance import DataFacts
from nfkit.reports.rendering import Overview, Readable, Table
from nfkit.reports.verdict import Verdict


class HeldOut(msgspec.Struct, frozen=True):
    """Accuracies on the samples that chose the best state of a training run.

    Attributes:
        clean: Without errors.
        perturbed: On the chips that are kept for choosing.
    """

    clean: float
    perturbed: float


class Distillation(msgspec.Struct, frozen=True):
    """How a surrogate was made that imitates a base.

    Attributes:
        samples: How many answers of the base it was made of.
        held_out: How many of these judged it.
        agreement: Share of those that it classifies as the base does.
    """

    samples: int
    held_out: int
    agreement: float


class SurrogateFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model that a generator was trained through in place of the base.

    Attributes:
        name: What it is called.
        sha256: Digest of its graph.
        loss: Running mean of the EOPM loss at the end; None where training ended before it.
        distilled: How it was made, where it imitates the base.
    """

    name: str
    sha256: str
    loss: float | None = None
    distilled: Distillation | None = None

    def __str__(self) -> str:
        return self.name if self.loss is None else f"{self.name} (loss {self.loss:.2f})"

    @property
    def imitation(self) -> str | None:
        """How well it imitates the base, in words; None where it is another model."""
        if self.distilled is None:
            return None
        share = f"{100 * self.distilled.agreement:.1f} % of {self.distilled.held_out} held-out samples"
        return f"{self.name} imitates the base by {self.distilled.samples} of its answers: it agrees with it on {share}"


class CourseMark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A moment of a training run.

    Attributes:
        phase: What was being learned.
        step: Steps done in all.
        done: Share of the budget that was used up.
        loss: Running mean of the phase's own loss; those of two phases are not comparable.
        clean: Accuracy on held-out samples without errors; None between measurements.
        perturbed: The same on held-out chips.
    """

    phase: str
    step: int
    done: float
    loss: float
    clean: float | None = None
    perturbed: float | None = None


class Training(msgspec.Struct, frozen=True, omit_defaults=True):
    """Settings and course of a training run.

    Attributes:
        config: The settings.
        data: The samples it was trained on.
        steps: How many steps it took.
        precision: What torch computed in.
        held_out: Accuracies of the best state.
        seconds: How long it took.
        surrogates: What it went through in place of the base; empty where that has gradients, or none were needed.
        course: How it went; empty in records of before.
    """

    config: dict[str, Any]
    data: DataFacts
    steps: int
    precision: str
    held_out: HeldOut
    seconds: float = 0.0
    surrogates: list[SurrogateFacts] = []
    course: list[CourseMark] = []


class FloatGenerator(msgspec.Struct, frozen=True):
    """The same generator before it was quantised, for comparison.

    Attributes:
        clean: Accuracy without errors.
        protected: Accuracy at the trained rate.
    """

    clean: float
    protected: Spread


class AnswerFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """How base and generator answer together.

    Attributes:
        form: The form of the base's output.
        trust: The numbers of the formula at the rate of operation.
        fits: Numbers and likelihoods at each rate that they were fitted for; 0 is the nominal voltage.
        fitted_on: The samples of the fit, and what the base without errors scores on them.
        clean_at_nominal_trust: Accuracy without errors with the trust of the nominal voltage.
        threshold: Probability from which on the generator answers alone; None for never.
        suspicion: Why the base may be trusted too far; None where nothing speaks for it.
    """

    form: dict[str, Any]
    trust: dict[str, float]
    fits: list[dict[str, Any]]
    fitted_on: dict[str, Any]
    clean_at_nominal_trust: float
    threshold: float | None = None
    suspicion: str | None = None

    def sentences(self) -> list[str]:
        """What a reader needs of it."""
        numbers = ", ".join(f"{name} {number:.3g}" for name, number in self.trust.items())
        told = (
            f"base and generator answer together ({numbers}); with the trust of the nominal voltage (nfkit tune --at "
            f"0) {100 * self.clean_at_nominal_trust:.1f} % without errors"
        )
        return [told, *([self.suspicion] if self.suspicion else [])]


class Protection(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.protect/2"):
    """What was made of a frozen model, and how good it is.

    Attributes:
        output: The fused file.
        seconds: Time for everything, training included.
        generator: Name of the architecture.
        parameters: Trainable parameters of the generator.
        macs: Multiply-accumulate operations that it adds to an inference.
        precision: `int8` or `float`, of the generator in the file.
        parity_max_abs: Largest difference between torch and ONNX Runtime at the fused file's output.
        interrupted: Whether training was ended early.
        training: Settings and course of the training.
        evaluation: Measured on the file itself, at the rate that it was trained for and around it; `evaluate` in the
            file.
        float_generator: The same with a float generator; None where that is what the file holds.
        reason: Why this generator was trained, in a sentence; empty where a user chose all of it.
        answer: How base and generator answer together; None where the base answers.
        plan: What to do so that no more than is tolerated is lost; None where the file was made for a bit error rate.
        search: The settings of the search that made it, if one did.
        seal: Digests of the file's parts, as it bears them itself; empty in old records.
        command: The command line behind the record, if there was one.
    """

    output: str
    seconds: float
    generator: str
    parameters: int
    macs: int
    precision: str
    parity_max_abs: float
    interrupted: bool
    training: Training
    evaluation: Evaluation = msgspec.field(name="evaluate")
    float_generator: FloatGenerator | None = None
    reason: str = ""
    answer: AnswerFacts | None = None
    plan: Plan | None = None
    search: dict[str, Any] | None = None
    seal: dict[str, Any] = msgspec.field(default_factory=dict)
    command: str | None = None

    @property
    def path(self) -> Path:
        """The fused file."""
        return Path(self.output)

    @property
    def verdict(self) -> Verdict | None:
        """What to run."""
        return self.evaluation.verdict

    def _size(self) -> str:
        """Parameters as `nfkit energy` counts them, and as they were trained, where normalisations are folded since."""
        energy = self.evaluation.energy
        if energy is None or energy.added.parameters == self.parameters:
            return f"{self.parameters:,} parameters"
        return f"{energy.added.parameters:,} parameters ({self.parameters:,} while it was trained)"

    def overview(self) -> Overview:
        """The evaluation's overview, or that of the plan where there is one, headed by what was made."""
        measured = self.evaluation.overview()
        made = (
            f"{self.output}: {self.generator} with {self._size()}, {self.macs / 1e6:.2f} M MACs, "
            f"{self.precision}; trained for {self.training.seconds / 60:.1f} minutes"
            + (", ended early" if self.interrupted else "")
        )
        through = self.training.surrogates
        notes = [*measured.notes, *(self.answer.sentences() if self.answer else [])]
        if through:
            notes.append(f"trained through {', '.join(map(str, through))} in place of the base, at 1.5 times the rate")
            notes += [surrogate.imitation for surrogate in through if surrogate.imitation]
        if self.float_generator is not None and self.evaluation.points[0].protected is not None:
            clean = (self.evaluation.clean_protected or 0.0) - self.float_generator.clean
            faulty = self.evaluation.points[0].protected.mean - self.float_generator.protected.mean
            notes.append(
                f"int8 against a float generator: {100 * clean:+.1f} points without errors, {100 * faulty:+.1f} with"
            )
        if self.plan is not None:
            planned = self.plan.overview()
            notes = [*planned.notes, *(note for note in notes if note.startswith("warning"))]
            return Overview(planned.first, f"{made}\n{planned.title}", planned.table, tuple(notes))
        return Overview(measured.first, f"{made}\n{measured.title}", measured.table, tuple(notes))

    def table(self) -> Table:
        """One row a chip and operating point."""
        return self.evaluation.table()
