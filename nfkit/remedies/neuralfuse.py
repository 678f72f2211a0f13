"""From a frozen model to a protected one: train a generator, export it, fuse it, prove it, write it.

The one place where the training half and the measuring half meet.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.energy import count_macs
from nfkit.errors import ModelError, OptionError
from nfkit.faults import EVALUATION_CHIPS
from nfkit.faults.kinds import MAX_RATE
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.fused import BASE_SOURCE_KEY, GENERATOR_DIGEST_KEY, GENERATOR_KEY, is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.measure.advice import Advice, advise
from nfkit.measure.evaluation import Evaluation, Row, evaluate
from nfkit.model import ModelLike, check_output, load, save, sha256
from nfkit.outputs import check_writable
from nfkit.reports.provenance import describe
from nfkit.version import __version__

if TYPE_CHECKING:
    from nfkit.learn.config import TrainConfig
    from nfkit.learn.train import Progress

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


@dataclass(frozen=True)
class Protection:
    """What `protect` made, and how good it is.

    Attributes:
        output: The fused file.
        seconds: Time for everything, training included.
        generator: Name of the architecture.
        parameters: Trainable parameters of the generator.
        macs: Multiply-accumulate operations that it adds to an inference.
        precision: `int8` or `float`, of the generator in the file.
        float_evaluation: The same measurement with a float generator; None if that is what is in the file.
        parity_max_abs: Largest difference between torch and ONNX Runtime at the fused file's output.
        evaluation: Measured on the file itself, at the bit error rate that it was trained for and around it.
        advice: Where the pair beats both the faulty base and the generator alone; None where the generator alone
            classifies nothing.
        interrupted: Whether training was ended early by Ctrl-C.
        training: Settings and course of the training.
    """

    output: Path
    seconds: float
    generator: str
    parameters: int
    macs: int
    precision: str
    float_evaluation: Evaluation | None
    parity_max_abs: float
    evaluation: Evaluation
    advice: Advice | None
    interrupted: bool
    training: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The record `nfkit.protect/1`."""
        record = {k: v for k, v in vars(self).items() if k not in ("evaluation", "float_evaluation", "advice")}
        record["output"] = str(self.output)
        record["evaluate"] = self.evaluation.to_dict()
        if self.advice is not None:
            record["advice"] = self.advice.to_dict()
        if self.float_evaluation is not None:
            entry = self.float_evaluation.summary()[0]
            record["float_generator"] = {
                "clean": self.float_evaluation.clean_protected,
                "protected": entry["protected"].to_dict(),
            }
        return {"schema": "nfkit.protect/1", **record}


