"""The files that a model was read from, as bytes, so that they can be given back as they were.

A model that is read and written again computes the same, but is another file: fields in another order, types of values
spelled out, data taken in from beside it. What injecting and fusing put in is taken out again to the last bit; for the
rest of the file they keep an outline of it: its bytes without the tensors, which the model itself still holds. The
outline of a file is a few percent of it, and no more than its digest where writing the model gives its very bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import onnx_ir as ir

from nfkit.errors import NfkitError, OutputError
from nfkit.graph.memory.storage import Stored, stored_tensors
from nfkit.model import load, save, sha256, source_path, to_bytes
from nfkit.outputs import write_atomically
from nfkit.rim.external import external_files

LIMIT = 16 * 2**20
"""Bytes of an outline beyond which none is kept."""
SAME_BYTES, SAME_GRAPH = "bytes", "graph"
EQUALITY = {
    SAME_BYTES: "the file is the original, byte for byte",
    SAME_GRAPH: "the graph is the original, node by node and bit for bit; how its file was written is not known",
}
"""What a restored file has in common with the one before, as a sentence says it."""
_SMALLEST = 64  # bytes of a tensor that is worth a reference


class _Outline(msgspec.Struct):
    """One file: what stands before each tensor, the tensor, and what stands behind the last.

    Attributes:
        name: Where it lies, from the model's folder; empty for the model's own file.
        sha256: Digest of the whole file.
        parts: (bytes of text, name of the tensor that follows it).
        text: All of the text, packed; empty where the file is the model as nfkit writes it.
    """

    name: str
    sha256: str
    parts: list[tuple[int, str]]
    text: str


@dataclass(frozen=True)
class Original:
    """The files of a model as they were.

    Attributes:
        files: Bytes by name, from the model's folder; the model's own file has the name ''.
    """

    files: dict[str, bytes]

    def write(self, path: Path) -> Path:
        """Writes the model's file to a path, and its data beside it.

        Raises:
            OutputError: When a file cannot be written, or another one has the name of its data.
        """
        for name, content in self.files.items():
            beside = path.parent / name
            if name and not (beside.is_file() and beside.read_bytes() == content):
                if beside.exists():
                    raise OutputError(f"the model's data goes to '{beside}', where another file is: choose a folder")
                beside.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(beside, content)
        return write_atomically(path, self.files[""])


def outline(model: ir.Model) -> str | None:
    """The outline of the files that a model was read from.

    Returns:
        None where the model was changed since it was read or was read from no file, or its files hold much besides
        its tensors.
    """
    path = source_path(model)
    if path is None or not path.is_file():
        return None
    try:
        if sha256(load(path)) != sha256(model):
            return None
    except NfkitError:
        return None
    beside = external_files(model)
    digest = sha256(path)
    if not beside and digest == sha256(model):
        return msgspec.json.encode([_Outline("", digest, [], "")]).decode()
    tensors = list(stored_tensors(model).values())
    files = [_outline(file, os.path.relpath(file, path.parent), tensors) for file in beside]
    files.append(_outline(path, "", tensors))
    if sum(len(file.text) for file in files) > LIMIT:
        return None
    return msgspec.json.encode(files).decode()


def restore(text: str | None, model: ir.Model) -> Original | None:
    """The files that an outline was made of, filled with the tensors of a model.

    Args:
        text: The outline; None where there is none.
        model: The model as it is again.

    Returns:
        None where there is no outline, or the files that it gives are not those of the model.
    """
    if text is None:
        return None
    tensors = stored_tensors(model)
    try:
        outlines = msgspec.json.decode(text, type=list[_Outline])
        files = {file.name: _filled(file, tensors) if file.text else to_bytes(model) for file in outlines}
        if any(hashlib.sha256(files[file.name]).hexdigest() != file.sha256 for file in outlines):
            return None
        if "" not in files or any(os.path.isabs(name) or ".." in Path(name).parts for name in files):
            return None
        with tempfile.TemporaryDirectory() as folder:
            original = Original(files)
            same = sha256(load(original.write(Path(folder, "model.onnx")))) == sha256(model)
    except (msgspec.DecodeError, KeyError, ValueError, OSError, binascii.Error, zlib.error, NfkitError):
        return None
    return original if same else None


def save_as_it_was(text: str | None, model: ir.Model, path: Path) -> str:
    """Writes a model as the files that it was read from before nfkit changed it.

    Args:
        text: Their outline; None where there is none.
        model: The model as it is again.
        path: Where to write it.

    Returns:
        What is equal: `SAME_BYTES`, or `SAME_GRAPH` where only the model itself can be written.

    Raises:
        OutputError: When a file cannot be written.
    """
    original = restore(text, model)
    if original is None:
        save(model, path)
        return SAME_GRAPH
    original.write(path)
    return SAME_BYTES


def _outline(path: Path, name: str, tensors: list[Stored]) -> _Outline:
    content = path.read_bytes()
    parts, texts, position = [], [], 0
    for start, end, tensor in sorted(_places(content, tensors)):
        if start >= position:
            texts.append(content[position:start])
            parts.append((start - position, tensor))
            position = end
    texts.append(content[position:])
    packed = base64.b64encode(zlib.compress(b"".join(texts), 9)).decode()
    return _Outline(name, hashlib.sha256(content).hexdigest(), parts, packed)


def _places(content: bytes, tensors: list[Stored]) -> Iterator[tuple[int, int, str]]:
    """Where the tensors stand in a file: nearly always in their own order."""
    position = 0
    for entry in tensors:
        if entry.node is None and entry.value.const_value is None:
            continue
        raw = entry.tensor.tobytes()
        if len(raw) < _SMALLEST:
            continue
        start = content.find(raw, position)
        start = content.find(raw, 0, position) if start < 0 else start
        if start >= 0:
            position = start + len(raw)
            yield start, position, entry.name


def _filled(file: _Outline, tensors: dict[str, Stored]) -> bytes:
    texts, pieces, position = zlib.decompress(base64.b64decode(file.text, validate=True)), [], 0
    for length, name in file.parts:
        pieces += [texts[position : position + length], tensors[name].tensor.tobytes()]
        position += length
    return b"".join([*pieces, texts[position:]])
