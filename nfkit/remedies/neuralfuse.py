"""NeuralFuse: a trained generator in front of a frozen model, exported, fused and proved.

The one place where the training half meets the graphs that are shipped. What it makes is measured and written by
`nfkit.workflows.protection`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
import numpy as np
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.energy import count_macs
from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.dial import record_fits
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.fused import BASE_SOURCE_KEY, GENERATOR_DIGEST_KEY, GENERATOR_KEY, is_fused
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.split import split
from nfkit.graph.fusion.trust import Trust
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.positions import refuse_positions
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.measure.plausibility import refuse_reconstruction
from nfkit.model import ModelLike, load, sha256
from nfkit.remedies.both_ends import FittedAnswer, TrustData, check_answer
from nfkit.remedies.parity import check_parity
from nfkit.remedies.surrogates import check_chain, facts_of, stand_in_for
from nfkit.reports.protection import CourseMark, HeldOut, Training
from nfkit.reports.provenance import DataFacts
from nfkit.version import __version__

if TYPE_CHECKING:
    from nfkit.learn.config import TrainConfig
    from nfkit.learn.train import Progress
    from nfkit.models.generators.base import Generator

GeneratorPrecision = Literal["int8", "float"]

CALIBRATION_SAMPLES = 512
CHECKPOINT_SUFFIX = ".checkpoint.pt"
"""What the state of a training is named, behind the name of its output."""
_PARITY_SAMPLES = 64
_EXPORT_TOLERANCE = 1e-3  # of images in [-1, 1]: float32 sums in another order, after folding batch norm


def require_torch() -> None:
    """Says what to install where torch is missing.

    Raises:
        OptionError: When it is.
    """
    if find_spec("torch") is None:
        raise OptionError("protecting a model trains a generator, which needs torch: pip install 'nfkit[train]'")


@dataclass(frozen=True, eq=False)
class Shield:
    """A frozen model behind a trained generator, not yet measured.

    Attributes:
        fused: The fused model.
        unquantised: The same with a float generator; None where that is what `fused` holds.
        generator: The trained generator, in torch.
        name: Name of its architecture.
        parameters: Its trainable parameters.
        macs: Multiply-accumulate operations that it adds to an inference.
        precision: `int8` or `float`, of the generator in the fused model.
        parity_max_abs: Largest difference between torch and ONNX Runtime at the fused model's output; where both ends
            answer, the share of samples that the model classifies otherwise than the formula in NumPy.
        classes: Number of classes that the base tells apart.
        trained_on: The samples that were not held out.
        interrupted: Whether training was ended early by Ctrl-C.
        training: Settings and course of the training.
        answer: How base and generator answer together; None where the base answers.
    """

    fused: ir.Model
    unquantised: ir.Model | None
    generator: Generator
    name: str
    parameters: int
    macs: int
    precision: str
    parity_max_abs: float
    classes: int
    trained_on: Dataset
    interrupted: bool
    training: Training
    answer: FittedAnswer | None = None

    def probe(self, spec: InputSpec, test: Dataset) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
        """Which samples a linear probe on the generator's bottleneck gets right, [N]; None without a bottleneck."""
        from nfkit.learn.probe import probe_correct

        return probe_correct(self.generator, spec, self.trained_on, test, self.classes)


