"""A base at an address: answers the Open Inference Protocol (v2) over HTTP, on this machine unless told otherwise.

A stand-in for a device or a service, in tests, demos and hardware-in-the-loop work. Requests are held to what the model
takes, by name, type and shape; JSON and the binary extension are understood. It knows no users: whoever reaches the
port may ask.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from nfkit.access.base import Base, Scores
from nfkit.access.wire import BINARY, Message, WireError, datatype, decode, dumps, encode
from nfkit.errors import NfkitError, OutputError
from nfkit.version import __version__

if TYPE_CHECKING:
    from typing_extensions import Self

_OUTPUT = "scores"
_SILENCE = 60.0
"""Seconds after which a silent connection is closed."""


class Server:
    """Serves one base until it is closed.

    Args:
        base: What answers. It is asked by several threads at a time.
        name: The model's name in its address.
        version: Its version, which clients compare.
        host: Address to listen on.
        port: Port; 0 for one that is free.
        largest: Bytes of a request.

    Raises:
        OutputError: When the port cannot be had.
    """

    def __init__(
        self,
        base: Base,
        name: str,
        *,
        version: str = "1",
        host: str = "127.0.0.1",
        port: int = 0,
        largest: int = 256 * 2**20,
    ) -> None:
        self.base, self.name, self.version, self.largest = base, name, version, largest
        try:
            self._http = _Http((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise OutputError(f"cannot listen on {host}:{port} ({error}): choose another --port, or 0") from error
        self._http.served = self
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """The model's address."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}/v2/models/{quote(self.name, safe='')}"

    def serve(self) -> None:
        """Answers until `close` is called from another thread, or the program is interrupted."""
        self._http.serve_forever(poll_interval=0.05)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve, name="nfkit-server", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops answering, and frees the port."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            self._thread = None
        self._http.server_close()

    def describe(self) -> dict[str, Any]:
        """The model's metadata, as the protocol words it."""
        about = self.base.about
        taken = {"name": about.input.name, "datatype": datatype(about.input.dtype), "shape": [-1, *about.input.sample]}
        given = {"name": _OUTPUT, "datatype": "FP32", "shape": [-1, about.classes]}
        if about.answers == "top-1":
            given |= {"datatype": "INT64", "shape": [-1]}
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": "nfkit",
            "inputs": [taken],
            "outputs": [given],
        }

    def infer(self, message: Message) -> tuple[dict[str, str], bytes]:
        """Answers a request.

        Raises:
            WireError: When it does not fit the model.
            NfkitError: When the model fails.
        """
        about = self.base.about
        expected = f"'{about.input.name}' of {datatype(about.input.dtype)} {[-1, *about.input.sample]}"
        if list(message.tensors) != [about.input.name]:
            raise WireError(f"the model takes one input, {expected}; given were {list(message.tensors)}")
        x = message.tensors[about.input.name]
        if x.dtype.name != about.input.dtype or x.ndim < 1 or x.shape[1:] != about.input.sample or not len(x):
            raise WireError(f"the model takes {expected}; given was {datatype(x.dtype.name)} {list(x.shape)}")
        if unknown := [name for name in message.wanted if name not in ("", _OUTPUT)]:
            raise WireError(f"the model gives '{_OUTPUT}'; asked for was {unknown[0]!r}")
        scores: Scores = self.base(x)
        given = scores.argmax(axis=1).astype(np.int64) if about.answers == "top-1" else scores
        fields: dict[str, Any] = {"model_name": self.name, "model_version": self.version}
        if "id" in message.fields:
            fields["id"] = message.fields["id"]
        raw = [_OUTPUT] if any(message.wanted.values()) else []
        return encode("outputs", {_OUTPUT: given}, fields, binary=raw)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    served: Server

    def server_bind(self) -> None:
        """Binds, without asking for the host's name as the parent does: that may wait for a name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of the server."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = f"nfkit/{__version__}", ""
    timeout = _SILENCE
    disable_nagle_algorithm = True  # headers and body go in two writes, and the second must not wait for the first
    server: _Http

    def do_GET(self) -> None:
        """Health and metadata."""
        served = self.server.served
        model = f"/v2/models/{quote(served.name, safe='')}"
        known: dict[str, Any] = {
            "/v2": {"name": "nfkit", "version": __version__, "extensions": [BINARY]},
            "/v2/health/live": {},
            "/v2/health/ready": {},
        }
        for path in (model, f"{model}/versions/{served.version}"):
            known |= {path: served.describe(), f"{path}/ready": {}}
        if self.path.rstrip("/") in known:
            self._reply(200, {"Content-Type": "application/json"}, dumps(known[self.path.rstrip("/")]))
        else:
            self._refuse(404, f"nothing at {self.path[:200]}; the model is at {model}")

    def do_POST(self) -> None:
        """Inference."""
        served = self.server.served
        model = f"/v2/models/{quote(served.name, safe='')}"
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return self._end(411, "the request states no Content-Length")
        if int(length) > served.largest:
            return self._end(413, f"the request has more than {served.largest:,} bytes")
        body = self.rfile.read(int(length))
        if self.path not in (f"{model}/infer", f"{model}/versions/{served.version}/infer"):
            return self._refuse(404, f"nothing at {self.path[:200]}; the model answers at {model}/infer")
        if len(body) < int(length):
            return self._end(400, "the request ends early")
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            reply_headers, reply = served.infer(decode("inputs", headers, body))
        except WireError as error:
            return self._refuse(400, str(error))
        except NfkitError as error:
            return self._refuse(500, str(error))
        return self._reply(200, reply_headers, reply)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a request may be one of thousands."""

    def _end(self, status: int, message: str) -> None:
        """Refuses a request whose body stays unread, so that nothing more can be read from the connection."""
        self.close_connection = True
        self._refuse(status, message)

    def _refuse(self, status: int, message: str) -> None:
        self._reply(status, {"Content-Type": "application/json"}, dumps({"error": message}))

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
