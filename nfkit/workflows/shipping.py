"""`nfkit.check` and `nfkit.export`: where a model runs, and files for a runtime, run there before they are shipped."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.ort_format import convert
from nfkit.data import Dataset
from nfkit.data.found import look_for_data
from nfkit.deploy.targets import runtimes
from nfkit.deploy.targets.changes import adapt
from nfkit.deploy.targets.findings import findings
from nfkit.deploy.targets.known import TARGETS, find_target
from nfkit.deploy.targets.target import Target
from nfkit.errors import ModelError, NfkitError, OptionError
from nfkit.graph.fusion.two_files import SURE
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.scales import refuse_scales
from nfkit.graph.memory.survey import Survey
from nfkit.model import ModelLike, to_bytes
from nfkit.outputs import write_atomically
from nfkit.reports.provenance import Provenance
from nfkit.reports.shipping import Check, Checked, Export, Parity
from nfkit.workflows import inputs
from nfkit.workflows.inputs import DataLike

DEFAULT_SAMPLES = 200
NO_DATA = "nothing was run, for want of samples: give --data"


def check(
    model: ModelLike,
    targets: Sequence[str] | None = None,
    data: DataLike | None = None,
    *,
    samples: int = DEFAULT_SAMPLES,
    opset: int | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    **about_input: Any,
) -> Check:
    """Holds a model against runtimes: what they do not take, what export would change, and how the result answers.

    Args:
        model: A base or a protected model; never changed.
        targets: Names of `nfkit.deploy.targets.known.TARGETS`; all by default.
        data: Samples to run in each runtime that is installed; by default looked for beside the model, as
            `nfkit.data.found` says. Without any, the table alone is asked.
        samples: How many of the first.
        opset: Version of the standard operators that files shall have.
        on_stage: Called with a sentence about data that was found.
        about_input: What the graph does not say of its input, as `nfkit.evaluate` takes it.

    Raises:
        NfkitError: When model, data or targets make no sense. What a target refuses is in the record.
    """
    graph = _shippable(model)
    wanted = [find_target(name) for name in (TARGETS if targets is None else targets)]
    given = _Given.of(graph, model, data, samples, about_input, on_stage)
    checked = [_check_one(graph, target, given, opset) for target in wanted]
    return Check(checked=tuple(checked), provenance=_provenance(model, graph, given))


def export(
    model: ModelLike,
    target: str,
    output: str | os.PathLike[str],
    data: DataLike | None = None,
    *,
    samples: int = DEFAULT_SAMPLES,
    opset: int | None = None,
    two_files: bool = False,
    on_stage: Callable[[str], None] = lambda stage: None,
    **about_input: Any,
) -> Export:
    """Makes of a model what a runtime takes, writes it, and runs what was written in that runtime.

    Args:
        model: A base or a protected model; never changed.
        target: A name of `nfkit.deploy.targets.known.TARGETS`.
        output: The file to write. Two files get `.front` and `.back` before their suffix; beside a file in ONNX
            Runtime's format lies the list of operators that it needs.
        data: Samples to run; by default looked for beside the model. Without any, nothing is run.
        samples: How many of the first.
        opset: Version of the standard operators; by default the nearest that the runtime takes.
        two_files: Whether early answers shall be two files though the runtime takes If.
        on_stage: Called with a sentence about data that was found.
        about_input: What the graph does not say of its input, as `nfkit.evaluate` takes it.

    Raises:
        UnsupportedError: When the runtime does not take the model, naming the node and a way out.
        NfkitError: When something else does not fit. A file that fails in its runtime is not written.
    """
    graph, known = _shippable(model), find_target(target)
    path = inputs.as_path(output, "the output")
    if path.suffix != known.suffix:
        raise OptionError(f"the output '{path}' is a file for {known.name}: call it {path.with_suffix(known.suffix)}")
    given = _Given.of(graph, model, data, samples, about_input, on_stage)
    parts, found = adapt(graph, known, opset=opset, two_files=two_files)
    contents = {_named(path, part): _content(known, made) for part, made in parts.items()}
    parity, note = _compare(graph, known, parts, given)
    written = []
    for at, files in contents.items():
        written += [str(write_atomically(at.with_name(at.name + more), held)) for more, held in files.items()]
    checked = Checked(known.name, found, parity, note)
    return Export(
        outputs=tuple(written), checked=checked, provenance=_provenance(model, graph, given)
    )  # fmt: skip


@dataclass(frozen=True)
class _Given:
    """Samples to run.

    Attributes:
        data: The samples.
        x: The same as the model takes them.
        spec: The model's input.
    """

    data: Dataset
    x: npt.NDArray[Any]
    spec: InputSpec

    @property
    def batch(self) -> int | None:
        """The batch size that the model insists on, if it does."""
        return self.spec.batch if isinstance(self.spec.batch, int) else None

    @classmethod
    def of(
        cls,
        model: ir.Model,
        origin: ModelLike,
        data: DataLike | None,
        samples: int,
        about_input: dict[str, Any],
        on_stage: Callable[[str], None],
    ) -> _Given | None:
        if samples < 1:
            raise OptionError(f"{samples} samples: give how many to run, from 1 on")
        if data is not None:
            spec = inputs.find_spec(model, **about_input)
            taken = inputs.find_data(data, "test", spec)
        else:
            path, known = inputs.source_path(origin), _input_of(model, about_input)
            found = None if path is None or known is None else look_for_data(path, "test", model, known.image_shape)
            if found is None or known is None:
                return None
            spec, taken = known, found.data
            on_stage(found.sentence)
        taken = taken.take(min(samples, len(taken)))
        return cls(taken, spec.encode(taken.x), spec)


def _input_of(model: ir.Model, about_input: dict[str, Any]) -> InputSpec | None:
    """The model's input; None where it takes no images, so that none can be looked for."""
    try:
        return inputs.find_spec(model, **about_input)
    except NfkitError:
        return None


