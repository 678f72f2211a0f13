"""A model behind an address, and a proxy in front of it that does what real servers do wrong."""

import http.client
import itertools
import json
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest

from nfkit.access.address import Credential, parse_address
from nfkit.access.base import Description, FunctionBase, Tensor
from nfkit.access.endpoint import Asking, Endpoint
from nfkit.access.server import Server
from nfkit.access.store import AnswerStore
from nfkit.access.transport import Transport
from nfkit.access.wire import decode, encode

CLASSES = 3
WEIGHTS = np.random.default_rng(0).normal(size=(4, CLASSES)).astype(np.float32)


def linear(x):
    """What the model behind the address computes: of each sample the same, whatever comes with it."""
    return (x[:, :, None] * WEIGHTS).sum(1)


class Clock:
    """Time that passes when somebody waits, and not otherwise."""

    def __init__(self):
        self.seconds, self.waits = 1000.0, []

    def __call__(self):
        return self.seconds

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.seconds += seconds


class Proxy(ThreadingHTTPServer):
    """Passes requests on. What it does to the answers is said by `faults`, one for each answer to a question."""

    daemon_threads = True

    def __init__(self, upstream, clock):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.clock = urlsplit(upstream), clock
        self.faults, self.requests, self.asked = iter(()), [], 0
        self.lock = threading.Lock()
        self.on_ask = lambda number: None
        self.describe = lambda fields: fields
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}{self.upstream.path}"

    def handle_error(self, request, client_address):
        """Clients that hang up on a fault are what is tested."""

    def stop(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        status, headers, body = self.forward(b"")
        if status == 200 and self.path == self.server.upstream.path:
            body = json.dumps(self.server.describe(json.loads(body))).encode()
        if self.path == "/v2":
            body = json.dumps({"extensions": getattr(self.server, "extensions", ["binary_tensor_data"])}).encode()
        self.reply(status, headers, body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            fault, number = next(self.server.faults, None), self.server.asked
            self.server.asked += 1
            self.server.requests.append((dict(self.headers.items()), body))
        self.server.on_ask(number)
        status, headers, answer = self.forward(body)
        if fault is None or status != 200:
            self.reply(status, headers, answer)
        else:
            FAULTS[fault](self, headers, answer)

    def forward(self, body):
        connection = http.client.HTTPConnection(self.server.upstream.netloc, timeout=30)
        connection.request(self.command, self.path, body or None, dict(self.headers.items()))
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, dict(response.getheaders()), content

    def reply(self, status, headers, body):
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def lie(change):
    """A well-formed reply of the wrong content: change(fields, array) gives (fields, array, name)."""

    def answer(handler, headers, body):
        message = decode("outputs", {k.lower(): v for k, v in headers.items()}, body)
        fields = {k: v for k, v in message.fields.items() if k != "outputs"}
        fields, array, name = change(fields, message.tensors["scores"].copy())
        given, content = encode("outputs", {name: array}, fields, binary=[name])
        handler.reply(200, given, content)

    return answer


def spoil(array):
    array[-1, 0] = np.nan
    return array


def status(code, text=b"", **headers):
    return lambda handler, _headers, _body: handler.reply(
        code, {k.replace("_", "-"): v for k, v in headers.items()}, text
    )


def reset(handler, _headers, _body):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def cut(handler, headers, body):
    handler.send_response_only(200)
    for name, value in {**headers, "Content-Length": str(len(body) + 1)}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = True


def drip(handler, headers, body):
    """Byte by byte, each after half a minute, and the last one never."""
    head = b"HTTP/1.1 200 OK\r\nX-Slow: "
    for byte in itertools.islice(itertools.cycle(head), 200):
        handler.server.clock.seconds += 30
        handler.wfile.write(bytes([byte]))
    handler.connection.recv(1)  # until the client hangs up
    handler.close_connection = True


def huge(handler, headers, body):
    handler.send_response_only(200)
    handler.send_header("Content-Length", str(10**12))
    handler.end_headers()
    handler.close_connection = True


def endless(handler, headers, body):
    handler.send_response_only(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    piece = b"0" * 2**16
    while True:  # until the client hangs up
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))


FAULTS = {
    "bare 500": status(500),
    "503": status(503, b'{"error": "busy"}', Retry_After="7"),
    "429 for an hour": status(429, b"slow down", Retry_After="3600"),
    "text": status(200, b"<html>welcome to our portal</html>"),
    "bad json": status(200, b'{"outputs": [{"name": "scores", "datatype": "FP32", "shape": [1, 3], "data": [1.0,'),
    "empty": status(200),
    "reset": reset,
    "cut": cut,
    "drip": drip,
    "huge": huge,
    "endless": endless,
    "redirect": status(307, b"", Location="https://elsewhere.example/v2/models/m/infer?key=1"),
    "nan": lie(lambda fields, array: (fields, spoil(array), "scores")),
    "shape": lie(lambda fields, array: (fields, array[:, :-1], "scores")),
    "dtype": lie(lambda fields, array: (fields, array.astype(np.float64), "scores")),
    "count": lie(lambda fields, array: (fields, array[:0], "scores")),
    "name": lie(lambda fields, array: (fields, array, "logits")),
    "version": lie(lambda fields, array: (fields | {"model_version": "2"}, array, "scores")),
    "model": lie(lambda fields, array: (fields | {"model_name": "other"}, array, "scores")),
}


@pytest.fixture(scope="session")
def model():
    """The model behind the address: linear, of three classes."""
    return FunctionBase(linear, Description("linear", "1", Tensor("x", "float32", (-1, 4)), CLASSES))


@pytest.fixture(scope="session")
def server(model):
    with Server(model, "linear") as running:
        yield running


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def intercept(clock):
    """intercept(address): a proxy in front of it."""
    running = []

    def start(address):
        running.append(Proxy(address, clock))
        return running[-1]

    yield start
    for proxy in running:
        proxy.stop()


@pytest.fixture
def proxy(server, intercept):
    return intercept(server.address)


@pytest.fixture
def connect(clock, tmp_path):
    """connect(address, **asking): an endpoint, closed after the test; answers are kept in one file a test."""
    opened = []

    def open_endpoint(address, *, token="", path=tmp_path / "answers.sqlite", limits=None, **asking):
        parsed = parse_address(address)
        asking = Asking(**{"batch": 4, "concurrency": 1, **asking})
        credential = Credential(token)
        transport = Transport(parsed.server, credential, limits, clock=clock, sleep=clock.sleep)
        store = AnswerStore(path)
        opened.extend([transport, store])
        return Endpoint(parsed, transport, store, asking)

    yield open_endpoint
    for resource in opened:
        resource.close()


@pytest.fixture
def x():
    return np.random.default_rng(1).normal(size=(10, 4)).astype(np.float32)


@pytest.fixture
def kinds():
    return SimpleNamespace(
        passing=["bare 500", "503", "text", "bad json", "empty", "reset", "cut", "drip"],
        final=["huge", "endless", "redirect", "nan", "shape", "dtype", "count", "name", "version", "model"],
    )
