"""From a base that only answers to a front for it: evidence trained, trust fitted by queries, both measured.

There are no gradients through such a base, and no chips to simulate. So its input stays as it is, and what can be done
is done at its output: a small generator learns the classes by itself, and how far it and the base are trusted is fitted
on the base's answers. Where the evidence is sure the base need not be asked at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
import numpy as np
import onnx_ir as ir

from nfkit.access.base import Base
from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.energy import count_macs
from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Iid
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.front import SEEN, build_front
from nfkit.graph.fusion.fused import GENERATOR_DIGEST_KEY, GENERATOR_KEY, JOINT
from nfkit.graph.fusion.scores import form_of
from nfkit.graph.fusion.trust import Trust
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.answering import best
from nfkit.model import ModelLike, sha256
from nfkit.progress import OnProgress, silent
from nfkit.remedies.distillation import after_distilling, imitation_of
from nfkit.remedies.distillation import distil as distilled
from nfkit.remedies.neuralfuse import CHECKPOINT_SUFFIX, require_torch
from nfkit.remedies.surrogates import facts_of, load_surrogates
from nfkit.reports.fronted import Fronted as Record
from nfkit.reports.protection import SurrogateFacts
from nfkit.version import __version__
from nfkit.workflows.fitting import split_in_two
from nfkit.workflows.guarding import Guarding, View, guard
from nfkit.workflows.inputs import DEFAULT_RATE

if TYPE_CHECKING:
    from nfkit.learn.config import EvidenceConfig

Labels = Literal["data", "base"]
"""Whose labels the evidence is trained on: the data's own, or the answers of the base."""

_OPSET = 18  # what every runtime reads; a base behind an address has none of its own
_CALIBRATION_SAMPLES = 512
WHY = (
    "a base that only answers gives no gradients, and no chips of it can be simulated: the generator looks only, its "
    "evidence joins the base's answer, and trust in both is fitted by queries"
)
WHY_SURROGATES = (
    "a base that only answers gives no gradients: the generator is trained through surrogates at 1.5 times the rate, "
    "the base's own answers choose its best state, and whether its transform is used; its evidence joins the base's "
    "answer"
)
WHY_DISTILLED = (
    "a base that only answers gives no gradients: a network that imitates its answers is made first, and the generator "
    "is trained through that at 1.5 times the rate; the base's own answers choose its best state, and whether its "
    "transform is used; its evidence joins the base's answer"
)
_CHOOSING_SAMPLES = 128
"""Held-out samples that the base is asked for each time a state may be the best so far: each is a query."""


@dataclass(frozen=True)
class Fronted:
    """What `protect_answers` made.

    Attributes:
        generator: Name of the generator.
        macs: Multiply-accumulate operations of its evidence, per sample.
        held_out: Accuracy of the evidence on samples held out of its training.
        labels: Whose labels it was trained on.
        front: The front, and what it is worth.
        surrogates: What it was trained through; empty for a generator that only looks.
    """

    generator: str
    macs: int
    held_out: float
    labels: Labels
    front: Guarding
    surrogates: tuple[SurrogateFacts, ...] = ()

    @property
    def why(self) -> str:
        """Why it was made this way."""
        if any(facts.distilled for facts in self.surrogates):
            return WHY_DISTILLED
        return WHY_SURROGATES if self.surrogates else WHY

    def record(self, usage: dict[str, Any] | None = None) -> Record:
        """The record.

        Args:
            usage: What asking the base took.
        """
        return msgspec.convert({**self.to_dict(), "said": self.sentences(), "base": usage}, Record)

    def to_dict(self) -> dict[str, Any]:
        """The numbers of the record `nfkit.protect-answers/1`."""
        return {
            "schema": "nfkit.protect-answers/1",
            "output": {"path": str(self.front.output), "sha256": sha256(self.front.output)},
            "generator": self.generator,
            "macs": self.macs,
            "held_out": self.held_out,
            "labels": self.labels,
            "why": self.why,
            **({"surrogates": msgspec.to_builtins(self.surrogates)} if self.surrogates else {}),
            **self.front.to_dict(),
        }

    def sentences(self) -> list[str]:
        """What was made, and what it is worth."""
        what = f"{self.front.output}: {self.generator}, {self.macs / 1e6:.2f} M MACs"
        alone = f"alone it classifies {100 * self.held_out:.1f} % of held-out samples"
        lines = [f"{what}; {alone}"]
        if self.surrogates:
            through = ", ".join(facts.name for facts in self.surrogates)
            does = "changes what the base is shown" if self.front.transform else "would help nothing, and was left out"
            lines += [facts.imitation for facts in self.surrogates if facts.imitation]
            lines.append(f"trained through {through}: its transform {does}, by the base's own answers")
        return [*lines, *self.front.sentences()]


