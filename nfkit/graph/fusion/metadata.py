"""What a fused file says about itself, read as it was written, or refused in a sentence.

Any tool between nfkit and the device may have dropped or changed metadata. What is read here is compared with the graph
that it describes before anything relies on it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import msgspec
import numpy as np
import onnx_ir as ir

from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.fused import (
    ANSWER_KEY,
    ANSWER_PREFIX,
    BASE_DIGEST_KEY,
    BASE_HEADER_KEY,
    INPUT_KEY,
    MODE,
    MODE_PREFIX,
    RESULTS_KEY,
    THRESHOLD,
    has_answer,
    has_modes,
)
from nfkit.graph.fusion.trust import BASE_ALONE, Trust
from nfkit.graph.input.spec import LAYOUTS, InputSpec

_T = TypeVar("_T")
_REMEDY = "it was changed after nfkit wrote the file; take the original, or protect the base again"


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """What fusing changes outside the graph, and splitting restores.

    Attributes:
        ir_version: IR version of the base.
        opset_imports: Its operator sets.
    """

    ir_version: int
    opset_imports: dict[str, int]


class _Mean(msgspec.Struct):
    mean: float


class _Stated(msgspec.Struct):
    """What one entry of the results says that is read again."""

    ber: float
    recovery: _Mean | None = None


def read_header(fused: ir.Model) -> Header:
    """The base's header.

    Raises:
        ModelError: When the file does not say, or says what cannot be.
    """
    header = _read(fused, BASE_HEADER_KEY, Header)
    if header.ir_version < 1 or any(version < 1 for version in header.opset_imports.values()):
        raise _damaged(BASE_HEADER_KEY, "versions count from 1")
    return header


def read_digest(fused: ir.Model) -> str:
    """Digest of the base's graph.

    Raises:
        ModelError: When it is none.
    """
    digest = _text(fused, BASE_DIGEST_KEY)
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise _damaged(BASE_DIGEST_KEY, f"{digest[:80]!r} is no SHA-256 digest")
    return digest


def read_input(fused: ir.Model) -> InputSpec:
    """The input of the file, which is that of its base.

    Raises:
        ModelError: When the file does not say, says what cannot be, or speaks of another graph.
    """
    spec = _read(fused, INPUT_KEY, InputSpec)
    value = next((v for v in fused.graph.inputs if v.name == spec.name), None)
    if value is None:
        raise _damaged(INPUT_KEY, f"the graph has no input '{spec.name}'")
    if spec.layout not in LAYOUTS or len(spec.layout) != len(spec.shape) + 1 or min(spec.shape, default=0) < 1:
        raise _damaged(INPUT_KEY, f"{spec.layout} is no layout of {list(spec.shape)}")
    extents = [] if value.shape is None else [d if isinstance(d, int) and d >= 0 else None for d in value.shape]
    if len(extents) != len(spec.layout) or any(
        known not in (None, said) for known, said in zip(extents[1:], spec.shape, strict=False)
    ):
        raise _damaged(INPUT_KEY, f"the graph's input has another shape than {list(spec.shape)}")
    if extents[0] is not None and spec.batch != extents[0]:
        raise _damaged(INPUT_KEY, f"the graph's input has another batch than {spec.batch}")
    if value.dtype is None or spec.dtype != str(np.dtype(value.dtype.numpy())):
        raise _damaged(INPUT_KEY, f"the graph's input is not of type {spec.dtype[:80]}")
    _check_range(spec)
    return spec


def read_answer(fused: ir.Model) -> Answer | None:
    """How base and evidence answer together, with the numbers that the graph holds; None where the base answers.

    Raises:
        ModelError: When the record is damaged, or the graph lacks one of the numbers.
    """
    if not has_answer(fused):
        return None
    try:
        answer = _read(fused, ANSWER_KEY, Answer)
        if has_modes(fused) and not _mode(fused):
            return replace(answer, trust=BASE_ALONE, threshold=None)
        numbers = {name: _number(fused, name) for name in answer.trust.to_dict()}
        threshold = None if answer.threshold is None else _number(fused, THRESHOLD)
        return replace(answer, trust=Trust(**numbers), threshold=threshold)
    except OptionError as error:
        raise _damaged(ANSWER_KEY, str(error)) from error


def _mode(fused: ir.Model) -> int:
    chosen = fused.graph.initializers[MODE].const_value
    assert chosen is not None, "has_modes looked"
    return int(chosen.numpy().reshape(()))


def _number(fused: ir.Model, name: str) -> float:
    value = fused.graph.initializers.get(ANSWER_PREFIX + name)
    table = fused.graph.initializers.get(f"{MODE_PREFIX}table/{name}")
    if value is None and table is not None and table.const_value is not None and has_modes(fused):
        rows = table.const_value.numpy().ravel()
        if 0 <= _mode(fused) < len(rows):
            return float(rows[_mode(fused)])
    if value is None or value.const_value is None or value.const_value.size != 1:
        raise _damaged(ANSWER_KEY, f"the graph holds no number '{ANSWER_PREFIX}{name}'")
    return float(value.const_value.numpy().reshape(()))


def read_recoveries(fused: ir.Model) -> dict[float, float]:
    """Recovered accuracy, as a share, by bit error rate, as far as the file states it.

    Raises:
        ModelError: When the record is damaged.
    """
    if RESULTS_KEY not in fused.metadata_props:
        return {}
    stated = _read(fused, RESULTS_KEY, list[_Stated])
    return {entry.ber: entry.recovery.mean for entry in stated if entry.recovery is not None}


def _check_range(spec: InputSpec) -> None:
    if spec.low is None or spec.high is None:
        if spec.low is not spec.high:
            raise _damaged(INPUT_KEY, "a range has two ends")
        return
    ends = [*spec.low, *spec.high]
    if len(spec.low) != len(spec.high) or len(spec.low) not in (1, spec.image_shape[0]):
        raise _damaged(INPUT_KEY, f"a range has one number, or one for each of {spec.image_shape[0]} channels")
    if not all(map(math.isfinite, ends)) or any(a >= b for a, b in zip(spec.low, spec.high, strict=True)):
        raise _damaged(INPUT_KEY, f"{list(spec.low)} to {list(spec.high)} is no range")


def _read(fused: ir.Model, key: str, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(_text(fused, key), type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # ValueError: no UTF-8
        raise _damaged(key, str(error)) from error


def _text(fused: ir.Model, key: str) -> str:
    if key not in fused.metadata_props:
        raise ModelError(f"the file is a protected one that lacks its metadata '{key}': {_REMEDY}")
    return fused.metadata_props[key]


def _damaged(key: str, why: str) -> ModelError:
    return ModelError(f"metadata '{key}' of the protected file is damaged ({why}): {_REMEDY}")
