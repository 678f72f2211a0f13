"""Operators of other makers: whose they are, and how to get a file without them.

No runtime that nfkit uses has them, so a model that holds them neither runs nor says by itself what its weights are.
A new maker is one entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from nfkit.graph.operators.operands import ORT, key_of
from nfkit.graph.operators.table import QONNX as QONNX

QUANT: frozenset[str] = frozenset({"Quant", "IntQuant"})
"""QONNX's integer quantiser, by its old and its new name."""

QUARK: dict[tuple[str, str], str] = {
    (domain, f"{prefix}{op}"): op
    for domain, prefix in (("com.amd.quark", "Extended"), ("com.vai.quantize", "Vitis"))
    for op in ("QuantizeLinear", "DequantizeLinear")
}
"""AMD Quark's quantisers, new and old, and the standard operators that compute the same of integers."""

_FOLD = "turn them into stored integers and standard operators first (nfkit fold MODEL -o OUT), and use that file"
_NO_FOLD = (
    "nfkit fold does not take them, since no weight memory here holds one bit a weight or floats of few bits: export "
    "again with integer weights of 2 to 8 bits"
)
_QUARK = (
    "AMD Quark writes them for types that ONNX lacked: nfkit fold MODEL -o OUT makes them QuantizeLinear and "
    "DequantizeLinear where their codes are integers; else quantise again with quant_format=QuantFormat.QDQ in place "
    "of ExtendedQuantFormat.QDQ, in int8 or uint8"
)
_WAYS_OUT = {
    **dict.fromkeys(QONNX, _FOLD),
    "com.amd.quark": _QUARK,
    "com.vai.quantize": _QUARK.replace("ExtendedQuantFormat", "VitisQuantFormat"),
    "trt": "they are TensorRT's: export again as QDQ of standard operators (QuantizeLinear, DequantizeLinear)",
    "ai.onnx.contrib": "they belong to onnxruntime-extensions: take pre- and post-processing off the model",
    "mmdeploy": "they belong to MMDeploy's plugins: export with the backend onnxruntime and without custom operators",
}
_ANY = "export the model again with standard operators only (QDQ, or QOperator)"
_STANDARD = ("", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "nfkit")


@dataclass(frozen=True)
class VendorOperator:
    """A kind of operator that ONNX Runtime lacks, and where it stands.

    Attributes:
        domain: Its domain.
        op: Its name.
        nodes: Names of the nodes.
    """

    domain: str
    op: str
    nodes: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {len(self.nodes) - 3} more" if len(self.nodes) > 3 else ""
        plural = "s" if len(self.nodes) > 1 else ""
        return f"{self.domain}::{self.op} in node{plural} {', '.join(map(repr, self.nodes[:3]))}{more}"


def is_vendors(node: ir.Node) -> bool:
    """Whether a node's domain is neither ONNX's, nor ONNX Runtime's, nor nfkit's; it may still be a function's."""
    domain, _ = key_of(node)
    return domain not in _STANDARD and domain != ORT and not domain.startswith(f"{ORT}.")


def is_quant(node: ir.Node) -> bool:
    """Whether a node is QONNX's integer quantiser."""
    return node.domain in QONNX and node.op_type in QUANT


def kinds(nodes: Iterable[ir.Node]) -> list[VendorOperator]:
    """Nodes by operator, in the order in which they first appear."""
    found: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        found.setdefault(key_of(node), []).append(node.name or str(node.outputs[0].name))
    return [VendorOperator(domain, op, tuple(names)) for (domain, op), names in found.items()]


def explain(operators: list[VendorOperator]) -> str:
    """What they are and the way out, as one sentence: "... in node 'n', which ONNX Runtime does not have: ..."."""
    ways = dict.fromkeys(
        _NO_FOLD if (operator.domain in QONNX and operator.op not in QUANT) else _WAYS_OUT.get(operator.domain, _ANY)
        for operator in operators
    )
    return f"{'; '.join(map(str, operators))}, which ONNX Runtime does not have: {'; '.join(ways)}"
