"""One model with ever other codes: written into the bytes that ONNX Runtime reads, in place of a new model each time.

A chip changes nothing but the content of some tensors. Copying the graph, preparing it and serialising it cost more
than opening a session on a small model, and are the same for all chips; so they are done once, and the codes of a chip
are put where theirs lie in the serialised model. The session is a new one each time: what ONNX Runtime makes of weights
when it opens a model (folded, packed, merged) must be made of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access import exact_products, float16_products
from nfkit.access.runtime import Level, Runner, batch_of
from nfkit.errors import ModelError
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.memory.storage import find_stored
from nfkit.model import is_large, to_bytes
from nfkit.parallel import cores, lanes_for

Codes = Mapping[str, npt.NDArray[Any]]


class Swapper:
    """Opens a model with other codes.

    Args:
        model: The model; not to be changed while this is in use.
        names: Names of the tensors whose codes change.
        level: Optimisation level.
    """

    def __init__(self, model: ir.Model, names: Sequence[str], *, level: Level = "all") -> None:
        self._model, self._names, self._level = model, tuple(names), level
        self._exact, self._content, self._places = False, b"", dict[str, slice]()
        if not is_large(model) and not (level == "extended" and float16_products.are_lost(model)):
            self._find_places()

    @property
    def in_place(self) -> bool:
        """Whether codes are written into the serialised model; else it is made anew each time."""
        return bool(self._places)

    def open(self, codes: Codes, *, threads: int | None = None, samples: int = 0) -> Runner:
        """The model with other codes, ready to run; the same as of `nfkit.graph.injection.inject.with_codes`.

        Args:
            codes: Codes of all tensors that were named, of their types and shapes.
            threads: Threads of one run; all cores by default.
            samples: How many samples a run will be given, where that is known: many batches are run side by side.

        Raises:
            ModelError: When ONNX Runtime refuses the model.
        """
        threads = threads or cores()
        lanes = lanes_for(-(-samples // batch_of(self._model)), threads)
        places = self._places  # another thread may find out meanwhile that they lead nowhere
        if places:
            try:
                content = self._fill(codes, places)
                return Runner.of_bytes(content, level=self._level, threads=threads, exact=self._exact, lanes=lanes)
            except ModelError:  # `Runner` knows ways round what ONNX Runtime refuses, or says it better
                anew = Runner(with_codes(self._model, codes), level=self._level, threads=threads, samples=samples)
            self._places = {}
            return anew
        return Runner(with_codes(self._model, codes), level=self._level, threads=threads, samples=samples)

    def _fill(self, codes: Codes, places: Mapping[str, slice]) -> bytes:
        """The serialised model, put together of what stays the same and of codes: each byte is copied once."""
        parts: list[memoryview] = []
        content, reached = memoryview(self._content), 0
        for name, place in places.items():  # in the order of the file
            parts += content[reached : place.start], _bytes(codes[name])
            reached = place.stop
        return b"".join([*parts, content[reached:]])

    def _find_places(self) -> None:
        """Looks for each tensor by a content that is nowhere else, and proves it on the model's own codes."""
        draw, stored, marks = np.random.default_rng(0), {}, {}
        for name, entry in zip(self._names, find_stored(self._model, self._names), strict=True):
            stored[name] = entry.array()
            if stored[name].dtype.kind not in "iu":  # packed several to a byte
                return
            raw = draw.bytes(stored[name].nbytes)
            marks[name] = np.frombuffer(raw, stored[name].dtype).reshape(stored[name].shape)
        self._exact = exact_products.are_needed(self._model)
        self._content = self._serialise(marks)
        places = {name: self._place(_bytes(mark)) for name, mark in marks.items()}
        found = {name: place for name, place in places.items() if place is not None}
        if len(found) < len(places):
            return
        in_order = dict(sorted(found.items(), key=lambda entry: entry[1].start))
        if self._fill(stored, in_order) == self._serialise(stored):
            self._places = in_order

    def _serialise(self, codes: Codes) -> bytes:
        model = with_codes(self._model, codes)
        return to_bytes(exact_products.prepare(model) if self._exact else model)

    def _place(self, mark: memoryview) -> slice | None:
        first = self._content.find(mark)
        if first < 0 or self._content.find(mark, first + 1) >= 0:
            return None
        return slice(first, first + len(mark))


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data
