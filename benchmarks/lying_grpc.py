"""A proxy over gRPC that lies in ten ways: see `lies`."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np
from lies import (
    CONTENT,
    ELSEWHERE,
    OVERSIZE,
    PAUSE,
    WAITS,
    answer_of,
    change_answer,
    change_description,
    forward,
    honest,
    numbers,
    reset_after,
)  # fmt: skip

from nfkit.access.grpc_messages import SERVICE, messages, parse, tensors_of
from nfkit.access.wire import encode


class GrpcProxy(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A lying proxy over gRPC, in front of a model's address over HTTP; `_Line` is where its line is broken."""

    def __init__(self, upstream: str) -> None:
        self.upstream, self.plan = urlsplit(upstream), honest()
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((self,))
        self._line = _Line(self._server.add_insecure_port("127.0.0.1:0"))
        self._server.start()

    @property
    def address(self) -> str:
        """Of the model, through the proxy."""
        return f"grpc://127.0.0.1:{self._line.port}{self.upstream.path}"

    def service(self, details: Any) -> Any:
        """The method that is asked for: bytes in, bytes out."""
        method: Callable[..., bytes] = getattr(self, details.method.removeprefix(SERVICE))
        return grpc.unary_unary_rpc_method_handler(method)

    def ServerMetadata(self, request: bytes, context: Any) -> bytes:  # noqa: N802
        """Describes the server."""
        struck = self.plan.strikes("server")
        return self._answer(struck, messages()["ServerMetadataResponse"](name="proxy"), context)

    def ModelMetadata(self, request: bytes, context: Any) -> bytes:  # noqa: N802
        """Describes the model."""
        fields = json.loads(forward(self.upstream, "GET", self.upstream.path, {}, b"")[1])
        struck = self.plan.strikes("model")
        if struck and self.plan.kind in CONTENT:
            fields = change_description(self.plan, fields)
        about = messages()["ModelMetadataResponse"](
            name=fields["name"], versions=fields["versions"], platform=fields["platform"]
        )
        for key in ("inputs", "outputs"):
            for tensor in fields[key]:
                getattr(about, key).add(**tensor)
        return self._answer(struck, about, context)

    def ModelInfer(self, request: bytes, context: Any) -> bytes:  # noqa: N802
        """Answers a question."""
        asked = parse("ModelInferRequest", request)
        if self.plan.plain and asked.raw_input_contents:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "typed contents alone")
        (entry,) = asked.inputs
        if asked.raw_input_contents:
            x = np.frombuffer(asked.raw_input_contents[0], "<f4").reshape(list(entry.shape))
        else:
            x = tensors_of(messages()["ModelInferResponse"](outputs=[entry]))[entry.name]
        headers, body = encode("inputs", {entry.name: x}, {}, binary=[entry.name], outputs={"scores": True})
        answer = answer_of(*forward(self.upstream, "POST", f"{self.upstream.path}/infer", headers, body))
        struck = self.plan.strikes("infer")
        if struck and self.plan.kind in CONTENT:
            answer = change_answer(self.plan, answer)
        reply = messages()["ModelInferResponse"](model_name=answer.model, model_version=answer.version)
        out = reply.outputs.add(name=answer.name, datatype=answer.datatype, shape=answer.shape)
        if self.plan.plain:
            wide = answer.datatype == "FP64"
            getattr(out.contents, "fp64_contents" if wide else "fp32_contents").extend(answer.scores.ravel().tolist())
        else:
            reply.raw_output_contents.append(numbers(answer))
        return self._answer(struck, reply, context)

    def _answer(self, struck: bool, message: Any, context: Any) -> bytes:
        """A reply, with the plan's fault of the line or without."""
        whole: bytes = message.SerializeToString()
        draw, kind = self.plan.random, self.plan.kind
        if not struck or kind in CONTENT:
            return whole
        if kind == "truncated":
            return whole[: draw.randrange(1, len(whole))]
        if kind == "huge body":
            return bytes(OVERSIZE)
        if kind == "server error":
            if wait := draw.choice(WAITS):
                context.set_trailing_metadata([("retry-after", wait)])
            codes = grpc.StatusCode
            code = draw.choice([codes.UNAVAILABLE, codes.RESOURCE_EXHAUSTED, codes.INTERNAL, codes.UNKNOWN])
            context.abort(code, "busy")
        peer = int(context.peer().rpartition(":")[2])
        if kind == "slow drip":
            self._line.drip(peer)
        elif kind == "redirect":
            self._line.redirect(peer, draw.choice([b"301", b"302", b"307", b"308"]), draw.choice(ELSEWHERE).encode())
        else:
            self._line.reset(peer, draw.choice([0, 20]))
        return whole

    def close(self) -> None:
        """Stops answering."""
        self._server.stop(None).wait()
        self._line.close()


