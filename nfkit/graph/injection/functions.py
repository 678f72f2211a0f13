"""The fault nodes, as ONNX functions of the domain `nfkit`.

They are readable in a graph viewer, run wherever model-local functions do, and are folded away by ONNX Runtime when
their masks are constants.

All operands have the full shape and integer type of the weight: some runtimes compute bitwise operators wrongly
when one operand is broadcast.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnxscript import opset18, script, values

from nfkit.graph.injection.faultnode import DOMAIN

_nfkit = values.Opset(DOMAIN, 1)


@script(_nfkit, default_opset=opset18)
def StuckAt(weight, and_mask, or_mask):  # type: ignore[no-untyped-def]  # noqa: N802
    """Cells stuck at 0 (zeros of and_mask) and at 1 (ones of or_mask)."""
    return opset18.BitwiseOr(opset18.BitwiseAnd(weight, and_mask), or_mask)


@script(_nfkit, default_opset=opset18)
def BitFlip(weight, mask):  # type: ignore[no-untyped-def]  # noqa: N802
    """Cells that return the opposite of what was written (ones of mask)."""
    return opset18.BitwiseXor(weight, mask)


@script(_nfkit, default_opset=opset18)
def DirectedFlip(weight, zero_to_one, one_to_zero):  # type: ignore[no-untyped-def]  # noqa: N802
    """Cells that turn a stored 0 into 1 (zero_to_one) and a stored 1 into 0 (one_to_zero)."""
    rising = opset18.BitwiseAnd(opset18.BitwiseNot(weight), zero_to_one)
    falling = opset18.BitwiseAnd(weight, one_to_zero)
    return opset18.BitwiseXor(weight, opset18.BitwiseOr(rising, falling))


_FUNCTIONS: dict[str, Any] = {"stuck": StuckAt, "flip": BitFlip, "asymmetric": DirectedFlip}


def fault_function(kind: str, opset: int) -> ir.Function:
    """The function that injects faults of a kind, importing the opset of the model that it joins."""
    proto = _FUNCTIONS[kind].to_function_proto()
    # One version of the operators in the whole file: the bitwise ones have not changed since opset 18.
    for entry in proto.opset_import:
        if entry.domain == "":
            entry.version = opset
    function: ir.Function = ir.from_proto(proto)
    return function
