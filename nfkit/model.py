"""The rim: models come in as a path, a ModelProto or an onnx-ir model, and go out as one file, written at once.

Inside nfkit there is only `ir.Model`. Nothing here, and nothing that calls it, changes the caller's model.

A protobuf message ends at 2 GiB. A model beyond that is one file and its data beside it (`NAME.data`).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Union

import onnx
import onnx_ir as ir

from nfkit.errors import ModelError, OptionError, OutputError

ModelLike = Union[str, "os.PathLike[str]", onnx.ModelProto, ir.Model]
"""What every public function accepts as a model."""

MESSAGE_LIMIT = 2**31 - 2**20
"""Bytes of tensors up to which a model is one protobuf message; what remains of 2 GiB is for its nodes."""


def load(source: ModelLike) -> ir.Model:
    """Reads a model into a copy of its own.

    A file whose nodes are out of order is put in order: ONNX Runtime accepts and writes such files.

    Args:
        source: Path of an ONNX file, a ModelProto, or an onnx-ir model.

    Raises:
        ModelError: When there is no such file, it is no ONNX model, or the model is empty.
    """
    if isinstance(source, ir.Model):
        return source.clone()
    if isinstance(source, onnx.ModelProto):
        model = ir.from_proto(source)
    else:
        path = Path(source)
        if not path.is_file():
            raise ModelError(f"no model at '{path}': give the path of an ONNX file")
        try:
            model = ir.load(path)
        except Exception as error:  # protobuf, onnx-ir and json each raise their own kinds
            raise ModelError(
                f"'{path}' is no readable ONNX model ({_first_line(error)}): export it again, or check the download"
            ) from error
    if model.graph.num_nodes() == 0:
        raise ModelError(f"{describe(source)} holds no operators: export it again, or check the download")
    if not _is_ordered(model.graph, set()):
        try:
            model.graph.sort()
        except ValueError as error:
            raise ModelError(f"the nodes of {describe(source)} read each other in a circle: export it again") from error
    return model


def _is_ordered(graph: ir.Graph, made: set[ir.Node]) -> bool:
    """Whether all nodes, those of bodies included, come after those that they read."""
    for node in graph:
        producers = (value.producer() for value in node.inputs if value is not None)
        if any(producer is not None and producer not in made for producer in producers):
            return False
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH and not _is_ordered(attribute.as_graph(), made):
                return False
        made.add(node)
    return True


def describe(source: ModelLike) -> str:
    """Names a model in a message: its path, or the name of its graph."""
    if isinstance(source, ir.Model):
        return f"model '{source.graph.name}'"
    if isinstance(source, onnx.ModelProto):
        return f"model '{source.graph.name}'"
    return f"'{os.fspath(source)}'"


def tensor_bytes(model: ir.Model) -> int:
    """Bytes of all initializers, wherever they are kept."""
    return sum(value.const_value.nbytes for value in _initializers(model) if value.const_value is not None)


def is_large(model: ir.Model) -> bool:
    """Whether the model does not fit one protobuf message."""
    return tensor_bytes(model) > MESSAGE_LIMIT


def to_bytes(model: ir.Model) -> bytes:
    """The model as one serialised protobuf message, external data included; the same model gives the same bytes.

    Raises:
        ModelError: When it does not fit one message, or its external data is missing.
    """
    if is_large(model):
        raise ModelError(
            f"the model holds {tensor_bytes(model) / 2**30:.1f} GiB of weights, more than one protobuf message can: "
            "it is handled as a file with its data beside it"
        )
    if any(isinstance(value.const_value, ir.ExternalTensor) for value in _initializers(model)):
        try:
            model = ir.external_data.load_to_model(model.clone())
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{describe(model)} lacks its external data ({_first_line(error)}): put it beside the model"
            ) from error
    content: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return content


def save(model: ir.Model, path: str | os.PathLike[str]) -> Path:
    """Writes a model as one ONNX file, with its data beside it where it does not fit: all of it, or nothing.

    Raises:
        OutputError: When the file cannot be written.
    """
    path = Path(path)
    if not is_large(model):
        return write_atomically(path, to_bytes(model))
    check_writable(path)
    data = path.with_name(f"{path.name}.data")
    try:
        # On the same disk, so that moving the two finished files takes no time.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name[:64]}.") as folder:
            ir.save(model, Path(folder, path.name), external_data=data.name)
            os.replace(Path(folder, data.name), data)
            os.replace(Path(folder, path.name), path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from error
    return path


def write_atomically(path: Path, content: bytes) -> Path:
    """Writes a file under a temporary name beside it, then renames it.

    Raises:
        OutputError: When the folder does not exist or cannot be written.
    """
    check_writable(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def check_writable(path: Path) -> None:
    """Fails early, before hours of work, where a file could not be written later.

    Raises:
        OutputError: When the folder does not exist or takes no new files, or the path is a folder.
    """
    try:
        folder = path.is_dir()
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from error
    if folder:
        raise OutputError(f"cannot write '{path}': it is a folder; give a file name")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write '{path}': there is no folder '{path.parent}'; create it first")
    try:  # the only honest test: permissions, read-only mounts and quotas all count
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write into the folder '{path.parent}' ({error.strerror}): choose another with -o"
        ) from error


def check_output(path: Path, source: ModelLike, force: bool) -> None:
    """Refuses, before anything is computed, an output that cannot be written or would overwrite.

    Raises:
        OutputError: When the file cannot be written.
        OptionError: When it is the model itself, or exists and `force` is not given.
    """
    check_writable(path)
    if isinstance(source, (str, os.PathLike)) and path.exists() and os.path.exists(source) and path.samefile(source):
        raise OptionError(f"the output '{path}' is the model itself, which is never changed: choose another name")
    if path.exists() and not force:
        raise OptionError(f"'{path}' exists: choose another name, or give --force to replace it")


def default_output(source: Path) -> Path:
    """Where a protected model goes by default: `model.nf.onnx` beside `model.onnx`."""
    return source.with_name(f"{source.name.removesuffix('.onnx')}.nf.onnx")


def sha256(source: ModelLike) -> str:
    """Digest of the file's bytes, or, for a model in memory, of its serialised form.

    Where that does not fit one message, it is the digest of the tensors one by one, and of the rest.
    """
    if isinstance(source, ir.Model):
        if is_large(source):
            return _digest_in_parts(source)
        content = to_bytes(source)
    elif isinstance(source, onnx.ModelProto):
        content = source.SerializeToString(deterministic=True)
    else:
        content = Path(source).read_bytes()
    return hashlib.sha256(content).hexdigest()


def _digest_in_parts(model: ir.Model) -> str:
    digest, rest = hashlib.sha256(), model.clone()
    for value in _initializers(rest):
        if value.const_value is not None:
            digest.update(f"{value.name}\0{value.const_value.dtype}{value.const_value.shape}\0".encode())
            digest.update(value.const_value.tobytes())
            value.const_value = None
    digest.update(ir.to_proto(rest).SerializeToString(deterministic=True))
    return digest.hexdigest()


def _initializers(model: ir.Model) -> Iterator[ir.Value]:
    """Initializers of the main graph and of the bodies in it."""
    for graph in (model.graph, *model.graph.subgraphs()):
        yield from graph.initializers.values()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