class _Line:
    """Passes the bytes of HTTP/2 on to a port, and does to the line of one client what is asked for.

    https://www.rfc-editor.org/rfc/rfc9113 (frames: 3 bytes length, type, flags, 4 bytes stream), rfc7541 (headers).
    """

    def __init__(self, to: int) -> None:
        self._to, self._open = to, dict[int, dict[str, Any]]()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def drip(self, peer: int) -> None:
        """The answer to the last request, byte by byte until the client gives it up."""
        self._open[peer]["slow"].add(self._open[peer]["stream"])

    def reset(self, peer: int, after: int) -> None:
        """Breaks the connection, after so many bytes of another frame."""
        reset_after(self._open[peer]["client"], struct.pack(">I", 500)[1:] + bytes(after))

    def redirect(self, peer: int, status: bytes, location: bytes) -> None:
        """Answers the last request with a redirect, and with nothing else."""
        line = self._open[peer]
        # Literal fields without indexing: :status is entry 8 of the static table, location entry 46 (15 + 31).
        block = b"\x08" + bytes([len(status)]) + status + b"\x0f\x1f" + bytes([len(location)]) + location
        with line["lock"]:
            line["dropped"].add(line["stream"])
            line["client"].sendall(struct.pack(">I", len(block))[1:] + b"\x01\x05" + line["stream"] + block)

    def close(self) -> None:
        """Accepts no more."""
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                line = {
                    "client": client, "server": server, "slow": set(), "dropped": set(), "stream": bytes(4),
                    "lock": threading.Lock(),
                }  # fmt: skip
                self._open[server.getsockname()[1]] = line
                threading.Thread(target=self._up, args=(line,), daemon=True).start()
                threading.Thread(target=self._down, args=(line,), daemon=True).start()

    def _up(self, line: dict[str, Any]) -> None:
        """From client to server; the last stream that was opened is the last request."""
        with contextlib.suppress(OSError), line["server"], line["client"].makefile("rb") as source:
            line["server"].sendall(source.read(24))  # the preface
            while head := source.read(9):
                if head[3] == 1:  # HEADERS
                    line["stream"] = head[5:]
                elif head[3] == 3:  # RST_STREAM
                    line["slow"].discard(head[5:])
                line["server"].sendall(head + source.read(int.from_bytes(head[:3], "big")))

    def _down(self, line: dict[str, Any]) -> None:
        """From server to client, frame by frame."""
        with contextlib.suppress(OSError), line["client"], line["server"].makefile("rb") as source:
            while head := source.read(9):
                frame = head + source.read(int.from_bytes(head[:3], "big"))
                with line["lock"]:
                    if head[5:] in line["dropped"]:
                        continue
                    sent = 0
                    while head[5:] in line["slow"] and sent < len(frame):
                        line["client"].sendall(frame[sent : sent + 1])
                        sent += 1
                        time.sleep(PAUSE)
                    line["client"].sendall(frame[sent:])
