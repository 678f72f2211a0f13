"""A fused file with the numbers of its plan: the trust, the threshold, and the operating point in its metadata."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.errors import ModelError, OptionError
from nfkit.faults import BitErrors
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.dial import answer_of
from nfkit.graph.fusion.fused import PLAN_KEY
from nfkit.graph.fusion.restage import with_answer
from nfkit.graph.fusion.seal import seal
from nfkit.graph.fusion.trust import Trust
from nfkit.measure.early import NEVER
from nfkit.measure.latency import Latency, measure_latency
from nfkit.model import ModelLike, check_output, save
from nfkit.plans.halves import Half
from nfkit.reports.plan import Option, Plan
from nfkit.workflows import inputs
from nfkit.workflows.evaluation import TIMED

_SECONDS = 10.0  # that latency is measured for
_CHECKED = 256  # images on which the file is compared with the formula


def write_planned(model: ModelLike, plan: Plan, output: str | Path, *, force: bool = False) -> Option:
    """Writes a fused file with the numbers of its plan, and the operating point in its metadata.

    Args:
        model: The fused file that was planned; not changed.
        plan: Its plan.
        output: Where to write.
        force: Whether to replace an existing output.

    Returns:
        The way to run it that the file is set to: the plan, or the best that uses the generator.

    Raises:
        OptionError: When nothing that uses the generator is within the tolerance, or has numbers to set.
        NfkitError: When the file cannot be written.
    """
    path = inputs.as_path(output, "the output")
    check_output(path, model, force)
    graph, option = inputs.find_model(model), plan.of_file
    if option is None:
        raise OptionError(
            "the plan sets nothing in a file: no way to run base and generator together is within the tolerance"
        )
    save(set_plan(graph, plan, option), path)
    return option


def set_plan(fused: ir.Model, plan: Plan, option: Option) -> ir.Model:
    """A copy of a fused file with the numbers of an option of its plan, and the operating point in its metadata."""
    changed = as_planned(fused, option)
    stated = {
        "remedy": option.name, "tolerance": plan.tolerance, "outcome": option.outcome, "curve": plan.curve.name,
        "volts_over_vmin": option.volts_over_vmin, "ber": option.ber, "accuracy": option.accuracy.mean,
        "accuracy_ci95": option.accuracy.ci95, "loss": option.loss.mean, "loss_ci95": option.loss.ci95,
        "saving": option.saving, "base_runs": 1 - option.early["share"] if option.early else 1.0,
    }  # fmt: skip
    changed.metadata_props[PLAN_KEY] = json.dumps(stated, sort_keys=True)
    seal(changed)
    return changed


def as_planned(fused: ir.Model, option: Option) -> ir.Model:
    """A copy of a fused file with the trust and the threshold of an option; the file itself where it has none."""
    if option.trust is None:
        return fused
    threshold = NEVER if option.threshold is None and option.early is not None else option.threshold
    return with_answer(fused, Answer(answer_of(fused).form, Trust(**option.trust), threshold))


def check_planned(file: ir.Model, option: Option, half: Half) -> None:
    """Compares the file, without errors, with the formula that the plan was computed by.

    Raises:
        ModelError: When they differ on more images than near ties explain.
    """
    looked, trust = half.looked, Trust(**(option.trust or {}))
    assert looked is not None
    right = looked.both(BitErrors(0.0), 1, trust)[0]
    if option.threshold is not None:
        right = np.where(looked.sure(trust, option.threshold), looked.alone, right)
    images = half.bench.images[:_CHECKED]
    got = Runner(file, level=half.bench.level).classify(images) == looked.labels[: len(images)]
    if (different := float((got != right[: len(images)]).mean())) > 0.05:
        raise ModelError(
            f"the file with the numbers of the plan differs from their formula on {100 * different:.0f} % of the "
            "samples: please report the model"
        )


def time_planned(file: ir.Model, half: Half, level: Level) -> Latency:
    """Latency of the file at batch 1, on images of the half."""
    (times,) = measure_latency(file, half.bench.images[:TIMED], batches=(1,), level=level, seconds=_SECONDS)
    return times
