"""A serialised model, and where in its bytes the codes of its weights lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import ModelError
from nfkit.faults.words import sub_byte, to_words
from nfkit.graph.fusion.fused import MODE, has_modes
from nfkit.graph.memory.sites import WeightSite
from nfkit.graph.memory.storage import Stored, find_stored
from nfkit.model import to_bytes


@dataclass(frozen=True)
class Patchable:
    """A model whose weights are put in where it is used.

    Attributes:
        content: The file, with zeros in place of the codes of its sites.
        offsets: Where the codes of each site begin.
        codes: The codes of each site as the file holds them: little-endian, those of fewer than 8 bits packed.
        mode: Where the eight bytes of the number begin that chooses between modes; None for a model without.
    """

    content: bytes
    offsets: tuple[int, ...]
    codes: tuple[bytes, ...]
    mode: int | None = None

    @classmethod
    def of(cls, model: ir.Model, sites: Sequence[WeightSite]) -> Patchable:
        """Serialises a model, which is not changed.

        The codes of a site lie where the file changes when all of their bits are turned over, and so does the number
        of the mode, which keeps its value: that holds whatever the file is made of, and it is seen at once whether
        they lie in one piece.

        Raises:
            ModelError: When the model does not fit one message, or a site does not lie in it in one piece.
        """
        copy = model.clone()
        modes = [MODE] if has_modes(copy) else []
        stored = find_stored(copy, [*(site.name for site in sites), *modes])
        arrays = [entry.array() for entry in stored]
        codes = [_put(entry, array) for entry, array in zip(stored, arrays, strict=True)]
        content = bytearray(to_bytes(copy))
        before = np.frombuffer(bytes(content), np.uint8)
        offsets = []
        for entry, array, held in zip(stored, arrays, codes, strict=True):
            _put(entry, _turned(array))
            after = np.frombuffer(to_bytes(copy), np.uint8)
            _put(entry, array)
            start = _start(before, after, len(held))
            if start is None:
                raise ModelError(f"the codes of '{entry.name}' do not lie in one piece in the serialised model")
            offsets.append(start)
        mode = offsets.pop() if modes else None
        del codes[len(offsets) :]
        for start, held in zip(offsets, codes, strict=True):
            content[start : start + len(held)] = bytes(len(held))
        return cls(bytes(content), tuple(offsets), tuple(codes), mode)


def _put(entry: Stored, array: npt.NDArray[Any]) -> bytes:
    """Stores an array as raw bytes, whatever form the file had; returns them."""
    old, node = entry.tensor, entry.node
    tensor = ir.tensor(array, dtype=old.dtype, name=old.name, doc_string=old.doc_string)
    if node is None:
        entry.value.const_value = tensor
    else:
        node.attributes["value"] = ir.AttrTensor("value", tensor)
    return tensor.tobytes()


def _turned(codes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same codes with all bits turned over."""
    words = to_words(codes)
    every = words.dtype.type(2 ** (sub_byte(codes.dtype) or 8 * words.dtype.itemsize) - 1)
    turned: npt.NDArray[Any] = (words ^ every).view(codes.dtype).reshape(codes.shape)
    return turned


def _start(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], size: int) -> int | None:
    """Where two files of the same length differ, if that is one piece of this size."""
    if len(before) != len(after):
        return None
    differing = np.flatnonzero(before != after)
    whole = len(differing) == size and differing[-1] - differing[0] == size - 1
    return int(differing[0]) if whole else None
