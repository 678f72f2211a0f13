"""Puts the bit errors of one chip into a model's quantised initializers, and takes them out again.

Three forms, bit-identical in ONNX Runtime:

* `node`: w -> nfkit.StuckAt(w, and_mask, or_mask), with the masks as constants. For reading and replaying.
* `input`: the same, with the masks as initializers that can be overridden at run time and are fault-free by
  default: one file, any chip (`chip_inputs`).
* `baked`: the flipped codes themselves. For runtimes without functions, and for types without bitwise operators.

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

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrites the model in place."""
        # Here, not above: what authors the functions takes longer to import than everything else together.
        from nfkit.graph.functions import fault_function

        undo = {}
        function = fault_function(self.errors.kind, max(MIN_OPSET, model.opset_imports.get("", 0)))
        for site in self.sites:
            faults = self.chip.faults(site, self.errors)
            if self.mode == "baked":
                undo[site.name] = _bake(model, site, faults)
            else:
                self._insert_node(model, site, faults, function.name)
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

    def _insert_node(self, model: ir.Model, site: WeightSite, faults: SiteFaults, function: str) -> None:
        weight = model.graph.initializers[site.name]
        uses = list(weight.uses())
        if self.mode == "input":  # fault-free until a chip's masks are fed
            faults = SiteFaults(site.bits, faults.setting[:0], faults.clearing[:0])
        masks = []
        for suffix, array in mask_operands(self.errors.kind, faults, codes(model, site)).items():
            name = mask_name(site, suffix)
            if name in model.graph.initializers:
                raise ModelError(f"the model holds a value named '{name}', which nfkit needs for its masks: rename it")
            mask = ir.Value(
                name=name,
                shape=weight.shape,
                type=weight.type,
                const_value=ir.tensor(array, dtype=weight.dtype, name=name),
            )
            model.graph.register_initializer(mask)
            if self.mode == "input":
                model.graph.inputs.append(mask)
            masks.append(mask)
        node = ir.Node(
            DOMAIN,
            function,
            [weight, *masks],
            name=mask_name(site, "faults"),
            metadata_props={ROLE_KEY: "faults"},
        )
        node.outputs[0].name = mask_name(site, "faulty")
        node.outputs[0].type, node.outputs[0].shape = weight.type, weight.shape
        for consumer, index in uses:
            consumer.replace_input_with(index, node.outputs[0])
        model.graph.insert_before(model.graph[0], node)


class RemoveFaults(ir.passes.InPlacePass):
    """Takes injected faults out of a model: the inverse of `InjectFaults`, bit for bit."""

    def requires(self, model: ir.Model) -> None:
        """The model holds faults that nfkit injected."""
        if FAULTS_KEY not in model.metadata_props:
            raise ModelError("the model holds no injected faults: there is nothing to remove")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrites the model in place."""
        for name, packed in json.loads(model.metadata_props.pop(_UNDO_KEY, "{}")).items():
            value = model.graph.initializers[name]
            if value.const_value is None:
                raise ModelError(f"initializer '{name}' has no data: load the model with its external data beside it")
            stored = np.asarray(value.const_value.numpy())
            flips = np.frombuffer(zlib.decompress(base64.b64decode(packed)), _word(stored)).reshape(stored.shape)
            _replace(value, (stored.view(_word(stored)) ^ flips).view(stored.dtype))
        for node in [n for n in model.graph if n.domain == DOMAIN and n.metadata_props.get(ROLE_KEY) == "faults"]:
            weight, *masks = (v for v in node.inputs if v is not None)
            node.outputs[0].replace_all_uses_with(weight)
            function = (node.domain, node.op_type, node.overload)
            model.graph.remove(node, safe=True)
            for mask in masks:
                if mask in model.graph.inputs:
                    model.graph.inputs.remove(mask)
                del model.graph.initializers[str(mask.name)]
            model.functions.pop(function, None)
        model.opset_imports.pop(DOMAIN, None)
        del model.metadata_props[FAULTS_KEY]
        return ir.passes.PassResult(model, modified=True)


def inject(model: ir.Model, sites: list[WeightSite], chip: Chip, errors: BitErrors, mode: Mode = "node") -> ir.Model:
    """A copy of the model that holds the bit errors of a chip; see `InjectFaults`."""
    return _run(InjectFaults(sites, chip, errors, mode), model)


def remove(model: ir.Model) -> ir.Model:
    """A copy of the model without injected faults; see `RemoveFaults`."""
    return _run(RemoveFaults(), model)


def with_codes(model: ir.Model, stored: Mapping[str, npt.NDArray[Any]]) -> ir.Model:
    """A copy of the model whose initializers of the given names store other codes, of the same type and shape."""
    copy = model.clone()
    for name, array in stored.items():
        _replace(copy.graph.initializers[name], array)
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


def _bake(model: ir.Model, site: WeightSite, faults: SiteFaults) -> str:
    """Overwrites the codes; returns the flipped bits, packed, to undo it."""
    stored = codes(model, site)
    read = faults.apply(stored)
    _replace(model.graph.initializers[site.name], read)
    flips = stored.view(_word(stored)) ^ read.view(_word(stored))
    return base64.b64encode(zlib.compress(np.ascontiguousarray(flips).tobytes(), 9)).decode()


def _replace(value: ir.Value, array: npt.NDArray[Any]) -> None:
    if isinstance(value.const_value, ir.TensorProtoTensor):  # keep the file's own way of storing it
        proto = ir.to_proto(value.const_value)
        if proto.int32_data:
            proto.int32_data[:] = array.ravel().tolist()
        else:
            proto.raw_data = array.tobytes()
        value.const_value = ir.serde.deserialize_tensor(proto)
    else:
        value.const_value = ir.tensor(array, dtype=value.dtype, name=value.name)


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
