"""What a proxy in front of a server of the Open Inference Protocol does, whether it speaks HTTP or gRPC itself."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
from typing import Any
from urllib.parse import SplitResult

import lies

from nfkit.access.wire import decode


def forward(upstream: SplitResult, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[Any, bytes]:
    """Headers and body of the server's own answer."""
    connection = http.client.HTTPConnection(upstream.netloc, timeout=60)
    connection.request(method, path, body or None, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return {k: v for k, v in response.getheaders() if k not in ("Server", "Date", "Content-Length")}, content


def answer_of(headers: dict[str, str], body: bytes) -> lies.Answer:
    """What a right reply over HTTP holds."""
    message = decode("outputs", {k.lower(): v for k, v in headers.items()}, body)
    scores = message.tensors["scores"]
    fields = message.fields
    return lies.Answer(scores, list(scores.shape), model=fields["model_name"], version=fields["model_version"])


def reset_after(connection: socket.socket, part: bytes) -> None:
    """Sends a part, and breaks the connection with RST."""
    with contextlib.suppress(OSError):
        connection.sendall(part)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
    connection.close()
