"""A proxy over HTTP that lies in ten ways: see `lies`."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import lies
from lying_proxy import answer_of, forward, reset_after

from nfkit.access.wire import LENGTH_HEADER


class HttpProxy(ThreadingHTTPServer):
    """A lying proxy over HTTP, in front of a model's address."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.plan = urlsplit(upstream), lies.honest()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def address(self) -> str:
        """Of the model, through the proxy."""
        return f"http://127.0.0.1:{self.server_address[1]}{self.upstream.path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up on a fault are what is tried here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HttpProxy

    def do_GET(self) -> None:
        plan = self.server.plan
        body = forward(self.server.upstream, self.command, self.path, {}, b"")[1]
        what = "server" if self.path == "/v2" else "model"
        if what == "server" and plan.plain:
            body = json.dumps(json.loads(body) | {"extensions": []}).encode()
        struck = plan.strikes(what)
        if struck and plan.of_content:
            body = json.dumps(lies.change_description(plan, json.loads(body)) if what == "model" else {"extensions": 1})
            body = body.encode()
        self.answer(struck and not plan.of_content, {"Content-Type": "application/json"}, body)

    def do_POST(self) -> None:
        plan, asked = self.server.plan, self.rfile.read(int(self.headers["Content-Length"]))
        if plan.plain and LENGTH_HEADER in self.headers:
            return self.reply(400, {}, b'{"error": "no JSON"}')
        headers, body = forward(self.server.upstream, "POST", self.path, dict(self.headers.items()), asked)
        struck = plan.strikes("infer")
        if struck and plan.of_content:
            headers, body = _encode_http(lies.change_answer(plan, answer_of(headers, body)), LENGTH_HEADER in headers)
        return self.answer(struck and not plan.of_content, headers, body)

    def answer(self, struck: bool, headers: dict[str, str], body: bytes) -> None:
        """Replies, with the plan's fault of the line or without."""
        if not struck:
            self.reply(200, headers, body)
            return
        draw, kind = self.server.plan.random, self.server.plan.kind
        self.close_connection = True
        head = "".join(f"{k}: {v}\r\n" for k, v in {**headers, "Content-Length": len(body)}.items())
        whole = f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body
        if kind == "redirect":
            self.reply(draw.choice([301, 302, 307, 308]), {"Location": draw.choice(lies.ELSEWHERE)}, b"")
        elif kind == "server error":
            wait = {"Retry-After": w} if (w := draw.choice(lies.WAITS)) else {}
            self.reply(draw.choice([429, 500, 502, 503, 504]), wait, b'{"error": "busy"}')
        elif kind == "slow drip":
            at_once = draw.randrange(len(whole) // 2)
            self.wfile.write(whole[:at_once])
            for i in range(at_once, len(whole)):
                self.wfile.write(whole[i : i + 1])
                time.sleep(lies.PAUSE)
        elif kind == "huge body":
            announced = draw.random() < 0.5
            size = f"Content-Length: {draw.choice([lies.OVERSIZE, 10**12, 10**18])}" if announced else "X-Size: none"
            self.wfile.write(f"HTTP/1.1 200 OK\r\n{size}\r\n\r\n".encode() + bytes(0 if announced else lies.OVERSIZE))
        elif kind == "truncated" and draw.random() < 0.5:  # whole, by its header
            self.reply(200, headers, body[: draw.randrange(len(body))])
        elif kind == "truncated":
            self.wfile.write(whole[: draw.randrange(len(whole))])
        else:
            reset_after(self.connection, whole[: draw.choice([0, 0, len(whole) // 2, len(whole) - 1])])

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Sends a whole reply."""
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def _encode_http(answer: lies.Answer, binary: bool) -> tuple[dict[str, str], bytes]:
    """A reply over HTTP that states what it holds as the answer does, right or wrong."""
    entry: dict[str, Any] = {"name": answer.name, "datatype": answer.datatype, "shape": answer.shape}
    raw = answer.raw
    if binary:
        entry["parameters"] = {"binary_data_size": len(raw)}
    else:
        entry["data"] = answer.scores.ravel().tolist()  # NaN as Python writes it, which no JSON has
    head = json.dumps({"model_name": answer.model, "model_version": answer.version, "outputs": [entry]}).encode()
    if not binary:
        return {"Content-Type": "application/json"}, head
    return {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(head))}, head + raw
