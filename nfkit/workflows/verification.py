"""`nfkit.verify`: whether a protected file is what it says, for whoever receives it."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.deploy.contents import check_contents
from nfkit.deploy.figures import check_figures, read_stated, remeasure
from nfkit.deploy.parts import Given, check_parts, check_record, check_source
from nfkit.deploy.signing import check_signature
from nfkit.deploy.targets.changes import TARGET_KEY
from nfkit.errors import ModelError, NfkitError, OptionError
from nfkit.faults import EVALUATION_CHIPS
from nfkit.graph.fusion.fused import PREFIX
from nfkit.model import describe, load, sha256
from nfkit.outputs import PathLike
from nfkit.progress import Counter, OnProgress, silent
from nfkit.remedies.surrogates import DISTILLED_KEY
from nfkit.reports import reading
from nfkit.reports.protection import Protection
from nfkit.reports.provenance import versions
from nfkit.reports.verification import Check, Remeasured, Verification
from nfkit.rim.failures import model_errors
from nfkit.workflows import inputs
from nfkit.workflows.evaluation import describe_row
from nfkit.workflows.inputs import DataLike
from nfkit.workflows.intake import data_for_measuring

DEFAULT_CHIPS = 5
"""Chips that figures are measured again on."""


def verify(
    file: PathLike,
    *,
    base: PathLike | None = None,
    record: PathLike | Protection | None = None,
    public_key: PathLike | None = None,
    signature: PathLike | None = None,
    data: DataLike | None = None,
    chips: int = DEFAULT_CHIPS,
    samples: int | None = None,
    level: Level = "all",
    on_progress: OnProgress = silent,
) -> Verification:
    """Proves what can be proven of a protected file, a front, or one of two files with early answers.

        nfkit.verify("model.nf.onnx", base="model.onnx").outcome

    Args:
        file: The file.
        base: The base's own file: the base inside must be this one, node by node and tensor by tensor.
        record: The record of the protection, or its file: base, generator, answer and figures must be its own.
        public_key: Public key in PEM form by which the file must be signed; see `nfkit.deploy.signing`.
        signature: Where the signature lies; `FILE.sig` by default.
        data: Samples to measure the recorded figures on again; what `nfkit.evaluate` takes. None leaves that out.
        chips: How many chips that takes.
        samples: Use only the first samples.
        level: Optimisation level of ONNX Runtime.
        on_progress: Told how far the measurement is.

    Returns:
        One entry a check. A file that contradicts itself is no error: `outcome` says so.

    Raises:
        NfkitError: When there is no such file, it was not made by nfkit, or base, record or data cannot be read.
    """
    path = Path(file)
    frozen = None if base is None else Given(describe(base), load(base), sha256(base))
    kept = _read_record(record)
    if not path.is_file():
        raise ModelError(f"no file at '{path}': give the path of a protected model (*.nf.onnx)")
    digest, checks = sha256(path), list[Check]()
    try:
        if public_key is not None:
            checks.append(check_signature(path, public_key, signature))
        model = load(path)
    except ModelError as error:
        return _verification(path, digest, [*checks, Check("file", "wrong", str(error))])
    proto = onnx.load(path, load_external_data=False)
    _refuse_foreign(model, path)
    checks = [*checks, Check("file", "proven", f"a valid model of {path.stat().st_size:,} bytes")]
    try:
        with model_errors("it cannot be looked through", "it was changed after nfkit wrote it; take the original"):
            checks += [*check_contents(proto, model, path), *check_parts(model, frozen)]
    except NfkitError as error:
        return _verification(path, digest, [*checks, Check("file", "wrong", str(error))])
    # Of another model it says nothing whether its file is the same.
    if frozen is not None and not any(check.name == "base" and check.outcome == "wrong" for check in checks):
        checks.append(check_source(model, frozen))
    if kept is not None:
        checks.append(check_record(model, kept, os.fspath(path)))
    figures: tuple[Remeasured, ...] = ()
    if data is not None:
        check, figures = _measure(model, path, data, chips, samples, level, on_progress)
        checks.append(check)
    return _verification(path, digest, checks, figures)


def _verification(path: Path, digest: str, checks: list[Check], figures: tuple[Remeasured, ...] = ()) -> Verification:
    return Verification(path=str(path), sha256=digest, checks=tuple(checks), figures=figures, versions=versions())


def _read_record(record: PathLike | Protection | None) -> Protection | None:
    if record is None or isinstance(record, Protection):
        return record
    return reading.read_as(Path(record), Protection)


def _refuse_foreign(model: ir.Model, path: Path) -> None:
    if TARGET_KEY in model.metadata_props:
        raise ModelError(
            f"'{path}' was made for a runtime by nfkit export, which changes a file and gives it no seal: verify the "
            "one that it was made from"
        )
    if DISTILLED_KEY in model.metadata_props:
        raise ModelError(f"'{path}' is a surrogate, by which a generator was trained: verify the protected file")
    names = [value.name for node in model.graph for value in node.outputs]
    ours = any(str(name).startswith(PREFIX) for name in (*names, *model.graph.initializers))
    if not ours and not any(key.startswith("nfkit.") for key in model.metadata_props):
        raise ModelError(f"'{path}' was not made by nfkit, so there is nothing to verify: give a protected file")


def _measure(
    model: ir.Model,
    path: Path,
    source: DataLike,
    chips: int,
    samples: int | None,
    level: Level,
    on_progress: OnProgress,
) -> tuple[Check, tuple[Remeasured, ...]]:
    """The recorded figures on some chips; a file that cannot be measured is not as it should be."""
    if chips < 1:
        raise OptionError(f"--chips {chips}: give a whole number from 1 on")
    try:
        stated = read_stated(model)
        spec = inputs.find_spec(model)
    except ModelError as error:
        return Check("figures", "open", str(error)), ()
    seeds = EVALUATION_CHIPS[:chips]
    counter = Counter("measuring recorded figures", len(stated) * len(seeds), on_progress)
    try:
        taken = data_for_measuring(model, path, source, spec, samples=samples, level=level)
        figures = remeasure(
            model, taken.test, spec, seeds, level=level, on_row=lambda row: counter(describe_row(row))
        )  # fmt: skip
    except ModelError as error:
        return Check("figures", "wrong", f"cannot be measured: {error}"), ()
    return check_figures(model, taken.test, figures, len(seeds)), figures
