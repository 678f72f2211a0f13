"""Campaigns whose models are judged by a metric of the user's own: their data, and what they give without errors."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import onnx_ir as ir

from nfkit.access.runtime import Runner
from nfkit.campaigns.kit import Subject
from nfkit.campaigns.plan import CampaignPlan
from nfkit.campaigns.workbench import judge_of
from nfkit.data.function import files_behind
from nfkit.data.targets import Targets, load_targets
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.input.spec import InputSpec
from nfkit.reports.campaign import METRIC


def identify(metric: str) -> dict[str, str]:
    """What measurements by a metric depend on: its name, and the digest of the file that defines it, if there is one.

    Raises:
        DataError: When it cannot be loaded.
    """
    content = b"".join(file.read_bytes() for file in files_behind(metric))
    named = {METRIC: metric}
    return {**named, f"file of {metric}": hashlib.sha256(content).hexdigest()} if content else named


def targets_of(graph: ir.Model, source: str, spec: InputSpec, plan: CampaignPlan) -> Targets:
    """Samples and targets; without targets, the outputs of the base without errors stand for them.

    Raises:
        NfkitError: When they cannot be read, or the base does not run on them.
    """
    found = load_targets(source)
    found = found if plan.samples is None else found.take(plan.samples)
    if found.y is not None:
        return found
    base = split(graph)[1] if is_fused(graph) else graph
    runner = Runner(base, level=plan.level, samples=len(found))  # type: ignore[arg-type]
    outputs = runner.named(spec.encode(found.x), runner.output_names)
    single = len(runner.output_names) == 1
    return replace(found, y=outputs[runner.output_names[0]] if single else outputs)  # type: ignore[arg-type]


def judged(subject: Subject, runner: Runner, name: str) -> Subject:
    """A subject with the values that its metric has without errors.

    Raises:
        DataError: When the metric fails.
    """
    judge = judge_of(subject)
    return replace(subject, clean=judge.values(judge.outputs(runner), f"{name} without errors"))
