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

from nfkit.errors import ModelError, OutputError
from nfkit.outputs import PathLike, check_outputs, check_writable, find_target, write_atomically
from nfkit.rim.external import check_external, external_files, locations, set_base, with_data
from nfkit.rim.failures import first_line, model_errors
from nfkit.rim.gate import check_model
from nfkit.rim.growth import check_growth
from nfkit.rim.sparse import make_dense

ModelLike = Union[str, "os.PathLike[str]", onnx.ModelProto, ir.Model]
"""What every public function accepts as a model."""

MESSAGE_LIMIT = 2**31 - 2**20
"""Bytes of tensors up to which a model is one protobuf message; what remains of 2 GiB is for its nodes."""

_PATH = "nfkit.path"  # never part of a file
_CHUNK = 2**22  # bytes of data that are read at once


def load(source: ModelLike) -> ir.Model:
    """Reads a model into a copy of its own.

    A file whose nodes are out of order is put in order: ONNX Runtime accepts and writes such files. Data beside the
    file is mapped, not read.

    Args:
        source: Path of an ONNX file, a ModelProto, or an onnx-ir model.

    Raises:
        ModelError: When there is no such file, it is no valid ONNX model (see `nfkit.rim.gate`), or its data is
            missing.
    """
    name = describe(source)
    if isinstance(source, ir.Model):
        with model_errors(f"{name} cannot be copied"):
            copy = source.clone()
        _name_standard_domain(copy)
        return copy
    proto, folder = _read(source, name)
    with model_errors(f"{name} is no valid model"):  # names that are no text, above all
        check_model(proto, name)
        proto = make_dense(proto, folder)
    with model_errors(f"{name} cannot be read"):
        model = ir.from_proto(proto)
    _name_standard_domain(model)
    set_base(model, folder)
    check_external(model, name)
    if not _is_ordered(model.graph, set()):
        try:
            model.graph.sort()
        except ValueError as error:
            raise ModelError(f"the nodes of {name} read each other in a circle: export it again") from error
    with model_errors(f"{name} is no valid model"):
        check_growth(model, name)
    if not isinstance(source, onnx.ModelProto):
        model.meta[_PATH] = Path(source).absolute()
    return model


def _read(source: PathLike | onnx.ModelProto, name: str) -> tuple[onnx.ModelProto, str]:
    """The message, and the folder that its external data is looked for in."""
    if isinstance(source, onnx.ModelProto):
        return source, os.getcwd()
    path = Path(source)
    try:
        found = path.is_file()
    except (OSError, ValueError):  # such as a name that no file system takes
        found = False
    if not found:
        raise ModelError(f"no model at {name}: give the path of an ONNX file")
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf and onnx each raise their own kinds
        raise ModelError(
            f"{name} is no readable ONNX model ({first_line(error)}): export it again, or check the download"
        ) from error
    return proto, str(path.parent.absolute())


def check_loaded(model: object) -> None:
    """Refuses what is no model in memory, in functions that take nothing else.

    Raises:
        ModelError: With what it is, and how to read it.
    """
    if not isinstance(model, ir.Model):
        kind = type(model).__name__
        raise ModelError(f"this takes a model in memory, not {kind}: read it with nfkit.load_model first")


def source_path(model: ir.Model) -> Path | None:
    """The file that `load` read a model from; None for a copy of it, and for what came from no file."""
    path: Path | None = model.meta.get(_PATH)
    return path


def _name_standard_domain(model: ir.Model) -> None:
    """Calls the standard operators' domain by its usual name, the empty one, as onnx-ir does in the nodes."""
    for imports in (model.opset_imports, *(function.opset_imports for function in model.functions.values())):
        if "ai.onnx" in imports:
            version = imports.pop("ai.onnx")
            imports.setdefault("", version)


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
    """Names a model in a message: its path, or the name of its graph.

    Raises:
        ModelError: When it is nothing that can hold a model.
    """
    if isinstance(source, (ir.Model, onnx.ModelProto)):
        return f"model '{source.graph.name}'"
    if not isinstance(source, (str, os.PathLike)):
        hint = " (onnx.load_from_string reads bytes)" if isinstance(source, (bytes, bytearray, memoryview)) else ""
        raise ModelError(
            f"a model is a path, an onnx.ModelProto or an onnx_ir.Model, not {type(source).__name__}{hint}"
        )
    return f"'{os.fsencode(source).decode(errors='backslashreplace')}'"


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
    whole = with_data(model)
    with model_errors(f"{describe(model)} cannot be serialised"):
        content: bytes = ir.to_proto(whole).SerializeToString(deterministic=True)
    return content