def _provenance(origin: ModelLike, model: ir.Model, given: _Given | None) -> Provenance | None:
    return None if given is None else Provenance.of(origin, model, given.data)


def _shippable(model: ModelLike) -> ir.Model:
    graph = inputs.find_model(model)
    refuse_faults(graph)
    refuse_scales(Survey(graph))
    return graph


def _check_one(model: ir.Model, target: Target, given: _Given | None, opset: int | None) -> Checked:
    found = findings(model, target, opset)
    if any(finding.refused for finding in found):
        return Checked(target.name, found)
    try:
        parts, found = adapt(model, target, opset=opset)
        parity, note = _compare(model, target, parts, given)
    except ModelError as error:
        return Checked(target.name, found, failure=str(error))
    return Checked(target.name, found, parity, note)


def _compare(
    model: ir.Model, target: Target, parts: dict[str, ir.Model], given: _Given | None
) -> tuple[Parity | None, str]:
    """Runs the files in their runtime, and compares their answers with ONNX Runtime's; or says why not."""
    if given is None:
        return None, NO_DATA
    if (lacks := runtimes.missing(target)) is not None:
        return None, lacks
    here = runtimes.scores_here(target, model, given.x)
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for part, content in parts.items():
            at = files[part] = _named(Path(folder, f"model{target.suffix}"), part)
            at.write_bytes(_content(target, content)[""])
        there = _scores(target, files, parts, given)
    a, b = (scores.reshape(len(scores), -1) for scores in (here, there))
    if a.shape != b.shape:
        raise ModelError(f"{target.name} gives scores {list(b.shape)}, not {list(a.shape)}")
    mine, theirs = a.argmax(1), np.where(np.isnan(b.astype(np.float64)).any(1), -1, b.argmax(1))
    difference = float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
    scored = here.ndim > 1 and a.shape[1] > 1 and a.shape[1] == max(here.shape[1:])  # one score a class
    labels = given.data.y if given.data.labelled and scored else None
    accuracies = (None, None) if labels is None else (float((mine == labels).mean()), float((theirs == labels).mean()))
    name = f"{target.name} {runtimes.installed_version(target)}"
    return Parity(name, len(a), int((mine == theirs).sum()), difference, *accuracies), ""


def _scores(target: Target, files: dict[str, Path], parts: dict[str, ir.Model], given: _Given) -> npt.NDArray[Any]:
    """The first output of a file, or what a front and a back answer together."""
    feeds = {given.spec.name: _whole_batches(given)}
    if "" in files:
        return runtimes.run(target, files[""], feeds, given.batch)[0][: len(given.x)]
    outputs = [str(value.name) for value in parts["front"].graph.outputs]
    front = dict(zip(outputs, runtimes.run(target, files["front"], feeds, given.batch), strict=True))
    answers, sure = front[outputs[0]].copy(), front[SURE].reshape(-1).astype(bool)
    if not sure.all():
        wanted = [str(value.name) for value in parts["back"].graph.inputs]
        open_ones = {name: front.get(name, feeds.get(name)) for name in wanted}
        needs = {name: value[~sure] for name, value in open_ones.items() if value is not None}
        answers[~sure] = runtimes.run(target, files["back"], needs, given.batch)[0]
    return answers[: len(given.x)]


def _whole_batches(given: _Given) -> npt.NDArray[Any]:
    """The samples, with the last one repeated until batches of the size that the model insists on are full."""
    spare = -len(given.x) % (given.batch or 1)
    return np.concatenate([given.x, np.repeat(given.x[-1:], spare, axis=0)]) if spare else given.x


def _content(target: Target, model: ir.Model) -> dict[str, bytes]:
    """A model as bytes, and what lies beside it, by what is added to its name."""
    if target.suffix != ".ort":
        return {"": to_bytes(model)}
    content, needed = convert(model)
    return {"": content, ".required_operators.config": needed}


def _named(path: Path, part: str) -> Path:
    return path.with_suffix(f".{part}{path.suffix}") if part else path
