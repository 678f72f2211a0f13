"""What can be said of an operator: the form of an entry of `nfkit.graph.operators.table`.

Operands are counted as the specification counts them, from 0. An entry says nothing of attributes but their names:
what a node has is read off the node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["weight", "bias", "zero_point", "constant"]
"""What a stored tensor is read as."""
Key = tuple[str, str]
"""Domain and operator; the standard domain is the empty one."""
Kind = Literal["convolution", "transposed", "product", "packed", "recurrence"]
"""How a layer is counted; see `nfkit.energy.read`."""
Passing = Literal["moves", "joins", "masks"]
"""How an operator passes values on, unchanged: one tensor to other places; several into one; some of them blanked."""


@dataclass(frozen=True)
class Coded:
    """An operand that holds raw codes.

    Attributes:
        role: What they are read as.
        scale: The operand that holds their scales; None where the operator takes none.
        zero_point: The operand that holds their zero points; None where it takes none.
        axis: Axis of several scales; -1 is the last.
        bias: The operand that holds an int32 bias in steps of input scale times this scale; None where there is none.
        packed: The attribute that says how many bits each of the codes has that one stored integer packs; empty where
            it packs none.
    """

    role: Role
    scale: int | None = None
    zero_point: int | None = None
    axis: int = 0
    bias: int | None = None
    packed: str = ""


@dataclass(frozen=True)
class Counted:
    """How an accelerator computes the operator as a layer.

    Attributes:
        kind: The counting rule.
        image: The operand that holds activations.
        weight: The operand that holds weights.
        bias: The operand that holds a bias; None where it takes none.
    """

    kind: Kind
    image: int = 0
    weight: int = 1
    bias: int | None = None


@dataclass(frozen=True)
class Operator:
    """All that is known of one operator.

    Attributes:
        values: Roles of the operands that hold values: floats, or codes that were dequantised on the way.
        codes: Facts of the operands that hold raw codes.
        passes: How the operator passes values on; None where it computes with them.
        passed: Operands whose values it passes on; None for all.
        quantiser: Whether it makes values of codes, codes of values, or values of values as if they were codes.
        scales: Operands that hold scales, besides those that `codes` names.
        statistics: Operands that hold numbers which were measured, not learned.
        blind: Whether the result holds nothing of the values: shapes, and indices of all kinds.
        counted: How it is counted as a layer; None where no rule counts it.
        shaped_like: The standard operator whose output has the same shape, and which operands that gets, as far as the
            node has them: for operators that ONNX's shape inference does not know.
        transposed: The attribute that says that the weight operand is transposed; empty where there is none.
    """

    values: Mapping[int, Role] = field(default_factory=dict)
    codes: Mapping[int, Coded] = field(default_factory=dict)
    passes: Passing | None = None
    passed: tuple[int, ...] | None = (0,)
    quantiser: Literal["dequantises", "quantises", "imitates"] | None = None
    scales: tuple[int, ...] = ()
    statistics: tuple[int, ...] = ()
    blind: bool = False
    counted: Counted | None = None
    shaped_like: tuple[str, tuple[int, ...]] | None = None
    transposed: str = ""
