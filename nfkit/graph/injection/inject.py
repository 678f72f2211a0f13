"""Puts the bit errors of one chip into a model's quantised initializers, and takes them out again.

Three forms, bit-identical in ONNX Runtime but for two exceptions of its own (docs/forms.md):

* `node`: w -> nfkit.StuckAt(w, and_mask, or_mask), with the masks as constants. For reading and replaying.
* `input`: the same, with the masks as initializers that can be overridden at run time and are fault-free by
  default: one file, any chip (`chip_inputs`).
* `baked`: the flipped codes themselves. For runtimes without functions, and for types without bitwise operators
  (int4 and its like).

Where codes are held in other words than the file stores (`nfkit.faults.codes`), masks hit those words, and a fault
node translates to and fro; what an error correction returns can be baked alone.

A weight may live in the main graph, in a body or in a function (see `nfkit.graph.memory.storage`); its fault node
stands beside it. Functions see no inputs of the model, so that mode `input` cannot reach into them.

Each form records what was done in the model's metadata, so that `RemoveFaults` restores the model bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import ModelError, UnsupportedError
from nfkit.faults import BitErrors, Chip, SiteFaults
from nfkit.graph.injection.faultnode import DOMAIN as DOMAIN
from nfkit.graph.injection.faultnode import MIN_OPSET as MIN_OPSET
from nfkit.graph.injection.faultnode import check_reach, insert, take_out
from nfkit.graph.injection.functions import check_tables, fault_attributes, fault_functions
from nfkit.graph.injection.record import (
    FAULTS_KEY,
    ORIGINAL_KEY,
    UNDO_KEY,
    damaged,
    holds_faults,
    pack,
    read_undo,
    refuse_faults,
    unpack,
)
from nfkit.graph.memory.original import outline
from nfkit.graph.memory.sites import WeightSite, codes
from nfkit.graph.memory.storage import Stored, find_stored
from nfkit.model import check_loaded
from nfkit.rim.failures import model_errors

Mode = Literal["node", "input", "baked"]
MODES = get_args(Mode)


class InjectFaults(ir.passes.InPlacePass):
    """Gives a model the bit errors of one chip.

    Args:
        sites: The weight sites to fault.
        chip: The chip that holds them.
        errors: Rate and kind.
        mode: `node`, `input` or `baked`.

    Raises:
        ModelError: When the model already holds faults.
        UnsupportedError: When the mode needs operators that the model's opset lacks.
    """

    def __init__(self, sites: list[WeightSite], chip: Chip, errors: BitErrors, mode: Mode = "node") -> None:
        super().__init__()
        self.sites, self.chip, self.errors, self.mode = sites, chip, errors, mode

    def requires(self, model: ir.Model) -> None:
        """The model is fault-free, and its opset has the operators that the mode needs."""
        refuse_faults(model)
        opset = model.opset_imports.get("", 0)
        if self.mode != "baked" and opset < MIN_OPSET:
            raise UnsupportedError(
                f"mode '{self.mode}' needs the bitwise operators of opset {MIN_OPSET}, the model has opset {opset}: "
                "use --mode baked, or lift the model with onnx.version_converter"
            )
        if self.mode != "baked" and self.errors.correction is not None:
            raise UnsupportedError(
                f"mode '{self.mode}' injects bit by bit, and what an error correction returns depends on whole words "
                f"(--ecc {self.errors.ecc}): use --mode baked"
            )
        for site, entry in zip(self.sites, find_stored(model, [site.name for site in self.sites]), strict=True):
            if self.mode != "baked":
                check_reach(entry, self.mode)
                check_tables(self.errors, site)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrites the model in place."""
        undo = {}
        functions = fault_functions(self.errors, max(MIN_OPSET, model.opset_imports.get("", 0)))
        entries = find_stored(model, [site.name for site in self.sites])
        for site, entry in zip(self.sites, entries, strict=True):
            faults = self.chip.faults(site, self.errors)
            if self.mode == "baked":
                undo[site.name] = _bake(entry, faults)
                continue
            insert(
                model,
                entry,
                functions[0].name,
                self._masks(site, faults, entry.array()),
                fault_attributes(self.errors, site),
                prefix=mask_name(site, ""),
                overridable=self.mode == "input",
            )
        if self.mode != "baked" and self.sites:
            model.opset_imports[DOMAIN] = 1
            model.functions.update({function.identifier(): function for function in functions})
        record = {
            "mode": self.mode,
            "chip": self.chip.seed,
            "layout": str(self.chip.layout),
            "rate": self.errors.rate,
            **self.errors.to_dict(),
        }
        model.metadata_props[FAULTS_KEY] = json.dumps(record, sort_keys=True)
        if undo:
            model.metadata_props[UNDO_KEY] = json.dumps(undo, sort_keys=True)
        return ir.passes.PassResult(model, modified=bool(self.sites))

    def _masks(self, site: WeightSite, faults: SiteFaults, stored: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        if self.mode == "input":  # fault-free until a chip's masks are fed
            faults = SiteFaults(site.bits, faults.setting[:0], faults.clearing[:0])
        return mask_operands(self.errors, faults, stored)


class RemoveFaults(ir.passes.InPlacePass):
    """Takes injected faults out of a model: the inverse of `InjectFaults`, bit for bit."""

    def requires(self, model: ir.Model) -> None:
        """The model holds faults that nfkit injected."""
        if not holds_faults(model):
            raise ModelError("the model holds no injected faults: there is nothing to remove")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrites the model in place."""
        undo = read_undo(model)
        for entry, packed in zip(find_stored(model, list(undo)), undo.values(), strict=True):
            stored = entry.array()
            if not entry.dtype.is_integer():
                raise damaged(f"'{entry.name}' holds no integers")
            flips = np.frombuffer(unpack(packed, stored.nbytes), _word(stored)).reshape(stored.shape)
            entry.store((stored.view(_word(stored)) ^ flips).view(stored.dtype))
        with model_errors("the fault nodes cannot be taken out", "the file was changed since; take the original model"):
            take_out(model)
        model.metadata_props.pop(UNDO_KEY, None)
        model.metadata_props.pop(ORIGINAL_KEY, None)
        del model.metadata_props[FAULTS_KEY]
        return ir.passes.PassResult(model, modified=True)


def inject(model: ir.Model, sites: list[WeightSite], chip: Chip, errors: BitErrors, mode: Mode = "node") -> ir.Model:
    """A copy of the model that holds the bit errors of a chip; see `InjectFaults`.

    Examples:
        >>> import nfkit
        >>> from nfkit.models import zoo
        >>> model = nfkit.load_model(zoo.path("resnet8-fashion-mnist"))
        >>> sites = [site for site in nfkit.find_sites(model) if site.role == "weight"]
        >>> faulty = nfkit.inject(model, sites, nfkit.Chip(7), nfkit.BitErrors(0.01))
        >>> sum(node.domain.startswith("nfkit") for node in faulty.graph)
        10
        >>> len(list(nfkit.remove(faulty).graph)) == len(list(model.graph))
        True
    """
    faulty = _run(InjectFaults(sites, chip, errors, mode), model)
    if (original := outline(model)) is not None:
        faulty.metadata_props[ORIGINAL_KEY] = original
    return faulty


def remove(model: ir.Model) -> ir.Model:
    """A copy of the model without injected faults; see `RemoveFaults`."""
    return _run(RemoveFaults(), model)


def with_codes(model: ir.Model, stored: Mapping[str, npt.NDArray[Any]]) -> ir.Model:
    """A copy of the model whose sites of the given names store other codes, of the same type and shape."""
    copy = model.clone()
    for entry, array in zip(find_stored(copy, list(stored)), stored.values(), strict=True):
        entry.store(array)
    return copy


def count_faults(model: ir.Model, sites: list[WeightSite], chip: Chip, errors: BitErrors) -> tuple[int, int]:
    """Number of faulty cells of a chip, and of the stored bits that they flip."""
    cells = bits = 0
    for site in sites:
        faults = chip.faults(site, errors)
        cells += faults.faulty_cells()
        bits += faults.read(codes(model, site)).flipped
    return cells, bits


def count_inexact(model: ir.Model, sites: list[WeightSite], errors: BitErrors) -> int:
    """Number of codes for which the storage code has no word, so that even a chip without errors changes them."""
    return sum(errors.storage_code.inexact(codes(model, site), site.bits) for site in sites)


def chip_inputs(model: ir.Model, sites: list[WeightSite], chip: Chip, errors: BitErrors) -> dict[str, npt.NDArray[Any]]:
    """What to feed to a model injected in mode `input`, besides its own input, to run it on a chip.

    Args:
        model: The injected model, or the one it was made from.
        sites: The sites it was injected at.
        chip: Any chip.
        errors: Any rate, of the kind that was injected.

    Returns:
        Mask arrays by input name.
    """
    feeds = {}
    for site in sites:
        operands = mask_operands(errors, chip.faults(site, errors), codes(model, site))
        feeds.update({mask_name(site, suffix): mask for suffix, mask in operands.items()})
    return feeds


def mask_name(site: WeightSite, suffix: str) -> str:
    """Name of a value that injection adds for a site."""
    return f"{site.name}.nfkit.{suffix}"


def mask_operands(errors: BitErrors, faults: SiteFaults, stored: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Mask operands of the fault function of some errors, by suffix, in the function's order."""
    return errors.fault_kind.operands(*faults.masks(stored.shape, stored.dtype))


def _bake(entry: Stored, faults: SiteFaults) -> str:
    """Overwrites the codes; returns the flipped bits, packed, to undo it."""
    stored = entry.array()
    read = faults.apply(stored)
    entry.store(read)
    flips = stored.view(_word(stored)) ^ read.view(_word(stored))
    return pack(np.ascontiguousarray(flips).tobytes())


def _word(array: npt.NDArray[Any]) -> np.dtype[Any]:
    return np.dtype(f"uint{array.dtype.itemsize * 8}")


def _run(change: ir.passes.InPlacePass, model: ir.Model) -> ir.Model:
    """Applies a pass to a copy; what it refuses is refused in its own words, not in those of the pass machinery."""
    check_loaded(model)
    try:
        return ir.passes.functionalize(change)(model).model
    except ir.passes.PreconditionError as error:
        if isinstance(error.__cause__, ModelError):
            raise error.__cause__ from None
        raise
