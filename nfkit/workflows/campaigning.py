"""`nfkit.campaign`: many models, remedies, errors and chips, kept measurement by measurement and taken up again."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Union

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Runner
from nfkit.campaigns.complaints import Complaints
from nfkit.campaigns.engines import Engine, find_engine
from nfkit.campaigns.estimate import Estimate
from nfkit.campaigns.kept_plans import keep_plan
from nfkit.campaigns.kit import Job, Kit, Subject
from nfkit.campaigns.plan import TEMPLATE, CampaignPlan, ModelEntry, parse_kind
from nfkit.campaigns.reading import check_loaded, check_plan, read_plan
from nfkit.campaigns.results import summarise
from nfkit.campaigns.running import run
from nfkit.campaigns.stopping import StopRule
from nfkit.campaigns.store import MeasurementStore
from nfkit.campaigns.tables import Run
from nfkit.data import Dataset
from nfkit.data.targets import Targets
from nfkit.energy import load_curve
from nfkit.errors import ModelError
from nfkit.faults import BitErrors, Chip, parse_layout
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.measure.answers import Answers
from nfkit.measure.evaluation import check_chips
from nfkit.model import sha256
from nfkit.progress import OnProgress, Progress, silent
from nfkit.remedies.base import Remedy
from nfkit.remedies.registry import parse_remedy
from nfkit.reports.campaign import Campaign, Cell
from nfkit.reports.provenance import versions
from nfkit.workflows import inputs
from nfkit.workflows.campaign_metrics import identify, judged, targets_of
from nfkit.workflows.intake import Intake, data_for_measuring
from nfkit.workflows.memory import foreign_curve

PlanLike = Union[str, "os.PathLike[str]", CampaignPlan, Mapping[str, Any]]
"""What a plan is given as: a TOML file, a `CampaignPlan`, or the same as plain values."""


def campaign(
    plan: PlanLike,
    folder: str | os.PathLike[str],
    *,
    engine: str | Engine = "threads",
    workers: int | None = None,
    scheduler: str | None = None,
    only_estimate: bool = False,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
) -> Campaign:
    """Measures what a plan asks for and a folder does not hold yet.

        nfkit.campaign("plan.toml", "results")

    Args:
        plan: What to measure; see docs/campaigns.md.
        folder: Where measurements are kept. A campaign that was ended goes on from there; one of something else is
            refused. Models, remedies, errors and chips may be added to it.
        engine: Who works: `threads` (of this process), `joblib` (processes), or `dask` or `ray` (clusters).
        workers: How many; one a core by default.
        scheduler: Address of a cluster of dask or Ray; workers on this machine by default.
        only_estimate: Whether to end after the pilot, having said what the plan takes.
        on_stage: Called with sentences on what was found and on what it will take.
        on_progress: Told how far it is.

    Returns:
        The record; `str`, a notebook and `to_pandas` show it.

    Raises:
        NfkitError: When something does not fit; the message says what, and what to do.
    """
    wanted = _read(plan)
    chosen = find_engine(engine, workers, scheduler) if isinstance(engine, str) else engine
    on_progress(Progress("reading models and data", 0, 1))
    ready = prepare(wanted, on_stage)
    rule = StopRule.of(wanted)
    with MeasurementStore(Path(folder), create=True) as store:
        number = store.begin(ready.fingerprint, ready.clean, ready.cells, describe_run(chosen))
        keep_plan(Path(folder), wanted, number)

        def say(takes: Estimate) -> None:
            for sentence in takes.sentences():
                on_stage(sentence)

        takes = run(
            store, ready.kit, rule, wanted.seeds, chosen, number,
            only_estimate=only_estimate, on_estimate=say, on_progress=on_progress,
        )  # fmt: skip
        return Campaign(
            folder=str(folder), cells=summarise(store, rule, wanted.seeds, list(ready.kit.jobs)),
            planned=takes.at_most, until=wanted.until, fingerprint=store.fingerprint, versions=versions(),
            warnings=tuple(ready.warnings),
        )  # fmt: skip


@dataclass
class Prepared:
    """A plan with its models and data.

    Attributes:
        kit: What workers need.
        cells: Cells, each with the name of its subject, by key.
        clean: Number of each subject's samples, and which it gets right without errors, or a metric's values.
        fingerprint: What measurements depend on.
        warnings: What is doubtful.
    """

    kit: Kit
    cells: dict[str, tuple[Cell, str]] = field(default_factory=dict)
    clean: dict[str, tuple[int, npt.NDArray[Any]]] = field(default_factory=dict)
    fingerprint: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def prepare(plan: CampaignPlan, on_stage: Callable[[str], None] = lambda stage: None) -> Prepared:
    """Loads what a plan names, and pairs it.

    Raises:
        OptionError: With everything that does not load or fit.
    """
    made = Prepared(Kit({}, {}, plan.level))  # type: ignore[arg-type]
    known = versions()
    made.fingerprint = {"level": plan.level, **{f"version of {name}": known[name] for name in ("nfkit", "onnxruntime")}}
    if plan.metric is not None:
        made.fingerprint |= identify(plan.metric)
    wrong, served = Complaints(), set[str]()
    remedies = [parse_remedy(text) for text in plan.remedies]
    for entry in plan.models:
        with wrong.about(entry.label):
            graph = inputs.find_model(entry.file)
            spec = inputs.find_spec(
                graph, input_layout=entry.input_layout, value_range=entry.range, mean=entry.mean, std=entry.std
            )  # fmt: skip
            check_chips(plan.seeds, is_fused(graph))
            made.fingerprint[f"model {entry.label}"] = sha256(entry.file)
            for source in entry.data or plan.data or (None,):
                with wrong.about(f"{entry.label} on {source or 'data beside it'}"):
                    if plan.metric is not None and source is not None:
                        data: Dataset | Targets = targets_of(graph, source, spec, plan)
                        name = source
                    else:
                        taken = _load(plan, entry, graph, source, spec)
                        for sentence in taken.sentences:
                            on_stage(sentence)
                        made.warnings += [w for w in taken.warnings if w not in made.warnings]
                        data, name = taken.test, source or taken.test.name
                    for remedy in remedies:
                        with wrong.about(f"{entry.label}, {remedy.name}"):
                            if _add(made, plan, entry, graph, remedy, data, name, spec):
                                served.add(remedy.name)
    wrong.check("the plan")
    for remedy in remedies:
        wrong.require(remedy.name, remedy.name in served, "none of the models is the base of this file")
    wrong.check("the plan")
    curve = load_curve(plan.curve)
    made.warnings += dict.fromkeys(said for layout in plan.layouts for said in foreign_curve(layout, curve))
    return made


def _load(plan: CampaignPlan, entry: ModelEntry, graph: ir.Model, source: str | None, spec: InputSpec) -> Intake:
    return data_for_measuring(
        graph, entry.file, source, spec, labels=plan.labels, samples=plan.samples, level=plan.level  # type: ignore[arg-type]
    )  # fmt: skip


def _add(
    made: Prepared, plan: CampaignPlan, entry: ModelEntry, graph: ir.Model, remedy: Remedy, data: Dataset | Targets,
    source: str, spec: InputSpec,
) -> bool:  # fmt: skip
    """Adds the cells of a model, a data set and a remedy; False where the remedy is a file for another base."""
    try:
        runs = remedy.graph(graph)
    except ModelError:
        if len(plan.models) == 1:
            raise
        return False  # one of the other models is its base, or the plan is refused
    name = f"{entry.label} on {source}" if runs is graph else f"{entry.label} on {source} with {remedy.name}"
    if name not in made.kit.subjects:
        form = spec if runs is graph else inputs.find_spec(runs)
        runner = Runner(runs, level=made.kit.level, samples=len(data))
        if isinstance(data, Targets):
            subject = judged(Subject(runs, data, form, np.zeros(0), plan.metric), runner, name)
            made.kit.subjects[name], clean, labels = subject, subject.clean, "targets"
        else:
            answers = Answers.of(runner(form.encode(data.x)), data.y)
            made.kit.subjects[name] = Subject(runs, data, form, answers.classes)
            clean, labels = answers.correct, data.labels
        made.clean[name] = len(data), clean
        made.fingerprint[f"input of {name}"] = str(form)
        made.fingerprint[f"data {source} of {entry.label}"] = f"{len(data)} samples {data.sha256[:12]} {labels}"
        if runs is not graph:
            made.fingerprint[f"file of {remedy.name}"] = sha256(runs)
    for cell, job in _cells(plan, entry, runs, remedy, source, name):
        made.cells[cell.key] = cell, name
        made.kit.jobs[cell.key] = job
    return True


def _cells(
    plan: CampaignPlan, entry: ModelEntry, graph: ir.Model, remedy: Remedy, source: str, subject: str
) -> Iterator[tuple[Cell, Job]]:
    sites = fault_sites(graph)
    for text in plan.kinds:
        for storage in plan.storage:
            kind, share = parse_kind(text)
            errors = BitErrors(0.0, kind, share, storage=storage)
            left = remedy.errors(errors)
            left.check_sites([site.name for site in sites])
            for layout in map(parse_layout, plan.layouts):
                for rate, volts in _strengths(plan, graph, left):
                    at = remedy.errors(errors.at(rate))
                    # One memory tells whether layout, kind and rate go together, before hours of others.
                    Chip(plan.first_chip, layout).faults(min(sites, key=lambda site: site.count), at)
                    named = str(layout)
                    cell = Cell(entry.label, source, remedy.name, kind, share, named, storage, rate, volts)
                    yield cell, Job(subject, at, layout)


def _strengths(plan: CampaignPlan, graph: ir.Model, errors: BitErrors) -> Iterator[tuple[float, float | None]]:
    """Rates, each with the voltage that it stands for where the plan gives voltages."""
    if not plan.voltages:
        yield from ((rate, None) for rate in plan.rates)
        return
    scale = inputs.scale_of(graph, errors, plan.curve, extrapolate=plan.extrapolate)
    yield from ((scale.at_volts(volts).rate, volts) for volts in plan.voltages)


def _read(plan: PlanLike) -> CampaignPlan:
    if isinstance(plan, CampaignPlan):
        check_loaded(plan)
        return plan
    if isinstance(plan, Mapping):
        return check_plan(plan)
    return read_plan(inputs.as_path(plan, "a plan"))


def describe_run(engine: Engine) -> Run:
    """Who measures, from now on."""
    begun = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Run(begun, f"{platform.node()} {platform.machine()}", engine.name, versions())


def initial_plan(model: str | os.PathLike[str], data: str | None = None) -> str:
    """A plan to begin with, as TOML.

    Args:
        model: The model's file.
        data: Its data; looked for beside the model by default.

    Raises:
        NfkitError: When the file is no model with weights that errors can hit.
    """
    fault_sites(inputs.find_model(model))
    line = '# data = ["test.npz"]               # else looked for beside the model'
    if data is not None:
        line = f"data = [{json.dumps(data)}]"
    return TEMPLATE.format(name="PLAN.toml", model=json.dumps(os.fspath(model)), data=line)
