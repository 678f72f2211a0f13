"""A model that goes on from what every chip computes alike, for errors that are in some of its weights alone.

What lies before the first weights that err is computed once, and each chip goes on from there. A half may be optimised
otherwise than the whole, and then differ in its last bit: a cut is used only where both gave the same bits, on the
codes that the model stores and on random ones, else the next one before it is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.access.swapping import Codes, Swapper
from nfkit.errors import ModelError
from nfkit.graph.injection.cutting import Cut, cuts

_TRIES = 4
_PROOF = 256
"""Samples on which both are compared."""


class Shortcut:
    """The rest of a model, from values that were computed.

    Args:
        swapper: What opens the rest with the codes of a chip.
        changing: The weights whose codes it takes.
        values: What it goes on from, by name, [N, ...] each.
    """

    def __init__(self, swapper: Swapper, changing: Sequence[str], values: Codes) -> None:
        self._swapper, self._changing, self._values = swapper, tuple(changing), values

    @classmethod
    def find(
        cls, model: ir.Model, changing: Sequence[str], stored: Codes, x: npt.NDArray[Any], *, level: Level, room: int
    ) -> Shortcut | None:  # fmt: skip
        """A shortcut to the last place before some weights from which a model goes on with the same bits.

        Args:
            model: The model; not to be changed while this is in use.
            changing: Names of the weights that err.
            stored: Codes of all weights, by name.
            x: Samples in the model's input space, [N, ...].
            level: Optimisation level.
            room: Bytes that the values may take.

        Returns:
            It; None where there is none, or it takes more room.
        """
        draw = np.random.default_rng(0)
        noise = {n: np.frombuffer(draw.bytes(c.nbytes), c.dtype).reshape(c.shape) for n, c in stored.items()}
        tried = [stored, {**stored, **{name: noise[name] for name in changing}}]
        whole = Swapper(model, list(stored), level=level)
        few, wanted = x[:_PROOF], list[npt.NDArray[Any]]()
        for cut in cuts(model, changing, list(stored), _TRIES):
            try:
                before = Runner(cut.before, level=level, threads=1)
                if before.fixed_batch:
                    return None
                values = before.named(few, cut.values)
                if any(len(value) != len(few) for value in values.values()):
                    continue
                if sum(value.nbytes for value in values.values()) * len(x) > room * len(few):
                    continue
                _declare(cut, values)
                after = Swapper(cut.after, changing, level=level)
                wanted = wanted or [whole.open(codes, threads=1)(few) for codes in tried]
                proof = cls(after, changing, values)
                found = [proof.scores(codes, threads=1) for codes in tried]
            except ModelError:  # a half that ONNX Runtime does not take
                continue
            if all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(found, wanted, strict=True)):
                return cls(after, changing, before.named(x, cut.values))
        return None

    def scores(self, codes: Codes, *, threads: int | None = None) -> npt.NDArray[Any]:
        """The model's first output for every sample, with other codes.

        Args:
            codes: Codes by name, at least of the weights that change.
            threads: Threads of one run; all cores by default.
        """
        runner = self._swapper.open({name: codes[name] for name in self._changing}, threads=threads)
        return runner.resume(self._values)


def _declare(cut: Cut, values: Codes) -> None:
    """Gives the inputs of the rest the types and shapes of what goes there."""
    for value in cut.after.graph.inputs:
        array = values[str(value.name)]
        value.type = ir.TensorType(ir.DataType.from_numpy(array.dtype))
        value.shape = ir.Shape(["samples", *array.shape[1:]])
