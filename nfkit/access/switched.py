"""A protected file with modes, in ONNX Runtime, switched while it runs.

switched = nfkit.Switched("switched.nf.onnx")
scores = switched(x)                    # in the mode that the file states
switched.mode = "nominal"               # the base alone, bit for bit
scores = switched(x)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.access.runtime import Level, Runner
from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.fused import MODE
from nfkit.graph.fusion.modes.record import Mode, mode_of, read_modes
from nfkit.graph.fusion.seal import base_identity
from nfkit.model import ModelLike, load


class Switched:
    """A file with modes, ready to run.

    Args:
        file: A file that `nfkit modes` wrote.
        level: Optimisation level of ONNX Runtime.

    Attributes:
        modes: Its modes, the nominal one first.
        base: Digest of its base.

    Raises:
        ModelError: When the file has no modes.
    """

    def __init__(self, file: ModelLike, *, level: Level = "all") -> None:
        model = load(file)
        self.modes: tuple[Mode, ...] = tuple(read_modes(model))
        if not self.modes:
            raise ModelError("the file has no modes: nfkit modes gives it some")
        self.base = base_identity(model).digest
        self._run, self._number = Runner(model, level=level), 0
        self.mode = mode_of(model).name

    @property
    def mode(self) -> str:
        """The mode that it is in; set it to change that.

        Raises:
            OptionError: When there is none of that name.
        """
        return self.modes[self._number].name

    @mode.setter
    def mode(self, name: str) -> None:
        names = [mode.name for mode in self.modes]
        if name not in names:
            raise OptionError(f"there is no mode '{name}': choose from {', '.join(names)}")
        self._number = names.index(name)

    def __call__(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The file's first output for samples [N, ...] of its own input, in the base's own form.

        Raises:
            ModelError: When ONNX Runtime fails on the samples.
        """
        return self._run(x, extra={MODE: np.array(self._number, np.int64)})
