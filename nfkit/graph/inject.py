"""Puts the bit errors of one chip into a model's quantised initializers, and takes them out again.

Three forms, bit-identical in ONNX Runtime:

* `node`: w -> nfkit.StuckAt(w, and_mask, or_mask), with the masks as constants. For reading and replaying.
* `input`: the same, with the masks as initializers that can be overridden at run time and are fault-free by
  default: one file, any chip (`chip_inputs`).
* `baked`: the flipped codes themselves. For runtimes without functions, and for types without bitwise operators
  (int4 and its like).

A weight may live in the main graph, in a body or in a function (see `nfkit.graph.storage`); its fault node stands
beside it. Functions see no inputs of the model, so that mode `input` cannot reach into them.

Each form records what was done in the model's metadata, so that `RemoveFaults` restores the model bit for bit.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import ModelError, UnsupportedError
from nfkit.faults import BitErrors, Chip, SiteFaults, flipped_bits
from nfkit.graph.sites import ROLE_KEY, WeightSite, codes
from nfkit.graph.storage import Stored, bodies, every_node, find_stored, stored_tensors

Mode = Literal["node", "input", "baked"]
MODES = get_args(Mode)

DOMAIN = "nfkit"
MIN_OPSET = 18
"""BitwiseAnd, BitwiseOr and BitwiseXor, which the fault functions need, exist from this opset on."""

FAULTS_KEY = "nfkit.faults"
_UNDO_KEY = "nfkit.faults.undo"


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
        if FAULTS_KEY in model.metadata_props:
            raise ModelError("the model already holds injected faults: remove them first (nfkit inject --remove)")
        opset = model.opset_imports.get("", 0)
        if self.mode != "baked" and opset < MIN_OPSET:
            raise UnsupportedError(
                f"mode '{self.mode}' needs the bitwise operators of opset {MIN_OPSET}, the model has opset {opset}: "
                "use --mode baked, or lift the model with onnx.version_converter"
            )
        if self.mode != "baked":
            stored = stored_tensors(model)
            for site in self.sites:
                self._check(stored[site.name])

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrites the model in place."""
        # Here, not above: what authors the functions takes longer to import than everything else together.
        from nfkit.graph.functions import fault_function

        undo = {}
        function = fault_function(self.errors.kind, max(MIN_OPSET, model.opset_imports.get("", 0)))
        stored = stored_tensors(model)
        for site in self.sites:
            entry, faults = stored[site.name], self.chip.faults(site, self.errors)
            if self.mode == "baked":
                undo[site.name] = _bake(entry, faults)
            else:
                self._insert_node(model, entry, site, faults, function.name)
        if self.mode != "baked" and self.sites:
            model.opset_imports[DOMAIN] = 1
            model.functions[function.identifier()] = function
        record = {
            "mode": self.mode,
            "chip": self.chip.seed,
            "layout": str(self.chip.layout),
            "rate": self.errors.rate,
            **self.errors.to_dict(),
        }
        model.metadata_props[FAULTS_KEY] = json.dumps(record, sort_keys=True)
        if undo:
            model.metadata_props[_UNDO_KEY] = json.dumps(undo, sort_keys=True)
        return ir.passes.PassResult(model, modified=bool(self.sites))

    def _check(self, entry: Stored) -> None:
        """Refuses a tensor that the bitwise operators, or the masks, cannot reach."""
        if entry.dtype.bitwidth < 8:
            raise UnsupportedError(
                f"mode '{self.mode}' needs bitwise operators, which ONNX does not have for {entry.dtype.name.lower()} "
                f"('{entry.name}'): use --mode baked"
            )
        if isinstance(entry.holder, ir.Function):
            if self.mode == "input":
                raise UnsupportedError(
                    f"'{entry.name}' is stored in a function, which sees no inputs of the model: use --mode node or "
                    "baked, or inline the functions first (onnx.inliner)"
                )
            opset = entry.holder.opset_imports.get("", MIN_OPSET)
            if opset < MIN_OPSET:
                raise UnsupportedError(
                    f"mode 'node' needs the bitwise operators of opset {MIN_OPSET}, the function that stores "
                    f"'{entry.name}' has opset {opset}: use --mode baked"
                )

    def _insert_node(self, model: ir.Model, entry: Stored, site: WeightSite, faults: SiteFaults, function: str) -> None:
        weight, graph = entry.value, model.graph
        tensor = entry.tensor
        if self.mode == "input":  # fault-free until a chip's masks are fed
            faults = SiteFaults(site.bits, faults.setting[:0], faults.clearing[:0])
        masks: list[ir.Value] = []
        constants: list[ir.Node] = []
        for suffix, array in mask_operands(self.errors.kind, faults, entry.array()).items():
            name = mask_name(site, suffix)
            if name in graph.initializers:
                raise ModelError(f"the model holds a value named '{name}', which nfkit needs for its masks: rename it")
            content = ir.tensor(array, dtype=tensor.dtype, name=name)
            if isinstance(entry.holder, ir.Function):  # functions have no initializers
                constants.append(ir.node("Constant", [], {"value": content}, metadata_props={ROLE_KEY: "faults"}))
                mask = constants[-1].outputs[0]
                mask.name = name
            else:
                # In the main graph even for a body, which sees it there: only there may a mask be an input.
                mask = ir.Value(
                    name=name, shape=ir.Shape(entry.shape), type=ir.TensorType(tensor.dtype), const_value=content
                )
                graph.register_initializer(mask)
            if self.mode == "input":
                graph.inputs.append(mask)
            masks.append(mask)
        node = ir.Node(
            DOMAIN,
            function,
            [weight, *masks],
            name=mask_name(site, "faults"),
            metadata_props={ROLE_KEY: "faults"},
        )
        faulty = node.outputs[0]
        faulty.name = mask_name(site, "faulty")
        faulty.type, faulty.shape = ir.TensorType(tensor.dtype), ir.Shape(entry.shape)
        # What a body or function returns goes by its place; an output of the model goes by its name, and stays.
        inner = entry.holder is not graph
        readers = [use for use in weight.uses() if use.node is not node]
        for reader, index in readers:
            reader.replace_input_with(index, faulty)
        if inner:
            _return_instead(entry.holder, weight, faulty)
        if entry.node is not None:
            entry.holder.insert_after(entry.node, [*constants, node])
        elif len(entry.holder):
            entry.holder.insert_before(entry.holder[0], node)
        else:  # a body that does nothing but return what it stores
            entry.holder.append(node)
        if isinstance(entry.holder, ir.Function):
            entry.holder.opset_imports[DOMAIN] = 1