def save(model: ir.Model, path: PathLike) -> Path:
    """Writes a model as one ONNX file, with its data beside it where it does not fit: all of it, or nothing.

    Raises:
        OutputError: When the file cannot be written.
    """
    path = Path(path)
    if not is_large(model):
        return write_atomically(path, to_bytes(model))
    check_writable(path)
    target = find_target(path)
    if target.exists() and not target.is_file():
        raise OutputError(f"cannot write '{path}': the model needs two files, give the name of one")
    data = target.with_name(f"{target.name}.data")
    if data.exists() and any(file.exists() and data.samefile(file) for file in external_files(model)):
        raise OutputError(
            f"cannot write '{path}': its data would replace the model's own '{data}'; choose another name"
        )
    try:
        # On the same disk, so that moving the two finished files takes no time.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".nfkit.") as folder:
            with model_errors(f"{describe(model)} cannot be serialised"):
                ir.save(model, Path(folder, target.name), external_data=data.name)
            os.replace(Path(folder, data.name), data)
            os.replace(Path(folder, target.name), target)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from error
    return path


def files_of(source: ModelLike) -> list[Path]:
    """The files that a model is kept in: its own and those of its external data; none for a model in memory.

    Raises:
        ModelError: When there is no such file, or it is no ONNX model.
    """
    if isinstance(source, ir.Model):
        return external_files(source)
    proto, folder = _read(source, describe(source))
    own = [] if isinstance(source, onnx.ModelProto) else [Path(source)]
    return [*own, *(Path(folder, location) for location in locations(proto))]


def check_output(path: PathLike, source: ModelLike, force: bool) -> None:
    """Refuses, before anything is computed, an output that cannot be written or would overwrite.

    Raises:
        OutputError: When the file cannot be written.
        OptionError: When it is the model itself or its data, or exists and `force` is not given.
    """
    check_outputs({"-o": path}, model_inputs("the model", source), force=force)


def model_inputs(name: str, source: ModelLike) -> Iterator[tuple[str, PathLike]]:
    """The files of a model as `nfkit.outputs.check_outputs` takes them; one that cannot be read has none."""
    if isinstance(source, (str, os.PathLike)):
        yield name, source
    try:
        files = files_of(source)
    except ModelError:  # said by what reads it
        return
    yield from ((f"the data of {name}", file) for file in files)


def default_output(source: Path) -> Path:
    """Where a protected model goes by default: `model.nf.onnx` beside `model.onnx`."""
    return source.with_name(f"{source.name.removesuffix('.onnx')}.nf.onnx")


def sha256(source: ModelLike) -> str:
    """Digest of the file's bytes, or, for a model in memory, of its serialised form.

    A single file has the digest that `sha256sum` gives; where it keeps data beside it, the name and the bytes of each
    file of data follow its own. Where a model in memory does not fit one message, it is the digest of the tensors one
    by one, and of the rest.

    Raises:
        ModelError: When the data beside a file is missing.
    """
    if isinstance(source, ir.Model):
        if is_large(source):
            return _digest_in_parts(source)
        content = to_bytes(source)
    elif isinstance(source, onnx.ModelProto):
        content = source.SerializeToString(deterministic=True)
    else:
        return _digest_of_files(Path(source))
    return hashlib.sha256(content).hexdigest()


def _digest_of_files(path: Path) -> str:
    content = path.read_bytes()
    digest = hashlib.sha256(content)
    if b"location" in content:  # the key of what lies beside; spares reading the model where there is nothing
        for file in sorted(external_files(load(path))):
            digest.update(f"\0{os.path.relpath(file, path.parent.absolute())}\0".encode())
            with open(file, "rb") as data:
                while part := data.read(_CHUNK):
                    digest.update(part)
    return digest.hexdigest()


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
