"""What users give, paths or objects, brought into the form that the rooms work on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
import onnx
import onnx_ir as ir

from nfkit.data import Dataset
from nfkit.data import load as load_data
from nfkit.data.dataset import Split, from_arrays
from nfkit.energy import PLAIN, Curve, MemoryCells, count, count_fused, load_curve, memory_cells
from nfkit.errors import OptionError
from nfkit.faults import EVALUATION_CHIPS, BitErrors, Layout, parse_layout
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.metadata import read_input
from nfkit.graph.fusion.split import split
from nfkit.graph.input.discovery import find_input
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.measure.flips import flips_per_error
from nfkit.model import ModelLike, load
from nfkit.plans.operating_points import Scale, Strength

DataLike = Union[str, "os.PathLike[str]", Dataset, tuple[Any, Any]]
"""What every public function accepts as data: what `--data` takes, a `Dataset`, or arrays (x, y)."""

CurveLike = Union[str, "os.PathLike[str]", Curve]
Numbers = float | Sequence[float]

DEFAULT_RATE = 0.01
DEFAULT_CHIPS = 10


def find_model(model: Any) -> ir.Model:
    """Reads a model.

    Raises:
        OptionError: When it is no path and no model.
        ModelError: When it cannot be read.
    """
    if not isinstance(model, (str, os.PathLike, onnx.ModelProto, ir.Model)):
        raise OptionError(f"a model is given as a path, an onnx.ModelProto or an onnx_ir.Model, not as {_kind(model)}")
    return load(model)


def find_data(data: Any, part: Split, spec: InputSpec) -> Dataset:
    """Loads data.

    Args:
        data: A path or name as for `--data`, a `Dataset`, or arrays (x, y).
        part: Which part to load, where the source has both.
        spec: The input that it is for.

    Raises:
        OptionError: When it is none of these.
        DataError: When it cannot be read.
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, (str, os.PathLike)):
        return load_data(os.fspath(data), part, spec.image_shape)
    if isinstance(data, tuple) and len(data) == 2:
        x, y = (np.asarray(entry) for entry in data)
        return from_arrays("arrays", x, y)
    raise OptionError(
        f"data is given as a path or a name, as a Dataset, or as arrays (x, y), not as {_kind(data)}: "
        "nfkit.Dataset(name, x, y) makes one"
    )


def find_training_data(data: Any, test: Any, seed: int, spec: InputSpec) -> tuple[Dataset, Dataset]:
    """Loads what to train on and what to measure on, which never share a sample.

    Args:
        data: Where the training samples are; see `find_data`.
        test: Where the test samples are; the test part of `data` by default. A source without parts gives a tenth of
            its samples away.
        seed: Seed of that division.
        spec: The input that they are for.

    Raises:
        OptionError: As `find_data`.
        DataError: When there is no such data, or it is unusable.
    """
    train = find_data(data, "train", spec)
    # Read once: what shuffles or augments would come out differently the second time, and share its samples.
    if train.whole and test is None:
        return train.hold_out(0.1, seed)
    found = find_data(data if test is None else test, "test", spec)
    return train.hold_out(0.1, seed) if train.sha256 == found.sha256 else (train, found)


