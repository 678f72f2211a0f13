"""Base, generator and answer of a file against what they should be.

What they should be is said by the seal that nfkit wrote into the file, by the base's own file, and by the record of the
protection. The seal tells every later change of what the file means; the other two, which do not come with the file,
tell a file that was sealed anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import onnx_ir as ir

from nfkit.errors import NfkitError
from nfkit.graph.fusion.fused import ANSWER_KEY, BASE_SOURCE_KEY, INPUT_KEY
from nfkit.graph.fusion.metadata import read_answer, read_input
from nfkit.graph.fusion.modes.record import mode_of, read_modes
from nfkit.graph.fusion.seal import Seal, base_identity, counts_for_base, read_seal, seal_of
from nfkit.graph.fusion.split import split
from nfkit.graph.identity import identify
from nfkit.model import sha256
from nfkit.reports.protection import Protection
from nfkit.reports.verification import Check

_PARTS = {
    "generator": "the generator",
    "answer": "the answer stage",
    "interface": "inputs, outputs and operator sets",
    "metadata": "what the file says of itself",
    "whole": "nothing was added or left out",
}
_MOST = 3  # items in a finding


@dataclass(frozen=True)
class Given:
    """A base's own file.

    Attributes:
        name: What messages call it.
        model: What it holds.
        sha256: Digest of its bytes.
    """

    name: str
    model: ir.Model
    sha256: str


def check_parts(model: ir.Model, base: Given | None) -> list[Check]:
    """Compares the parts of a file with its seal and with the base's own file.

    Args:
        model: The file.
        base: What its base should be; None where the seal says that.
    """
    try:
        stated, found = read_seal(model), seal_of(model)
    except NfkitError as error:
        return [Check("seal", "wrong", str(error))]
    checks = [_base(model, stated, found, base)]
    for part, what in _PARTS.items():
        was, is_ = (None if seal is None else getattr(seal, part) for seal in (stated, found))
        if stated is None:
            if is_ is not None:
                checks.append(Check(part, "open", "the file bears no seal, so nothing says what it was"))
        elif was != is_:
            how = "differs from what was sealed" if was and is_ else "is missing" if was else "was not there"
            checks.append(Check(part, "wrong", f"{what} {how}" if part != "whole" else "something else was changed"))
        elif is_ is not None:
            checks.append(Check(part, "proven", f"{what}{'' if part == 'whole' else ' as sealed'} ({is_[:16]})"))
    return [*checks, _consistent(model)]


def _base(model: ir.Model, stated: Seal | None, found: Seal, base: Given | None) -> Check:
    if found.base is None:
        if stated is not None and stated.base is not None:
            return Check("base", "wrong", "the file holds none any more")
        return Check("base", "proven" if base is None else "open", "the file holds none")
    inside = base_identity(model)
    counted = f"{sum(item.startswith('node') for item in inside.items)} nodes, "
    counted += f"{sum(item.startswith('tensor') for item in inside.items)} tensors"
    if base is not None:
        differing = identify(base.model, counts_for_base).differences(inside)
        if differing:
            more = f" and {len(differing) - _MOST} more" if len(differing) > _MOST else ""
            return Check("base", "wrong", f"is not {base.name}: {'; '.join(differing[:_MOST])}{more}")
    if stated is not None and stated.base != found.base:
        return Check("base", "wrong", "differs from what was sealed; --base says where")
    if base is not None:
        return Check("base", "proven", f"is {base.name}, {counted} ({found.base[:16]})")
    if stated is not None:
        return Check("base", "proven", f"{counted}, as sealed ({found.base[:16]})")
    try:
        split(model)
    except NfkitError as error:
        return Check("base", "wrong", f"{error}; if another tool wrote it anew, --base tells whether it is the same")
    return Check("base", "proven", f"{counted}, as they were fused")


def _consistent(model: ir.Model) -> Check:
    """What the metadata say of input and answer, against the graph."""
    try:
        if INPUT_KEY in model.metadata_props:
            read_input(model)
        answer, modes = read_answer(model), read_modes(model)
    except NfkitError as error:
        return Check("settings", "wrong", str(error))
    if modes:
        names = ", ".join(mode.name for mode in modes)
        told = f"input and modes are as stated ({names}); without a host's choice it is in '{mode_of(model).name}'"
        return Check("settings", "proven", told)
    if answer is None:
        return Check("settings", "proven", "the input is as stated; the base answers")
    said = msgspec.json.decode(model.metadata_props[ANSWER_KEY])
    held = msgspec.json.decode(msgspec.json.encode(answer.to_dict()))
    off = [
        name
        for name, number in {**held["trust"], "threshold": held.get("threshold")}.items()
        if not _same(number, said.get("threshold") if name == "threshold" else said["trust"].get(name))
    ]
    if off:
        return Check("settings", "wrong", f"{', '.join(off)} of the graph are not those that the metadata state")
    numbers = ", ".join(f"{name} {number:.3g}" for name, number in held["trust"].items())
    early = f", threshold {held['threshold']:.3g}" if held.get("threshold") is not None else ""
    return Check("settings", "proven", f"input, trust and threshold are as stated ({numbers}{early})")


def _same(held: float | None, said: float | None) -> bool:
    if held is None or said is None:
        return held is said
    return abs(held - said) <= 1e-6 * max(abs(held), abs(said))  # the graph holds float32


def check_source(model: ir.Model, base: Given) -> Check:
    """Whether a base's file is the very file that was protected."""
    stated = model.metadata_props.get(BASE_SOURCE_KEY)
    if stated is None:
        return Check("base file", "proven", "the file does not state its digest; the graph is what counts")
    same = "is the one that was protected, byte for byte" if stated == base.sha256 else "was written anew since"
    return Check("base file", "proven", f"{base.name} {same}")


def check_record(model: ir.Model, record: Protection, path: str) -> Check:
    """Whether a file is what a record of a protection speaks of."""
    stated = record.seal
    if not stated:
        same = record.evaluation.model.sha256 == sha256(path)
        finding = "the file is the one that was measured, byte for byte" if same else "the record has no seal"
        return Check("record", "proven" if same else "open", finding)
    found = msgspec.to_builtins(seal_of(model))
    off = [part for part in stated if stated[part] != found.get(part)]
    if off:
        return Check("record", "wrong", f"of another file: {', '.join(off)}")
    return Check("record", "proven", f"base, generator, answer and figures are those of {record.output}")
