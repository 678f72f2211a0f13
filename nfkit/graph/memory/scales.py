"""Scales that are no use: what a quantiser made of a channel without values, or a conversion of a number too small.

A scale that is NaN or infinite, or 0 where a quantiser divides by it, makes results that are no numbers: such a model
is refused, since neither accuracy nor gradients mean anything then. Other odd scales are valid, and worth a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nfkit.errors import ModelError
from nfkit.graph.memory.readings import End, label
from nfkit.graph.memory.survey import Survey
from nfkit.graph.operators.operands import facts_of, is_scale

_HUGE = 1e18
"""Products of two such scales are beyond float32."""
_AGAIN = "quantise the model again; a channel whose weights are all 0 wants the scale 1"


@dataclass(frozen=True)
class OddScale:
    """Scales of one tensor that are no use.

    Attributes:
        name: The tensor.
        node: What reads it.
        what: What they are, as a word.
        places: Where, as positions in the flattened tensor.
        of: How many scales the tensor has.
        fatal: Whether the model computes no numbers with them.
    """

    name: str
    node: str
    what: str
    places: tuple[int, ...]
    of: int
    fatal: bool

    def __str__(self) -> str:
        some = ", ".join(map(str, self.places[:4])) + (", ..." if len(self.places) > 4 else "")
        where = f"at {len(self.places)} of {self.of} places ({some})" if self.of > 1 else "throughout"
        effect = {
            "0": "what it scales is 0 whatever is stored, so that faults there change nothing",
            "denormal": "processors that flush such numbers take them for 0",
            "huge": "results may overflow",
        }.get(self.what, "")
        if self.fatal:
            effect = "the model computes no numbers with it"
        return f"scale '{self.name}' of node '{self.node}' is {self.what} {where}: {effect}"


def odd_scales(survey: Survey) -> list[OddScale]:
    """Lists what is odd among the stored scales of a model, the fatal first."""
    found = []
    for name, entry in survey.stored.items():
        if not entry.dtype.is_floating_point() or entry.dtype.bitwidth < 16:
            continue
        ends = [end for reading in survey.readings(name) if reading.role == "scale" for end in reading.ends]
        if ends:
            found += _odd(name, np.asarray(entry.array()).astype(np.float64).ravel(), ends, entry.dtype.bitwidth)
    return sorted(found, key=lambda odd: not odd.fatal)


def refuse_scales(survey: Survey) -> None:
    """Refuses a model that computes no numbers.

    Raises:
        ModelError: With the scales, by name, and what to do.
    """
    fatal = [odd for odd in odd_scales(survey) if odd.fatal]
    if fatal:
        more = f", and so do {len(fatal) - 3} other tensors" if len(fatal) > 3 else ""
        raise ModelError(f"{'; '.join(map(str, fatal[:3]))}{more}: {_AGAIN}")


def _odd(
    name: str, numbers: np.ndarray[tuple[int, ...], np.dtype[np.float64]], ends: list[End], bits: int
) -> list[OddScale]:
    quantised = [end for end in ends if is_scale(end.node, end.index)]
    divides = [end for end in quantised if facts_of(end.node).quantiser == "quantises"]
    size = np.abs(numbers)
    kinds = [("NaN", np.isnan(numbers), True), ("infinite", np.isinf(numbers), True)]
    if quantised:  # other factors may well be 0, as those of a mask are
        kinds.append(("0", numbers == 0, bool(divides)))
        # In half precision small scales are denormal as a matter of course.
        tiny = (size > 0) & (size < np.finfo(np.float32).tiny) if bits > 16 else np.zeros(len(numbers), bool)
        kinds += [("denormal", tiny, False), ("huge", (size > _HUGE) & np.isfinite(size), False)]
    node = label((divides or quantised or ends)[0].node)
    return [
        OddScale(name, node, what, tuple(np.flatnonzero(where).tolist()), len(numbers), fatal)
        for what, where, fatal in kinds
        if where.any()
    ]