def find_spec(
    model: ir.Model,
    *,
    input_layout: str | None = None,
    value_range: tuple[float, float] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> InputSpec:
    """The model's input: as recorded in a fused file, else from the graph and what the user says of it.

    Raises:
        OptionError: When they do not fit.
        ModelError: When the graph has no such input.
    """
    given = input_layout or value_range or mean or std
    if is_fused(model) and not given:
        return read_input(model)
    return find_input(
        model,
        layout=input_layout,
        value_range=value_range,
        mean=None if mean is None else tuple(mean),
        std=None if std is None else tuple(std),
    )


def scale_of(model: ir.Model, errors: BitErrors, curve: CurveLike, *, extrapolate: bool = False) -> Scale:
    """What bit error rates of the same kind as some errors stand for on a model.

    Args:
        model: A base or a fused model.
        errors: Bit errors, at any rate.
        curve: Voltage curve, by name or path.
        extrapolate: Whether to go on beyond the ends of the curve.

    Raises:
        OptionError: When there is no such curve.
        ModelError: When the model holds no integer weights.
    """
    known = curve if isinstance(curve, Curve) else load_curve(os.fspath(curve))
    # How codes are distributed matters only where errors write one value more often than the other.
    base = split(model)[1] if is_fused(model) and errors.set_share != 0.5 else model
    sites = fault_sites(base) if errors.set_share != 0.5 else []
    return Scale(errors.at(0.0), flips_per_error(base, sites, errors), known, extrapolate, _cells(model, errors))


def _cells(model: ir.Model, errors: BitErrors) -> MemoryCells:
    """Which cells of the base's weight memory follow the voltage."""
    if errors.correction is None and not (errors.protected_top or errors.protected_bits or errors.protected_sites):
        return PLAIN  # and a model whose reads cannot be counted has an energy all the same
    if not is_fused(model):
        return memory_cells(count(model), fault_sites(model), errors)
    return memory_cells(count_fused(model)[0], fault_sites(model), errors)


def find_strengths(scale: Scale, ber: Numbers | None, vdd: Numbers | None) -> tuple[list[Strength], list[str]]:
    """The operating points that a user asks for: by rate, or by voltage; 1 % where neither is given.

    Returns:
        The points, each once, and a sentence for each that was given more than once.

    Raises:
        OptionError: When both are given, or a voltage is beyond the curve.
    """
    if ber is not None and vdd is not None:
        raise OptionError("--ber and --vdd both say how strong the errors are: give one of them")
    name, given = ("vdd", _numbers("vdd", vdd)) if vdd is not None else ("ber", _numbers("ber", ber))
    given = given or [DEFAULT_RATE]
    unique = list(dict.fromkeys(given))
    repeated = [f"{name} {n:g} was given more than once and is measured once" for n in unique if given.count(n) > 1]
    return [scale.at_volts(n) for n in unique] if vdd is not None else scale.at_rates(unique), repeated


def find_chips(chips: int | Sequence[int], first_chip: int = EVALUATION_CHIPS[0]) -> Sequence[int]:
    """Seeds of chips: so many from the first on, or as they are given.

    Raises:
        OptionError: When there are none, or more than there are.
    """
    if isinstance(chips, (bool, str)) or not isinstance(chips, (int, Sequence)):
        raise OptionError(f"chips are given as a number of them, or as their seeds, not as {_kind(chips)}")
    if isinstance(chips, int) and chips > len(EVALUATION_CHIPS):
        raise OptionError(f"{chips:,} chips: there are {len(EVALUATION_CHIPS):,} that nothing is trained or chosen on")
    seeds = range(first_chip, first_chip + chips) if isinstance(chips, int) else chips
    if not len(seeds):
        raise OptionError("nothing to measure: give at least one bit error rate and one chip")
    return seeds


def find_layout(layout: str | Layout | None) -> Layout:
    """How cells hold weights, by name or as it is; `iid` by default."""
    return parse_layout(layout or "iid") if layout is None or isinstance(layout, str) else layout


def source_path(model: ModelLike) -> Path | None:
    """The file that a model is given by; None for one in memory."""
    return Path(model) if isinstance(model, (str, os.PathLike)) else None


def as_path(path: Any, what: str) -> Path:
    """A path that the user gave.

    Raises:
        OptionError: When it is none.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"{what} is given as a path, not as {_kind(path)}")
    return Path(path)


def _numbers(name: str, value: Any) -> list[float]:
    values = [] if value is None else [value] if isinstance(value, (int, float)) else value
    try:
        return [float(entry) for entry in values]
    except (TypeError, ValueError):
        raise OptionError(f"{name} {value!r}: give a number, or a list of numbers") from None


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
