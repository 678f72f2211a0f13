"""The protocol's bodies: what one end writes the other reads, and nothing that is wrong is read as if it were right."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nfkit.access.wire import LENGTH_HEADER, WireError, datatype, decode, encode

TYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
TYPES += ["float16", "float32", "float64"]


def lower(headers):
    return {name.lower(): value for name, value in headers.items()}


@given(
    array=st.sampled_from(TYPES).flatmap(
        lambda dtype: arrays.arrays(
            dtype,
            arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False} if "float" in dtype else None,
        )
    ),
    binary=st.booleans(),
)
def test_an_array_arrives_bit_by_bit(array, binary):
    headers, body = encode("inputs", {"v": array}, {"id": "7"}, binary=["v"] if binary else [], outputs={"s": binary})
    message = decode("inputs", lower(headers), body)
    assert (message.fields["id"], message.wanted) == ("7", {"s": binary})
    assert message.tensors["v"].dtype == array.dtype
    assert message.tensors["v"].shape == array.shape
    assert message.tensors["v"].tobytes() == array.tobytes()


def test_the_bytes_are_those_of_the_protocol():
    headers, body = encode("inputs", {"v": np.array([[1, -2]], np.int16)}, {}, binary=["v"])
    head = json.loads(body[: int(headers[LENGTH_HEADER])])
    assert head == {
        "inputs": [{"name": "v", "datatype": "INT16", "shape": [1, 2], "parameters": {"binary_data_size": 4}}]
    }
    assert body[int(headers[LENGTH_HEADER]) :] == struct.pack("<hh", 1, -2)
    _, plain = encode("outputs", {"v": np.array([[1.5]], np.float32)}, {"model_name": "m"})
    assert json.loads(plain) == {
        "model_name": "m",
        "outputs": [{"name": "v", "datatype": "FP32", "shape": [1, 1], "data": [1.5]}],
    }


def test_nested_data_and_mixed_encodings_are_read():
    raw = struct.pack("<f", 2.5)
    head = json.dumps(
        {
            "outputs": [
                {"name": "a", "datatype": "INT8", "shape": [2, 2], "data": [[1, 2], [3, 4]]},
                {"name": "b", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
                {"name": "c", "datatype": "FP32", "shape": [2], "data": [1, 2]},
            ]
        }
    ).encode()
    tensors = decode("outputs", {LENGTH_HEADER.lower(): str(len(head))}, head + raw).tensors
    assert {name: array.tolist() for name, array in tensors.items()} == {"a": [[1, 2], [3, 4]], "b": [2.5], "c": [1, 2]}


def entry(**changes):
    return {"name": "v", "datatype": "FP32", "shape": [2], "data": [1.0, 2.0]} | changes


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JSON object with a list of 'outputs'"),
        ({"outputs": {}}, "no JSON object with a list"),
        ({"outputs": [7]}, "has no name"),
        ({"outputs": [entry(name=3)]}, "has no name"),
        ({"outputs": [entry(datatype="BYTES", data=["a", "b"])]}, "'BYTES' is none of"),
        ({"outputs": [entry(datatype=None)]}, "'None' is none of"),
        ({"outputs": [entry(shape=[-1, 2])]}, r"shape \[-1, 2\]"),
        ({"outputs": [entry(shape=[2.0])]}, "shape"),
        ({"outputs": [entry(shape=[True, 2])]}, "shape"),
        ({"outputs": [entry(shape=None)]}, "shape None"),
        ({"outputs": [entry(shape=[3])]}, "holds 2 numbers"),
        ({"outputs": [entry(shape=[10**12])]}, "holds 2 numbers"),
        ({"outputs": [entry(shape=[2**40, 2**40, 0], data=[])]}, r"shape \[1099511627776, .*which no array has"),
        ({"outputs": [entry(shape=[1] * 80, data=[1.0])]}, "which no array has"),
        ({"outputs": [entry(shape=[2**40, 2**40, 0], parameters={"binary_data_size": 0})]}, "which no array has"),
        ({"outputs": [entry(data=[1.0, None])]}, "not all numbers"),
        ({"outputs": [entry(data=["1", "2"])]}, "not all numbers"),
        ({"outputs": [entry(data=[[1.0], [1.0, 2.0]])]}, "is no array"),
        ({"outputs": [entry(data=None)]}, "holds 1 numbers"),
        ({"outputs": [entry(datatype="INT8", data=[1, 200])]}, "exceeds its type int8"),
        ({"outputs": [entry(datatype="UINT8", data=[1, -1])]}, "exceeds its type uint8"),
        ({"outputs": [entry(datatype="INT8", data=[1, 2.5])]}, "not all numbers"),
        ({"outputs": [entry(parameters={"binary_data_size": 8})]}, "says 8 bytes, 0 are left"),
        ({"outputs": [entry(parameters={"binary_data_size": -8})]}, "says -8 bytes"),
        ({"outputs": [entry(parameters={"binary_data_size": "8"})]}, "says 8 bytes"),
    ],
)
def test_what_is_wrong_is_named(body, said):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(WireError, match=said):
        decode("outputs", {}, content)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999", "²"])
def test_a_wrong_length_of_the_head(length):
    with pytest.raises(WireError, match="header Inference-Header-Content-Length says"):
        decode("outputs", {LENGTH_HEADER.lower(): length}, b"{}")


def test_bytes_that_belong_to_nothing():
    headers, body = encode("outputs", {"v": np.zeros(3, np.float32)}, {}, binary=["v"])
    with pytest.raises(WireError, match="2 bytes follow the last tensor"):
        decode("outputs", lower(headers), body + b"xx")
    with pytest.raises(WireError, match="says 12 bytes, 10 are left"):
        decode("outputs", lower(headers), body[:-2])


def test_types_without_a_name():
    with pytest.raises(WireError, match="complex64"):
        datatype("complex64")


def test_json_is_the_same_without_the_fast_library():
    script = (
        "import sys; sys.modules['orjson'] = None\n"
        "import numpy as np\nfrom nfkit.access.wire import encode, decode\n"
        "x = np.array([[0.1, -3e-38], [1e30, 7]], np.float32)\n"
        "headers, body = encode('outputs', {'v': x, 'n': np.array([np.nan])}, {})\n"
        "sys.stdout.buffer.write(body)"
    )
    body = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    fields = json.loads(body)
    assert np.array(fields["outputs"][0]["data"], np.float32).tolist() == [
        np.float32(v) for v in (0.1, -3e-38, 1e30, 7)
    ]
    assert fields["outputs"][1]["data"] == [None]
