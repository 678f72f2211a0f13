"""The figures that a file states of itself, measured again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.data.found import DATA_KEY
from nfkit.errors import ModelError, NfkitError
from nfkit.faults import BitErrors, Layout, parse_layout
from nfkit.graph.fusion.fused import RESULTS_KEY
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.bench import Bench
from nfkit.measure.evaluation import measure
from nfkit.reports.figures import Spread
from nfkit.reports.operating_point import Row
from nfkit.reports.verification import Check, Remeasured

TRAINING_KEY = "nfkit.training"
_DAMAGED = "it was changed after nfkit wrote the file"


class _Stated(msgspec.Struct):
    """One entry of the recorded results."""

    ber: float
    base: Spread
    protected: Spread | None = None


def remeasure(
    model: ir.Model,
    data: Dataset,
    spec: InputSpec,
    chips: Sequence[int],
    *,
    level: Level = "all",
    on_row: Callable[[Row], None] = lambda row: None,
) -> tuple[Remeasured, ...]:
    """Measures the recorded figures of a file again.

    Args:
        model: The file.
        data: Labelled samples.
        spec: The file's input.
        chips: Seeds of the chips.
        level: Optimisation level of ONNX Runtime.
        on_row: Called with each chip that is done.

    Returns:
        Two entries a recorded rate: the base, and the protected model.

    Raises:
        ModelError: When the file records no figures, or not under which errors.
        NfkitError: When they cannot be measured.
    """
    stated = read_stated(model)
    kind, layout = read_errors(model)
    bench = Bench(model, data, spec, layout=layout, level=level)
    errors = [kind.at(entry.ber) for entry in stated]
    points = measure(bench, errors, chips, on_row=on_row).points()
    found = []
    for entry, point in zip(stated, points, strict=True):
        found.append(Remeasured(entry.ber, "base", entry.base, point.base))
        if entry.protected is not None and point.protected is not None:
            found.append(Remeasured(entry.ber, "protected", entry.protected, point.protected))
    return tuple(found)


def read_stated(model: ir.Model) -> list[_Stated]:
    """The figures that a file states.

    Raises:
        ModelError: When there are none, or they are damaged.
    """
    text = model.metadata_props.get(RESULTS_KEY)
    if text is None:
        raise ModelError("the file records no figures: it was tuned or moved since they were measured (nfkit evaluate)")
    try:
        return msgspec.json.decode(text, type=list[_Stated])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ModelError(f"metadata '{RESULTS_KEY}' is damaged ({error}): {_DAMAGED}") from error


def read_errors(model: ir.Model) -> tuple[BitErrors, Layout]:
    """The errors that a file was trained for and measured under, and how its chips hold weights.

    Raises:
        ModelError: When it does not say.
    """
    try:
        config = json.loads(model.metadata_props[TRAINING_KEY])["config"]
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config["errors"].items()}
        return BitErrors(**settings), parse_layout(config["layout"])
    except (KeyError, TypeError, ValueError, NfkitError) as error:
        raise ModelError(f"metadata '{TRAINING_KEY}' does not say under which errors figures hold ({error})") from error


def check_figures(model: ir.Model, data: Dataset, figures: tuple[Remeasured, ...], chips: int) -> Check:
    """What the new figures say of the recorded ones."""
    outcomes = {figure.outcome for figure in figures}
    off = [f"{figure.what} at {100 * figure.ber:g} %" for figure in figures if figure.outcome != "proven"]
    measured = f"measured on {chips} chips and {len(data)} samples of {data.name}{_other(model, data)}"
    if "wrong" in outcomes:
        return Check("figures", "wrong", f"{', '.join(off)} outside the recorded interval; {measured}")
    if "open" in outcomes:
        return Check("figures", "open", f"{', '.join(off)} not certain on so few chips: give --chips; {measured}")
    return Check("figures", "proven", f"all {len(figures)} within the recorded intervals; {measured}")


def _other(model: ir.Model, data: Dataset) -> str:
    """Says where the samples are not those of the record."""
    try:
        recorded = json.loads(model.metadata_props[DATA_KEY])["test"]["sha256"]
    except (KeyError, TypeError, ValueError):
        return ", which may be others than those recorded"
    return "" if recorded == data.sha256 else ", which are others than those recorded"
