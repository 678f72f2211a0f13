"""Messages of the Open Inference Protocol (v2) over gRPC, as far as asking a model needs them.

Their descriptors are stated here, field by field, and protobuf makes classes of them: no generated code that asks for
one version of protobuf, and no file to compile. What is not stated (parameters) is skipped when read, as protobuf does.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/open_inference_grpc.proto
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from nfkit.access.wire import WireError, as_type, datatype, numpy_type, shaped

SERVICE = "/inference.GRPCInferenceService/"
"""What stands before the name of a method in its path."""

_PACKAGE = "inference"
_Kind = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "string": _Kind.TYPE_STRING, "int64": _Kind.TYPE_INT64, "int32": _Kind.TYPE_INT32, "uint32": _Kind.TYPE_UINT32,
    "uint64": _Kind.TYPE_UINT64, "bool": _Kind.TYPE_BOOL, "float": _Kind.TYPE_FLOAT, "double": _Kind.TYPE_DOUBLE,
    "bytes": _Kind.TYPE_BYTES,
}  # fmt: skip

# name of a field -> (number, type); a type in brackets repeats.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {"name": (1, "string"), "version": (2, "string"), "extensions": (3, "[string]")},
    "ModelMetadataRequest": {"name": (1, "string"), "version": (2, "string")},
    "TensorMetadata": {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "[int64]")},
    "ModelMetadataResponse": {
        "name": (1, "string"), "versions": (2, "[string]"), "platform": (3, "string"),
        "inputs": (4, "[TensorMetadata]"), "outputs": (5, "[TensorMetadata]"),
    },
    "InferTensorContents": {
        "bool_contents": (1, "[bool]"), "int_contents": (2, "[int32]"), "int64_contents": (3, "[int64]"),
        "uint_contents": (4, "[uint32]"), "uint64_contents": (5, "[uint64]"), "fp32_contents": (6, "[float]"),
        "fp64_contents": (7, "[double]"), "bytes_contents": (8, "[bytes]"),
    },
    "InferTensor": {
        "name": (1, "string"), "datatype": (2, "string"), "shape": (3, "[int64]"),
        "contents": (5, "InferTensorContents"),
    },
    "InferRequestedOutputTensor": {"name": (1, "string")},
    "ModelInferRequest": {
        "model_name": (1, "string"), "model_version": (2, "string"), "id": (3, "string"),
        "inputs": (5, "[InferTensor]"), "outputs": (6, "[InferRequestedOutputTensor]"),
        "raw_input_contents": (7, "[bytes]"),
    },
    "ModelInferResponse": {
        "model_name": (1, "string"), "model_version": (2, "string"), "id": (3, "string"),
        "outputs": (5, "[InferTensor]"), "raw_output_contents": (6, "[bytes]"),
    },
}  # fmt: skip

_CONTENTS = {
    "bool": "bool_contents", "int8": "int_contents", "int16": "int_contents", "int32": "int_contents",
    "int64": "int64_contents", "uint8": "uint_contents", "uint16": "uint_contents", "uint32": "uint_contents",
    "uint64": "uint64_contents", "float32": "fp32_contents", "float64": "fp64_contents",
}  # fmt: skip
"""Where typed contents of a type are; float16 travels as raw bytes alone."""


@cache
def messages() -> Mapping[str, Any]:
    """Classes of the messages by name."""
    file = descriptor_pb2.FileDescriptorProto(name="nfkit/open_inference.proto", package=_PACKAGE, syntax="proto3")
    for name, entries in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in entries.items():
            repeated, plain = kind.startswith("["), kind.strip("[]")
            label = _Kind.LABEL_REPEATED if repeated else _Kind.LABEL_OPTIONAL
            if plain in _KINDS:
                message.field.add(name=field, number=number, type=_KINDS[plain], label=label)
            else:
                of = f".{_PACKAGE}.{plain}"
                message.field.add(name=field, number=number, type=_Kind.TYPE_MESSAGE, type_name=of, label=label)
    pool = descriptor_pool.DescriptorPool()  # of our own: another library may have registered the same package
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


def parse(kind: str, content: bytes) -> Any:
    """A message of a kind, as it came.

    Raises:
        WireError: When it is none.
    """
    try:
        return messages()[kind].FromString(content)
    except DecodeError as error:
        raise WireError(f"the reply is no {kind} ({error})") from error


def infer_request(
    model: str, version: str, tensors: Mapping[str, npt.NDArray[Any]], outputs: Iterable[str], *, raw: bool
) -> Any:
    """A question, with its tensors as raw bytes or as typed contents.

    Raises:
        WireError: When a type has no typed contents.
    """
    kinds = messages()
    request = kinds["ModelInferRequest"](model_name=model, model_version=version)
    for name in outputs:
        request.outputs.add(name=name)
    for name, array in tensors.items():
        entry = request.inputs.add(name=name, datatype=datatype(array.dtype.name), shape=list(array.shape))
        if raw:
            request.raw_input_contents.append(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        elif (field := _CONTENTS.get(array.dtype.name)) is None:
            raise WireError(f"type {array.dtype} travels as raw bytes alone")
        else:
            getattr(entry.contents, field).extend(array.ravel().tolist())
    return request


def tensors_of(response: Any) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an answer, by name; nothing in it is believed before it is checked.

    Raises:
        WireError: When they are not what it says they are.
    """
    raw, found = list(response.raw_output_contents), dict[str, npt.NDArray[Any]]()
    if raw and len(raw) != len(response.outputs):
        raise WireError(f"{len(response.outputs)} outputs come with {len(raw)} raw contents")
    for i, entry in enumerate(response.outputs):
        name, dtype, shape = entry.name, np.dtype(numpy_type(entry.datatype)), list(entry.shape)
        if any(extent < 0 for extent in shape):
            raise WireError(f"tensor {name[:80]!r} has shape {str(shape)[:80]}")
        count = int(np.prod(shape, dtype=np.float64)) if shape else 1
        if raw:
            if len(raw[i]) != count * dtype.itemsize:
                raise WireError(f"tensor {name[:80]!r} of {dtype} {shape} comes with {len(raw[i])} bytes")
            numbers = np.frombuffer(raw[i], dtype.newbyteorder("<")).astype(dtype)
            found[name] = shaped(numbers, shape, name[:80])
            continue
        numbers = np.array(getattr(entry.contents, _CONTENTS.get(dtype.name, "bytes_contents")))
        if len(numbers) != count:
            raise WireError(f"tensor {name[:80]!r} of shape {shape} holds {len(numbers)} numbers")
        found[name] = as_type(shaped(numbers, shape, name[:80]), dtype, name[:80])
    return found
