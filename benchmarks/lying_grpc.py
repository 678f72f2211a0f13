"""A proxy over gRPC that lies in ten ways: see `lies`."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import grpc
import lies
import numpy as np
from lying_line import Line
from lying_proxy import answer_of, forward

from nfkit.access.grpc_messages import SERVICE, messages, parse, tensors_of
from nfkit.access.wire import encode


class GrpcProxy(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A lying proxy over gRPC, in front of a model's address over HTTP; `lying_line` is where its line is broken."""

    def __init__(self, upstream: str) -> None:
        self.upstream, self.plan = urlsplit(upstream), lies.honest()
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((self,))
        self._line = Line(self._server.add_insecure_port("127.0.0.1:0"))
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
        if struck and self.plan.of_content:
            fields = lies.change_description(self.plan, fields)
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
        if struck and self.plan.of_content:
            answer = lies.change_answer(self.plan, answer)
        reply = messages()["ModelInferResponse"](model_name=answer.model, model_version=answer.version)
        out = reply.outputs.add(name=answer.name, datatype=answer.datatype, shape=answer.shape)
        if self.plan.plain:
            wide = answer.datatype == "FP64"
            getattr(out.contents, "fp64_contents" if wide else "fp32_contents").extend(answer.scores.ravel().tolist())
        else:
            reply.raw_output_contents.append(answer.raw)
        return self._answer(struck, reply, context)

    def _answer(self, struck: bool, message: Any, context: Any) -> bytes:
        """A reply, with the plan's fault of the line or without."""
        whole: bytes = message.SerializeToString()
        draw, kind = self.plan.random, self.plan.kind
        if not struck or self.plan.of_content:
            return whole
        if kind == "truncated":
            return whole[: draw.randrange(1, len(whole))]
        if kind == "huge body":
            return bytes(lies.OVERSIZE)
        if kind == "server error":
            if wait := draw.choice(lies.WAITS):
                context.set_trailing_metadata([("retry-after", wait)])
            codes = grpc.StatusCode
            code = draw.choice([codes.UNAVAILABLE, codes.RESOURCE_EXHAUSTED, codes.INTERNAL, codes.UNKNOWN])
            context.abort(code, "busy")
        peer = int(context.peer().rpartition(":")[2])
        if kind == "slow drip":
            self._line.drip(peer)
        elif kind == "redirect":
            self._line.redirect(
                peer, draw.choice([b"301", b"302", b"307", b"308"]), draw.choice(lies.ELSEWHERE).encode()
            )
        else:
            self._line.reset(peer, draw.choice([0, 20]))
        return whole

    def close(self) -> None:
        """Stops answering."""
        self._server.stop(None).wait()
        self._line.close()