def protect(
    source: ModelLike,
    data: Dataset,
    test: Dataset,
    spec: InputSpec,
    config: TrainConfig,
    output: Path,
    *,
    generator_precision: Literal["int8", "float"] = "int8",
    chips: int = 10,
    around: bool = True,
    level: Level = "all",
    force: bool = False,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: Callable[[Progress], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> Protection:
    """Protects a frozen model against bit errors in its weights.

    Args:
        source: The model; its file is not touched.
        data: Labelled samples to train on; a tenth of them is held out to choose the best state.
        test: Labelled samples to measure the result on.
        spec: The model's input.
        config: Training settings.
        output: Where to write the fused model.
        generator_precision: Whether the generator is quantised to int8 weights and activations.
        chips: How many unseen chips to measure on.
        around: Whether to measure at lower and higher bit error rates as well, from a tenth to twice the trained one.
        level: Optimisation level of the measurement.
        force: Whether to replace an existing output.
        on_stage: Called with a sentence when a new stage begins.
        on_progress: Called after each training step.
        on_row: Called with each measured chip.

    Raises:
        NfkitError: When model, data, options or output do not fit; nothing is written then.
    """
    require_torch()
    from nfkit.learn.export import check_opset, export_generator, transform
    from nfkit.learn.gradients.frozen import refuse_unsupported
    from nfkit.learn.probe import probe_accuracy
    from nfkit.learn.train import train

    begun = time.monotonic()
    base = load(source)
    _check(base, source, output, force)
    refuse_unsupported(base)
    check_opset(base.opset_imports.get("", 0))
    if generator_precision not in ("int8", "float"):
        raise OptionError(f"unknown generator precision {generator_precision!r}: choose int8 or float")
    sites = fault_sites(base)
    spec.bounds()

    on_stage("comparing the model in torch with ONNX Runtime")
    size = max(_PARITY_SAMPLES, spec.batch if isinstance(spec.batch, int) else 0)
    sample = spec.encode(data.x[np.arange(size) % len(data)])
    check_parity(base, sample)
    runner = Runner(base, level=level)
    classes = runner.classes(sample)
    data.check_labels(classes)
    test.check_labels(classes)
    spec.encode(test.x[:1])

    on_stage(f"training {config.generator} on {len(data)} samples of {data.name}")
    rest, held_out = data.hold_out(0.1, config.seed)
    checkpoint = output.with_name(output.name + CHECKPOINT_SUFFIX)
    trained = train(
        base, sites, spec, rest, held_out, config,
        classes=classes, checkpoint=checkpoint, identity=f"{sha256(base)} {data.sha256}",
        on_start=on_stage, on_progress=on_progress,
    )  # fmt: skip

    on_stage(f"exporting the generator ({generator_precision}) and fusing it")
    x = spec.normalise(spec.encode(rest.x[:CALIBRATION_SAMPLES]))
    opset, batch = base.opset_imports[""], spec.batch
    as_float = export_generator(trained.generator, spec.image_shape, opset=opset, batch=batch)
    lost = np.abs(Runner(as_float, level="basic")(x) - transform(trained.generator, x)).max()
    if not lost <= _EXPORT_TOLERANCE:
        raise ModelError(f"the exported generator differs from the trained one by {lost:.3g}: please report the model")
    prefix, precision = as_float, "float"
    if generator_precision == "int8" and count_macs(as_float):  # a generator without weights stays as it is
        precision = "int8"
        prefix = export_generator(trained.generator, spec.image_shape, opset=opset, batch=batch, calibration=x)
    training = {
        "config": config.to_dict(),
        "data": {"name": data.name, "n": len(data), "sha256": data.sha256},
        "steps": trained.steps,
        "precision": trained.precision,
        "held_out": {"clean": trained.clean, "perturbed": trained.perturbed},
    }
    metadata = {
        "nfkit.format": "1",
        "nfkit.version": __version__,
        BASE_SOURCE_KEY: sha256(source),
        GENERATOR_KEY: config.generator,
        GENERATOR_DIGEST_KEY: sha256(prefix),
        "nfkit.training": json.dumps(training, sort_keys=True),
    }
    fused = fuse(prefix, base, spec, metadata)
    parity = check_parity(fused, sample)

    on_stage(f"measuring on {len(test)} samples of {test.name} and {chips} unseen chips")
    errors = [config.errors]
    if around:
        errors += [config.errors.at(r) for r in _rates_around(config.errors.rate)]
    seeds = EVALUATION_CHIPS[:chips]
    measured = evaluate(fused, test, spec, errors, chips=seeds, layout=config.layout, level=level, on_row=on_row)
    unquantised = None
    if precision == "int8":
        unquantised = evaluate(
            fuse(as_float, base, spec, {}), test, spec, errors[:1],
            chips=seeds, layout=config.layout, level=level, known=measured,
        )  # fmt: skip
    probed = None
    if measured.alone is None:
        probed = probe_accuracy(trained.generator, spec, rest, test, classes)
    advice = advise(measured, probed)
    if advice is not None:
        fused.metadata_props["nfkit.advice"] = json.dumps(advice.to_dict(), sort_keys=True)
    fused.metadata_props["nfkit.results"] = json.dumps(measured.to_dict()["summary"], sort_keys=True)

    save(fused, output)
    measured.settings.update(describe(output, fused, test))
    checkpoint.unlink(missing_ok=True)
    return Protection(
        output=output,
        seconds=time.monotonic() - begun,
        generator=config.generator,
        parameters=sum(p.numel() for p in trained.generator.parameters()),
        macs=count_macs(as_float),
        precision=precision,
        float_evaluation=unquantised,
        parity_max_abs=parity,
        evaluation=measured,
        advice=advice,
        interrupted=trained.interrupted,
        training={**training, "seconds": round(trained.seconds, 1)},  # not in the file: equal runs give equal bytes
    )


def _rates_around(rate: float) -> list[float]:
    """The trained bit error rate's neighbours: what a user needs to choose a voltage."""
    near = (float(f"{factor * rate:.3g}") for factor in (0.1, 0.2, 0.5, 2.0))
    return [r for r in near if 0 < r <= MAX_RATE / 2]


def check_parity(model: ir.Model, sample: np.ndarray[Any, Any]) -> float:
    """Compares the model in torch with ONNX Runtime at level `basic`, which computes node by node.

    The two sum in different orders, so a value that lies on the edge between two codes may be rounded to either, and
    a quantised network carries such a step to its output. Hence two limits: almost all predictions agree, and the
    mean difference is small against the spread of the outputs.

    Returns:
        Largest absolute difference of the first output.

    Raises:
        ModelError: When the two disagree beyond rounding; gradients of such a graph would mislead.
    """
    from nfkit.learn.gradients.frozen import run

    runner = Runner(model, level="basic")
    computed = run(model, sample, runner.fixed_batch or len(sample))
    expected = runner(sample[: len(computed)]).astype(np.float32).reshape(len(computed), -1)
    difference = np.abs(computed - expected)
    spread = float(expected.std()) or 1.0
    agreement = float((computed.argmax(1) == expected.argmax(1)).mean())
    if not (difference.mean() <= 0.05 * spread and agreement >= 0.95):
        raise ModelError(
            f"torch and ONNX Runtime disagree on this model: mean difference {difference.mean():.3g} at outputs that "
            f"spread by {spread:.3g}, {100 * agreement:.0f} % equal predictions. Please report the model"
        )
    return float(difference.max())


def _check(base: ir.Model, source: ModelLike, output: Path, force: bool) -> None:
    """Refuses, before anything is computed, what could not be written or would overwrite."""
    refuse_faults(base)
    if is_fused(base):
        split(base)  # says so where the file is damaged
        raise ModelError("the model is protected already: give the base, or take it out with nfkit split")
    check_output(output, source, force)
    check_writable(output.with_name(output.name + CHECKPOINT_SUFFIX))