class RemoveFaults(ir.passes.InPlacePass):
    """Takes injected faults out of a model: the inverse of `InjectFaults`, bit for bit."""

    def requires(self, model: ir.Model) -> None:
        """The model holds faults that nfkit injected."""
        if FAULTS_KEY not in model.metadata_props:
            raise ModelError("the model holds no injected faults: there is nothing to remove")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrites the model in place."""
        undo = json.loads(model.metadata_props.pop(_UNDO_KEY, "{}"))
        for name, packed in undo.items():
            entry = find_stored(model, name)
            stored = entry.array()
            flips = np.frombuffer(zlib.decompress(base64.b64decode(packed)), _word(stored)).reshape(stored.shape)
            entry.store((stored.view(_word(stored)) ^ flips).view(stored.dtype))
        for holder in _holders(model):
            _take_out(model, holder)
        model.opset_imports.pop(DOMAIN, None)
        del model.metadata_props[FAULTS_KEY]
        return ir.passes.PassResult(model, modified=True)


def _take_out(model: ir.Model, holder: ir.Graph | ir.Function) -> None:
    """Removes the fault nodes that stand in one graph, body or function."""
    ours = [node for node in holder if node.metadata_props.get(ROLE_KEY) == "faults"]
    for node in [n for n in ours if n.domain == DOMAIN]:
        weight, *masks = (v for v in node.inputs if v is not None)
        node.outputs[0].replace_all_uses_with(weight, replace_graph_outputs=True)
        function = (node.domain, node.op_type, node.overload)
        holder.remove(node, safe=True)
        for mask in masks:
            if not mask.is_initializer():
                continue
            if mask in model.graph.inputs:
                model.graph.inputs.remove(mask)
            del model.graph.initializers[str(mask.name)]
        model.functions.pop(function, None)
    for node in [n for n in ours if n.domain != DOMAIN]:
        holder.remove(node, safe=True)
    if ours and isinstance(holder, ir.Function):
        holder.opset_imports.pop(DOMAIN, None)


def _holders(model: ir.Model) -> list[ir.Graph | ir.Function]:
    """The main graph, its bodies and the functions."""
    inner: list[ir.Graph | ir.Function] = [graph for node in every_node(model) for _, graph in bodies(node)]
    return [model.graph, *inner, *model.functions.values()]


def _return_instead(holder: ir.Graph | ir.Function, old: ir.Value, new: ir.Value) -> None:
    for index, value in enumerate(holder.outputs):
        if value is old:
            holder.outputs[index] = new


def inject(model: ir.Model, sites: list[WeightSite], chip: Chip, errors: BitErrors, mode: Mode = "node") -> ir.Model:
    """A copy of the model that holds the bit errors of a chip; see `InjectFaults`."""
    return _run(InjectFaults(sites, chip, errors, mode), model)


def remove(model: ir.Model) -> ir.Model:
    """A copy of the model without injected faults; see `RemoveFaults`."""
    return _run(RemoveFaults(), model)


def with_codes(model: ir.Model, stored: Mapping[str, npt.NDArray[Any]]) -> ir.Model:
    """A copy of the model whose sites of the given names store other codes, of the same type and shape."""
    copy = model.clone()
    entries = stored_tensors(copy)
    for name, array in stored.items():
        entries[name].store(array)
    return copy


def count_faults(model: ir.Model, sites: list[WeightSite], chip: Chip, errors: BitErrors) -> tuple[int, int]:
    """Number of faulty cells of a chip, and of the stored bits that they flip."""
    cells = bits = 0
    for site in sites:
        faults, stored = chip.faults(site, errors), codes(model, site)
        cells += faults.faulty_cells()
        bits += flipped_bits(stored, faults.apply(stored))
    return cells, bits


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
        operands = mask_operands(errors.kind, chip.faults(site, errors), codes(model, site))
        feeds.update({mask_name(site, suffix): mask for suffix, mask in operands.items()})
    return feeds


def mask_name(site: WeightSite, suffix: str) -> str:
    """Name of a value that injection adds for a site."""
    return f"{site.name}.nfkit.{suffix}"


def mask_operands(kind: str, faults: SiteFaults, stored: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Mask operands of the fault function of a kind, by suffix, in the function's order."""
    setting, clearing = faults.masks(stored.shape, stored.dtype)
    if kind == "stuck":
        return {"and_mask": ~clearing, "or_mask": setting}
    if kind == "flip":
        return {"flip_mask": setting}
    return {"zero_to_one": setting, "one_to_zero": clearing}


def _bake(entry: Stored, faults: SiteFaults) -> str:
    """Overwrites the codes; returns the flipped bits, packed, to undo it."""
    stored = entry.array()
    read = faults.apply(stored)
    entry.store(read)
    flips = stored.view(_word(stored)) ^ read.view(_word(stored))
    return base64.b64encode(zlib.compress(np.ascontiguousarray(flips).tobytes(), 9)).decode()


def _word(array: npt.NDArray[Any]) -> np.dtype[Any]:
    return np.dtype(f"uint{array.dtype.itemsize * 8}")


def _run(change: ir.passes.InPlacePass, model: ir.Model) -> ir.Model:
    """Applies a pass to a copy; what it refuses is refused in its own words, not in those of the pass machinery."""
    try:
        return ir.passes.functionalize(change)(model).model
    except ir.passes.PreconditionError as error:
        if isinstance(error.__cause__, ModelError):
            raise error.__cause__ from None
        raise
