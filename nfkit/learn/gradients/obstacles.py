"""What stands between a model and its gradients: operators without a kernel, or with what theirs does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from nfkit.errors import UnsupportedError
from nfkit.graph.canonical.view import canonical
from nfkit.graph.memory.foreign import refuse_hidden_weights
from nfkit.learn.gradients.reference import constant_nodes
from nfkit.learn.gradients.steps import entry_of
from nfkit.learn.gradients.types import input_obstacle, obstacle


@dataclass(frozen=True)
class Unsupported:
    """A kind of operator that cannot be differentiated, where it stands, and why."""

    op: str
    nodes: tuple[str, ...]
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The refusal for a report."""
        return {"op": self.op, "nodes": list(self.nodes), "reason": self.reason}


def find_unsupported(model: ir.Model) -> list[Unsupported]:
    """Lists all operators that stand between a model and its gradients; empty if there is none."""
    return _unsupported(canonical(model))


def _unsupported(model: ir.Model) -> list[Unsupported]:
    found: dict[tuple[str, str], list[str]] = {}
    fixed = constant_nodes(model.graph)
    for node in model.graph:
        name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        entry = entry_of(node, model, fixed)
        if entry is None:
            reason = f"no gradient is known for it at opset {model.opset_imports.get(node.domain, 1)}"
        elif unknown := [] if node in fixed else sorted(set(node.attributes) - entry.attributes):
            reason = f"attribute {', '.join(unknown)} is not understood"
        else:
            given = obstacle(node) or input_obstacle(node)
            if given is None:
                continue
            reason = given
        found.setdefault((name, reason), []).append(node.name or str(node.outputs[0].name))
    return [Unsupported(op, tuple(nodes), reason) for (op, reason), nodes in found.items()]


def refuse_unsupported(model: ir.Model) -> None:
    """Raises an error that names every operator without a gradient.

    Raises:
        UnsupportedError: When there is one.
    """
    refuse_hidden_weights(model)  # for what does not even run there is a better way out
    refuse_operators(canonical(model))


def refuse_operators(view: ir.Model) -> None:
    """The same for a canonical view.

    Raises:
        UnsupportedError: When there is one.
    """
    unsupported = _unsupported(view)
    if unsupported:
        listed = "; ".join(
            f"{u.op} ({u.reason}) in node{'s' * (len(u.nodes) > 1)} {', '.join(repr(n) for n in u.nodes[:5])}"
            + (f" and {len(u.nodes) - 5} more" if len(u.nodes) > 5 else "")
            for u in unsupported
        )
        raise UnsupportedError(
            f"the model cannot be differentiated: {listed}. Evaluating and injecting still work; to protect it, let "
            "the generator only look (--answer both), train through models of the same task (--surrogate), or export a "
            "QDQ model of standard operators"
        )