def protect_answers(
    base: Base,
    data: Dataset,
    test: Dataset,
    spec: InputSpec,
    config: EvidenceConfig,
    output: Path,
    *,
    labels: Labels = "data",
    early_loss: float | None = 0.01,
    surrogates: Sequence[ModelLike] = (),
    ber: float | None = None,
    distil: int | None = None,
    level: Level = "all",
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
) -> Fronted:
    """Makes a front for a base that only answers.

    Args:
        base: What answers, in the state that it will work in.
        data: Samples to train the evidence on; a tenth is held out to choose the best state.
        test: Labelled samples that neither is trained on: every other one fits trust, the others measure the result.
            The base is asked for each of them once.
        spec: The base's input.
        config: How the evidence is trained.
        output: Where to write the front.
        labels: Whether the evidence learns the labels of `data`, or the base's answers to it, each a query.
        early_loss: Accuracy that early answers may cost, as a share; None to ask the base always.
        surrogates: Models of the same task to train a transform of the base's input through.
        ber: Bit error rate of the base, which surrogates are trained for; 1 % by default.
        distil: How many samples of `data` the base is asked for, each a query, to make a surrogate of its answers; it
            is kept beside the output.
        level: Optimisation level of the front.
        on_stage: Called with a sentence when a new stage begins.
        on_progress: Told how far the training is.

    A training that was killed goes on with the same call: its state is kept beside the output until that is written.

    Raises:
        NfkitError: When something does not fit, or the base does not answer; no front is written then.
    """
    require_torch()
    from nfkit.learn.config import TrainConfig
    from nfkit.learn.export import export_generator
    from nfkit.learn.subject import Surrogates
    from nfkit.learn.train import train

    on_stage(WHY_DISTILLED if distil is not None else WHY_SURROGATES if surrogates else WHY)
    if ber is not None and not surrogates and distil is None:
        raise OptionError("a rate is for surrogates: of a base that only answers nothing is simulated")
    fitting, measuring = split_in_two(test)
    classes = base.about.classes
    test.check_labels(classes)
    if labels not in get_args(Labels):
        raise OptionError(f"--labels {labels}: choose data (the data's own) or base (its answers, each a query)")
    if labels == "base":
        on_stage(f"asking the base for its answers to {len(data)} samples of {data.name}")
        data = Dataset(data.name, data.x, best(base(spec.encode(data.x))), data.mirror, labels="base")
    data.check_labels(classes)
    rest, held_out = data.hold_out(0.1, config.seed)
    stand_in: Surrogates | None = None
    settings: TrainConfig = config
    if distil is not None:
        path = imitation_of(output)
        distilled(
            base, base.about.identity, rest, spec, distil, config, path,
            level=level, on_stage=on_stage, on_progress=on_progress,
        )  # fmt: skip
        surrogates, config = (*surrogates, path), after_distilling(config)
    if surrogates:
        settings = TrainConfig(
            config.generator, BitErrors(DEFAULT_RATE if ber is None else ber), Iid(), epochs=config.epochs,
            minutes=config.minutes, batch=config.batch, mirror=config.mirror, shift=config.shift, seed=config.seed,
            precision="float32", answer="both",
        )  # fmt: skip
        held_out = held_out.take(min(len(held_out), _CHOOSING_SAMPLES))
        stand_in = Surrogates(load_surrogates(surrogates, spec, rest, classes), [lambda v: best(base(v))])
    on_stage(f"training {config.generator} on {len(rest)} samples of {data.name}")
    checkpoint = output.with_name(f"{output.name}{CHECKPOINT_SUFFIX}")
    identity = " ".join([base.about.identity, data.sha256, *(sha256(model) for model in surrogates)])
    trained = train(
        None, [], spec, rest, held_out, settings, classes=classes, surrogates=stand_in, checkpoint=checkpoint,
        identity=identity, on_start=on_stage, on_progress=lambda now: on_progress(now.stage()),
    )  # fmt: skip
    x = spec.normalise(spec.encode(rest.x[:_CALIBRATION_SAMPLES]))
    generator = export_generator(trained.generator, spec.image_shape, opset=_OPSET, batch=spec.batch, calibration=x)
    facts = () if stand_in is None else facts_of(stand_in.models, trained.by_model)
    metadata = {
        "nfkit.format": "1",
        "nfkit.version": __version__,
        GENERATOR_KEY: config.generator,
        GENERATOR_DIGEST_KEY: sha256(generator),
    }
    blank = Answer(form_of(np.eye(classes, dtype=np.float32)), Trust())
    shown = spec.encode(fitting.x)
    views = [View(shown, partial(build_front, generator, spec, metadata, transform=False))]
    looking = build_front(generator, spec, metadata, blank, transform=False)
    evidence = Runner(looking, level=level).named(shown, [SEEN])[SEEN]
    if surrogates:
        changing = build_front(generator, spec, metadata, blank)
        changed = Runner(changing, level=level).named(shown, [JOINT])[JOINT]
        views.append(View(changed, partial(build_front, generator, spec, metadata), transform=True))
    on_stage(f"asking the base for its answers to {len(test)} samples of {test.name}")
    front = guard(base, spec, fitting, measuring, evidence, views, output, early_loss=early_loss, level=level)
    checkpoint.unlink(missing_ok=True)
    alone = trained.clean if stand_in is None else _accuracy_of(looking, held_out, spec, level)
    return Fronted(config.generator, count_macs(looking), alone, labels, front, facts)


def _accuracy_of(looking: ir.Model, data: Dataset, spec: InputSpec, level: Level) -> float:
    """Share of samples that the evidence alone gets right."""
    evidence = Runner(looking, level=level).named(spec.encode(data.x), [SEEN])[SEEN]
    return float((evidence.argmax(1) == data.y).mean())