def shield(
    source: ModelLike,
    data: Dataset,
    test: Dataset,
    spec: InputSpec,
    config: TrainConfig,
    checkpoint: Path,
    *,
    generator_precision: GeneratorPrecision = "int8",
    level: Level = "all",
    trust: TrustData | None = None,
    surrogates: Sequence[ModelLike] = (),
    on_stage: Callable[[str], None] = lambda stage: None,
    on_training: Callable[[Progress], None] | None = None,
) -> Shield:
    """Trains a generator for a frozen model, exports it and fuses the two.

    Args:
        source: The model; its file is not touched.
        data: Labelled samples to train on; a tenth of them is held out to choose the best state.
        test: Labelled samples that the result will be measured on; checked before the training.
        spec: The model's input.
        config: Training settings.
        checkpoint: Where the state of the training is kept; the caller removes it when the result is safe.
        generator_precision: Whether the generator is quantised to int8 weights and activations.
        level: Optimisation level of the measurement.
        trust: What the trust of an answer of both ends is fitted on, and early answers; by default what is held out
            of `data`, and none.
        surrogates: Models through which the generator is trained in place of the base, which may then have operators
            without a gradient.
        on_stage: Called with a sentence when a new stage begins.
        on_training: Called after each training step.

    Raises:
        NfkitError: When model, data or options do not fit.
    """
    require_torch()
    from nfkit.learn.export import export_generator, look, transform
    from nfkit.learn.train import train

    base = load(source)
    refuse_protected(base)
    refuse_unprotectable(base, generator_precision, gradients=not (config.looks_only or surrogates))
    trust = trust or TrustData()
    trust.check(base, config.answer)
    sites = fault_sites(base)
    config.errors.check_sites([site.name for site in sites])
    spec.bounds()

    driven = not (config.looks_only or surrogates)  # by gradients through the base itself
    if driven:
        on_stage("comparing the model in torch with ONNX Runtime")
    size = max(_PARITY_SAMPLES, spec.batch if isinstance(spec.batch, int) else 0)
    sample = spec.encode(data.x[np.arange(size) % len(data)])
    runner = Runner(base, level=level)
    classes = refuse_reconstruction(runner, sample, data)
    own = check_parity(base, sample) if driven else None
    if own is not None and own.nodes:
        on_stage(str(own))
    data.check_labels(classes)
    test.check_labels(classes)
    spec.encode(test.x[:1])
    form = find_form(base, runner(sample)) if config.answer == "both" else None

    on_stage(f"training {config.generator} on {len(data)} samples of {data.name}")
    rest, held_out = data.hold_out(0.1, config.seed)
    stand_in, identity = None, f"{sha256(base)} {data.sha256}"
    if surrogates:
        stand_in = stand_in_for(base, surrogates, spec, rest, config, classes, level)
        identity += "".join(f" {sha256(surrogate.model)}" for surrogate in stand_in.models)
        on_stage(f"training through {', '.join(s.name for s in stand_in.models)}; the base chooses the best state")
    soft = None
    if form is not None and config.looks_only and config.teaching:
        on_stage(f"asking the clean base about {len(rest)} samples")
        soft = form.log_scores(np.concatenate([runner(part) for part in _encoded(spec, rest)])).astype(np.float32)
    trained = train(
        base, sites, spec, rest, held_out, config,
        classes=classes, checkpoint=checkpoint, identity=identity, soft=soft, surrogates=stand_in,
        on_start=on_stage, on_progress=on_training,
    )  # fmt: skip

    on_stage(f"exporting the generator ({generator_precision}) and fusing it")
    x = spec.normalise(spec.encode(rest.x[:CALIBRATION_SAMPLES]))
    opset, batch = base.opset_imports[""], spec.batch
    export = partial(
        export_generator, trained.generator, spec.image_shape, opset=opset, batch=batch, residual=not config.looks_only
    )
    as_float = export()
    computed = (look if config.looks_only else transform)(trained.generator, x)
    lost = np.abs(Runner(as_float, level="basic")(x) - computed).max() / max(1.0, float(np.abs(computed).max()))
    if not lost <= _EXPORT_TOLERANCE:
        raise ModelError(f"the exported generator differs from the trained one by {lost:.3g}: please report the model")
    prefix, precision = as_float, "float"
    if generator_precision == "int8" and count_macs(as_float):  # a generator without weights stays as it is
        precision = "int8"
        prefix = export(calibration=x)
    training = Training(
        config=json.loads(json.dumps(config.to_dict())),  # as its record holds it: lists for tuples
        data=DataFacts.of(data),
        steps=trained.steps,
        precision=trained.precision,
        held_out=HeldOut(trained.clean, trained.perturbed),
        seconds=round(trained.seconds, 1),
        surrogates=[] if stand_in is None else list(facts_of(stand_in.models, trained.by_model)),
        course=[CourseMark(*mark) for mark in trained.course],
    )  # fmt: skip
    stated = msgspec.to_builtins(training)
    for name in ("seconds", "course"):  # equal runs give equal bytes, and a file is no diary
        stated.pop(name, None)
    metadata = {
        "nfkit.format": "1",
        "nfkit.version": __version__,
        BASE_SOURCE_KEY: sha256(source),
        GENERATOR_KEY: config.generator,
        GENERATOR_DIGEST_KEY: sha256(prefix),
        "nfkit.training": json.dumps(stated, sort_keys=True),
    }
    fitted = None
    if form is None:
        fused = fuse(prefix, base, spec, metadata)
        parity = check_parity(fused, sample).largest if driven else check_chain(fused, base, sample)
    else:
        fitted = trust.fit(
            fuse(prefix, base, spec, metadata, Answer(form, Trust())), form, held_out, spec, config.errors,
            layout=config.layout, level=level, on_stage=on_stage,
        )  # fmt: skip
        parity = check_answer(fuse(prefix, base, spec, metadata, fitted.answer.always()), base, fitted.answer, sample)
        fused = fuse(prefix, base, spec, metadata, fitted.answer)
        record_fits(fused, fitted.trusts)
    return Shield(
        fused=fused,
        unquantised=fuse(as_float, base, spec, {}, fitted.answer if fitted else None) if precision == "int8" else None,
        generator=trained.generator,
        name=config.generator,
        parameters=sum(p.numel() for p in trained.generator.parameters()),
        macs=count_macs(as_float),
        precision=precision,
        parity_max_abs=parity,
        classes=classes,
        trained_on=rest,
        interrupted=trained.interrupted,
        training=training,
        answer=fitted,
    )


def _encoded(spec: InputSpec, data: Dataset, step: int = 1024) -> Iterator[np.ndarray[Any, Any]]:
    """The data in the model's input space, part by part."""
    for start in range(0, len(data), step):
        yield spec.encode(data.x[start : start + step])


def refuse_unprotectable(base: ir.Model, generator_precision: str, *, gradients: bool = True) -> None:
    """Refuses what no data could help: a model without gradients or integer weights, a form that no generator has.

    Args:
        base: The model.
        generator_precision: Of the generator that is wanted.
        gradients: Whether the model has to give gradients, as it need not where the generator only looks.

    Raises:
        NfkitError: When the model cannot be protected.
    """
    from nfkit.learn.export import check_opset
    from nfkit.learn.gradients.obstacles import refuse_unsupported

    refuse_positions(base)
    if gradients:
        refuse_unsupported(base)
    check_opset(base.opset_imports.get("", 0))
    if generator_precision not in get_args(GeneratorPrecision):
        raise OptionError(f"unknown generator precision {generator_precision!r}: choose int8 or float")
    fault_sites(base)


def refuse_protected(base: ir.Model) -> None:
    """Refuses a model that holds faults, or has a generator in front already.

    Raises:
        ModelError: When it does; in other words where the file was damaged since.
    """
    refuse_faults(base)
    if is_fused(base):
        split(base)  # says so where the file is damaged
        raise ModelError(
            "the model is protected already: give the base, or take it out with nfkit split; for one device whose "
            "cells are known add --chip or --chip-map"
        )
