"""Brings a float model into the shape that a quantiser needs, without changing what it computes.

1. Initializers that are listed as inputs become constants, and Constant nodes initializers.
2. An opset below 13, which knows no scale a channel, is lifted; packed codes need a higher one still.
3. Batch normalisation behind a convolution or matrix product is folded into its weights: the device multiplies by
   the folded ones, so those are what must be quantised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveInitializersFromInputsPass

from nfkit.errors import ModelError, UnsupportedError
from nfkit.graph.memory.foreign import vendor_operators
from nfkit.graph.operators.operands import facts_of
from nfkit.graph.operators.vendors import explain
from nfkit.rim.external import with_data

# Operators that no table knows may still say by their name that they work on integers.
_INTEGER = re.compile("[Qq]uantize|Integer|^QLinear")

MIN_OPSET = 13
"""Scales a channel exist from this opset on."""


@dataclass(frozen=True)
class Prepared:
    """A model to quantise, and what became of it.

    Attributes:
        model: The prepared copy.
        lifted_from: The opset it had, where that was too low.
        folded: How many batch normalisations were folded.
    """

    model: ir.Model
    lifted_from: int | None
    folded: int

    @property
    def changed(self) -> bool:
        """Whether it must be shown that the model still computes the same."""
        return self.lifted_from is not None or self.folded > 0


def prepare(model: ir.Model, opset: int = MIN_OPSET) -> Prepared:
    """Prepares a copy of a float model; see the module's text.

    Args:
        model: The float model.
        opset: The least opset that the result must have.

    Raises:
        ModelError: When the model is quantised already.
        UnsupportedError: When its opset cannot be lifted.
    """
    refuse_quantised(model)
    given = model.opset_imports.get("", 0)
    prepared = _lifted(model, opset) if given < opset else model.clone()
    RemoveInitializersFromInputsPass()(prepared)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(prepared)
    return Prepared(prepared, given if given < opset else None, _fold_batch_norm(prepared))


def refuse_quantised(model: ir.Model) -> None:
    """Refuses a model that holds integer operators.

    Raises:
        ModelError: When it does; the message names the node.
        UnsupportedError: When it holds operators of other makers, which neither run nor can be quantised.
    """
    others = vendor_operators(model)
    if others:
        raise UnsupportedError(f"the model holds {explain(others)}")
    for node in model.graph:
        if _INTEGER.search(node.op_type) or facts_of(node).codes or facts_of(node).quantiser:
            raise ModelError(
                f"the model is quantised already ({node.op_type}, node '{node.name}'): give the float model, or see "
                "nfkit evaluate --bits for fewer bits"
            )


def _lifted(model: ir.Model, opset: int) -> ir.Model:
    given = model.opset_imports.get("", 0)
    try:
        lifted = ir.from_proto(onnx.version_converter.convert_version(ir.to_proto(with_data(model)), opset))
    except Exception as error:  # the converter raises whatever its C++ half does
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UnsupportedError(
            f"the model has opset {given}, quantising needs {opset}, and onnx cannot lift it ({reason}): export it "
            "again at a newer opset"
        ) from error
    lifted.ir_version = max(lifted.ir_version, onnx.helper.find_min_ir_version_for([_opset(opset)]))
    return lifted


def _opset(version: int) -> onnx.OperatorSetIdProto:
    return onnx.helper.make_opsetid("", version)


def _fold_batch_norm(model: ir.Model) -> int:
    """Folds what can be folded, in place; returns how many normalisations are gone."""
    before = _count(model, "BatchNormalization")
    if not before:
        return 0
    # Here, not above: the rewriter takes longer to import than everything else together.
    from onnxscript.rewriter import RewriteRuleSet
    from onnxscript.rewriter.rules.common import (
        fuse_batchnorm_into_conv_rule,
        fuse_batchnorm_into_conv_transpose_rule,
        fuse_batchnorm_into_gemm_rule,
    )

    rules = [
        fuse_batchnorm_into_conv_rule,
        fuse_batchnorm_into_conv_transpose_rule,
        fuse_batchnorm_into_gemm_rule,
    ]
    RewriteRuleSet(rules).apply_to_model(model)
    used = {value for node in model.graph for value in node.inputs if value is not None} | set(model.graph.outputs)
    for name in [name for name, value in model.graph.initializers.items() if value not in used]:
        del model.graph.initializers[name]
    return before - _count(model, "BatchNormalization")


def _count(model: ir.Model, operator: str) -> int:
    return sum(node.op_type == operator for node in model.graph)
