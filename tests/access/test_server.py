"""The server speaks the protocol as its specification words it, seen by a plain HTTP client."""

import http.client
import json
import socket
import threading

import numpy as np
import pytest

from nfkit.access.base import Description, FunctionBase, GraphBase, Tensor
from nfkit.access.server import Server
from nfkit.access.wire import LENGTH_HEADER, decode, encode
from nfkit.errors import AccessError, OutputError


@pytest.fixture
def ask(server):
    """ask(method, path, body, **headers): status, headers and body of the reply."""

    def call(method, path, body=None, headers=None, to=server):
        connection = http.client.HTTPConnection(to.address.split("/")[2], timeout=30)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, content

    return call


@pytest.mark.parametrize(
    "path", ["/v2/health/live", "/v2/health/ready", "/v2/models/linear/ready", "/v2/models/linear/versions/1/ready"]
)
def test_health(ask, path):
    assert ask("GET", path)[0] == 200


def test_metadata(ask):
    status, _, body = ask("GET", "/v2")
    assert status == 200
    assert json.loads(body)["extensions"] == ["binary_tensor_data"]
    expected = {
        "name": "linear",
        "versions": ["1"],
        "platform": "nfkit",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 3]}],
    }
    for path in ("/v2/models/linear", "/v2/models/linear/versions/1", "/v2/models/linear/"):
        status, _, body = ask("GET", path)
        assert (status, json.loads(body)) == (200, expected)


def test_inference_in_json(ask, model):
    x = np.array([[1, 2, 3, 4], [0, 0, 0, 1]], np.float32)
    request = {"id": "a", "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 4], "data": x.tolist()}]}
    status, headers, body = ask("POST", "/v2/models/linear/infer", json.dumps(request))
    assert (status, headers["content-type"]) == (200, "application/json")
    reply = json.loads(body)
    assert (reply["model_name"], reply["model_version"], reply["id"]) == ("linear", "1", "a")
    (output,) = reply["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("scores", "FP32", [2, 3])
    assert np.array_equal(np.array(output["data"], np.float32).reshape(2, 3), model(x))


@pytest.mark.parametrize("everything", [True, False])
def test_inference_in_raw_bytes(ask, model, everything):
    x = np.array([[1, 2, 3, 4]], np.float32)
    fields = {"parameters": {"binary_data_output": True}} if everything else {}
    headers, body = encode("inputs", {"x": x}, fields, binary=["x"], outputs=None if everything else {"scores": True})
    status, given, content = ask("POST", "/v2/models/linear/versions/1/infer", body, headers)
    assert status == 200
    assert content[int(given[LENGTH_HEADER.lower()]) :] == model(x).astype("<f4").tobytes()
    assert np.array_equal(decode("outputs", given, content).tensors["scores"], model(x))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"y": np.zeros((1, 4), np.float32)}, "takes one input, 'x' of FP32 [-1, 4]; given were ['y']"),
        ({}, "given were []"),
        ({"x": np.zeros((1, 4)), "z": np.zeros(1)}, "given were ['x', 'z']"),
        ({"x": np.zeros((1, 4), np.float64)}, "given was FP64 [1, 4]"),
        ({"x": np.zeros((1, 5), np.float32)}, "given was FP32 [1, 5]"),
        ({"x": np.zeros((0, 4), np.float32)}, "given was FP32 [0, 4]"),
        ({"x": np.zeros(4, np.float32)}, "given was FP32 [4]"),
    ],
)
def test_requests_are_held_to_the_model(ask, tensors, said):
    headers, body = encode("inputs", tensors, {})
    status, _, content = ask("POST", "/v2/models/linear/infer", body, headers)
    assert status == 400
    assert said in json.loads(content)["error"]


def test_other_requests_are_refused(ask):
    headers, body = encode("inputs", {"x": np.zeros((1, 4), np.float32)}, {}, outputs={"logits": False})
    status, _, content = ask("POST", "/v2/models/linear/infer", body, headers)
    assert (status, "'scores'; asked for was 'logits'" in json.loads(content)["error"]) == (400, True)
    assert ask("POST", "/v2/models/linear/infer", b"{")[0] == 400
    assert ask("POST", "/v2/models/other/infer", body, headers)[0] == 404
    assert ask("GET", "/v2/models/other")[0] == 404
    assert ask("GET", "/")[0] == 404
    assert ask("PUT", "/v2")[0] == 501


def test_a_body_without_end_or_beyond_the_limit(model):
    with Server(model, "linear", largest=1000) as small:
        host, port = small.address.split("/")[2].split(":")
        for head, expected in ((b"Content-Length: 100000000", b" 413 "), (b"Transfer-Encoding: chunked", b" 411 ")):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(b"POST /v2/models/linear/infer HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n")
                reply = b"".join(iter(lambda c=connection: c.recv(4096), b""))  # until the server hangs up
            assert expected in reply.splitlines()[0]


def test_a_model_that_fails_is_status_500(ask):
    def fail(x):
        raise ValueError("out of cells")

    base = FunctionBase(fail, Description("broken", "1", Tensor("x", "float32", (-1, 4)), 3))
    headers, body = encode("inputs", {"x": np.zeros((1, 4), np.float32)}, {})
    with Server(base, "broken") as running:
        status, _, content = ask("POST", "/v2/models/broken/infer", body, headers, to=running)
    assert status == 500
    assert "out of cells" in json.loads(content)["error"]


def test_clients_are_answered_at_the_same_time(ask):
    barrier = threading.Barrier(3, timeout=60)

    def together(x):
        barrier.wait()
        return np.zeros((len(x), 3), np.float32)

    base = FunctionBase(together, Description("slow", "1", Tensor("x", "float32", (-1, 4)), 3))
    headers, body = encode("inputs", {"x": np.zeros((1, 4), np.float32)}, {})
    statuses = []
    with Server(base, "slow") as running:
        path = "/v2/models/slow/infer"
        threads = [
            threading.Thread(target=lambda: statuses.append(ask("POST", path, body, headers, running)[0]))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200, 200, 200]


def test_a_port_that_is_taken(server, model):
    port = int(server.address.split("/")[2].split(":")[1])
    with pytest.raises(OutputError, match=f"cannot listen on 127.0.0.1:{port} .*--port"):
        Server(model, "linear", port=port)
    with pytest.raises(OutputError, match="cannot listen on"):
        Server(model, "linear", port=99999)


def test_a_graph_at_an_address_answers_as_the_graph(connect, zoo):
    base = GraphBase(zoo.model, threads=1)
    x = zoo.spec.encode(zoo.test.x[:20])
    with Server(base, "résumé net") as running:
        endpoint = connect(running.address, batch=20)
        assert np.array_equal(endpoint(x), base(x))
        assert endpoint.about.classes == 10
        with pytest.raises(AccessError, match="status 404"):
            connect(running.address.replace("net", "not"))
