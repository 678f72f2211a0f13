"""What a user says of the weight memory, and of the model's input: the keywords that many functions share, kept once.

Each function takes them as its last keywords, so that `nfkit.protect(..., kind="flip", ecc="secded-64")` and
`nfkit.evaluate(..., kind="flip", ecc="secded-64")` mean the same memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypedDict, cast

import onnx_ir as ir

from nfkit.energy import CURVES, Curve
from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Layout
from nfkit.plans.operating_points import Scale
from nfkit.workflows import inputs
from nfkit.workflows.inputs import CurveLike


def foreign_curve(layout: Layout | str, curve: Curve) -> tuple[str, ...]:
    """What is doubtful where cells were measured and their voltages were not: the voltages are those of other cells."""
    if not str(layout).startswith("measured:") or curve.name not in CURVES:
        return ()
    said = (
        f"voltages and energies are those of the curve {curve.name}, not of the measured maps: "
        "nfkit maps FOLDER -o CURVE.csv writes theirs, for --curve"
    )
    return (said,)


@dataclass(frozen=True)
class Memory:
    """How low voltage makes a weight memory err, and what it does about that. Each attribute is a keyword.

    Attributes:
        kind: What a faulty cell does: stuck, flip or asymmetric.
        set_share: Share of the errors that write a 1.
        protected_bits: Bit positions that never err, 0 the lowest.
        protected_sites: Patterns of weight sites that never err.
        protected_top: How many top bits of every site never err.
        storage: How memory holds a code: a name of `nfkit.faults.codes.STORAGE_CODES`.
        ecc: What corrects errors: a name of `nfkit.faults.ecc.CORRECTIONS`, or none.
        layout: How cells hold weights: a name of `nfkit.faults.layouts.LAYOUTS` with its settings, or a layout.
        curve: Voltage curve, by name or path.
        extrapolate: Whether to go on beyond the ends of the curve.
    """

    kind: str = "stuck"
    set_share: float = 0.5
    protected_bits: Sequence[int] = ()
    protected_sites: Sequence[str] = ()
    protected_top: int = 0
    storage: str = "as-stored"
    ecc: str = "none"
    layout: str | Layout | None = None
    curve: CurveLike = "stutz-2021"
    extrapolate: bool = False

    @property
    def errors(self) -> BitErrors:
        """The kind of its errors, at rate 0.

        Raises:
            OptionError: When a value is out of its range.
        """
        return BitErrors(
            0.0, self.kind, self.set_share, tuple(self.protected_bits), tuple(self.protected_sites), self.protected_top,
            self.storage, self.ecc,
        )  # fmt: skip

    @property
    def cells(self) -> Layout:
        """How its cells hold weights.

        Raises:
            OptionError: When there is no such layout.
        """
        return inputs.find_layout(self.layout)

    def scale(self, model: ir.Model) -> Scale:
        """What its bit error rates stand for on a base or a fused model.

        Raises:
            OptionError: When a value is out of its range, or there is no such curve.
            ModelError: When the model holds no integer weights.
        """
        return inputs.scale_of(model, self.errors, self.curve, extrapolate=self.extrapolate)


class InputSettings(TypedDict, total=False):
    """What a user says of the model's input, where the graph does not: the keywords of `inputs.find_spec`.

    Attributes:
        input_layout: Layout of the input, if it cannot be told: NCHW, NHWC, NHW or NC.
        value_range: Valid range of the model's input.
        mean: Mean that images in [0, 1] were normalised with, one number or one a channel.
        std: Standard deviation to go with it.
    """

    input_layout: str | None
    value_range: tuple[float, float] | None
    mean: Sequence[float] | None
    std: Sequence[float] | None


class Settings(InputSettings, total=False):
    """All keywords that are shared, for the signatures: those of `Memory`, and of the model's input."""

    kind: str
    set_share: float
    protected_bits: Sequence[int]
    protected_sites: Sequence[str]
    protected_top: int
    storage: str
    ecc: str
    layout: str | Layout | None
    curve: CurveLike
    extrapolate: bool


MEMORY = tuple(field.name for field in fields(Memory))
INPUT = tuple(InputSettings.__annotations__)


def divide(given: Mapping[str, Any]) -> tuple[Memory, InputSettings, dict[str, Any]]:
    """Keywords of a call: the memory, what is said of the input, and the rest."""
    memory = Memory(**{name: given[name] for name in MEMORY if name in given})
    form = {name: given[name] for name in INPUT if name in given}
    rest = {name: value for name, value in given.items() if name not in MEMORY + INPUT}
    return memory, cast(InputSettings, form), rest


def read_settings(given: Mapping[str, Any]) -> tuple[Memory, InputSettings]:
    """Keywords of a call that takes no others.

    Raises:
        OptionError: When there is one that does not exist.
    """
    memory, form, rest = divide(given)
    if rest:
        raise OptionError(
            f"there is no setting {', '.join(map(repr, sorted(rest)))}: of the memory and the input there are "
            f"{', '.join(sorted(MEMORY + INPUT))}"
        )
    return memory, form
