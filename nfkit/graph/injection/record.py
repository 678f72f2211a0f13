"""What a faulted file says of its faults: read as it was written, or refused in a sentence.

A file of `nfkit inject` is one chip. Whatever measures, protects or changes a model expects the clean one, and would
count its faults twice or mistake them for the base: it calls `refuse_faults` first.
"""

from __future__ import annotations

import base64
import binascii
import zlib

import msgspec
import onnx_ir as ir

from nfkit.errors import ModelError
from nfkit.model import check_loaded

FAULTS_KEY = "nfkit.faults"
UNDO_KEY = "nfkit.faults.undo"
"""Of baked faults: the flipped bits of each tensor, packed."""
ORIGINAL_KEY = "nfkit.faults.original"
"""Outline of the file that was faulted; see `nfkit.graph.memory.original`."""


class _Faults(msgspec.Struct):
    """The part of the record that messages need."""

    chip: int
    mode: str
    rate: float


def holds_faults(model: ir.Model) -> bool:
    """Whether nfkit injected faults into the model."""
    return FAULTS_KEY in model.metadata_props


def refuse_faults(model: ir.Model) -> None:
    """Refuses a model that holds injected faults.

    Raises:
        ModelError: With its chip, and how to take the faults out.
    """
    check_loaded(model)
    if (faults := describe_faults(model)) is not None:
        raise ModelError(
            f"the model holds {faults}, and the clean one is needed: take them out first (nfkit inject --remove)"
        )


def describe_faults(model: ir.Model) -> str | None:
    """Whose faults a model holds, as part of a sentence; None where it holds none."""
    if not holds_faults(model):
        return None
    try:
        faults = msgspec.json.decode(model.metadata_props[FAULTS_KEY], type=_Faults)
    except (msgspec.DecodeError, ValueError, RecursionError):  # ValueError: no UTF-8
        return "injected faults"
    return f"the faults of chip {faults.chip} at {100 * faults.rate:g} % (mode {faults.mode})"


def read_undo(model: ir.Model) -> dict[str, str]:
    """What takes baked faults out again, by tensor; nothing where the faults are nodes.

    Raises:
        ModelError: When the record is damaged.
    """
    try:
        return msgspec.json.decode(model.metadata_props.get(UNDO_KEY, "{}"), type=dict[str, str])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise damaged(str(error)) from error


def unpack(packed: str, size: int) -> bytes:
    """The flipped bits of one tensor of so many bytes.

    Raises:
        ModelError: When the record is damaged.
    """
    try:
        inflate = zlib.decompressobj()
        content = inflate.decompress(base64.b64decode(packed, validate=True), size + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise damaged(str(error)) from error
    if len(content) != size or not inflate.eof:
        raise damaged("it is of another tensor")
    return content


def pack(flips: bytes) -> str:
    """The inverse of `unpack`."""
    return base64.b64encode(zlib.compress(flips, 9)).decode()


def damaged(why: str) -> ModelError:
    """The refusal of a record that was changed."""
    return ModelError(
        f"metadata '{UNDO_KEY}', which takes the faults out, is damaged ({why}): the file was changed after "
        "nfkit inject wrote it; take the original model"
    )
