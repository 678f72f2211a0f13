"""Calls over gRPC: the same bounds, attempts and waits as over HTTP, and replies in the same form.

A status of gRPC is told as the status of HTTP that means the same, so that what is tried again, what counts as a query
and what a message says are decided in one place. A request with raw tensors goes as raw contents, one in JSON as typed
ones: servers differ in which of the two they take, and the endpoint finds out.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from nfkit.access.address import Address, is_loopback, parse_address
from nfkit.access.grpc_messages import SERVICE, infer_request, messages, parse, tensors_of
from nfkit.access.replies import Reply
from nfkit.access.transport import Transport
from nfkit.access.wire import LENGTH_HEADER, decode, dumps, encode
from nfkit.errors import AccessError

_STATUS = {
    "INVALID_ARGUMENT": 400, "OUT_OF_RANGE": 400, "FAILED_PRECONDITION": 400, "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429, "ABORTED": 500, "INTERNAL": 500,
    "UNKNOWN": 500, "DATA_LOSS": 500, "CANCELLED": 500, "UNIMPLEMENTED": 501,
    # A server that is away and a connection that breaks look alike, so both count as asked.
    "UNAVAILABLE": 502, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
"""The status of HTTP that means the same."""


class GrpcTransport(Transport):
    """One server over gRPC, asked by several threads; the arguments are those of `Transport`."""

    def _open(self, connections: int) -> None:
        self._grpc: Any = importlib.import_module("grpc")
        parts = urlsplit(self._server)
        options = [
            ("grpc.max_receive_message_length", self.limits.body),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_http_proxy", 0 if is_loopback(self._server) else 1),
            ("grpc.primary_user_agent", "nfkit"),
            ("grpc.enable_retries", 0),  # attempts are counted, and they are counted here
        ]
        target = f"dns:///{parts.netloc}"
        if parts.scheme == "grpcs":
            self._channel = self._grpc.secure_channel(target, self._grpc.ssl_channel_credentials(), options)
        else:
            self._channel = self._grpc.insecure_channel(target, options)

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if method == "POST":
            return self._infer(parse_address(url.removesuffix("/infer")), headers, body)
        if url.endswith("/v2"):
            answer = self._ask("ServerMetadata", messages()["ServerMetadataRequest"](), "ServerMetadataResponse")
            return answer if isinstance(answer, Reply) else _as_json({"extensions": list(answer.extensions)})
        address = parse_address(url)
        request = messages()["ModelMetadataRequest"](name=address.name, version=unquote(address.version))
        answer = self._ask("ModelMetadata", request, "ModelMetadataResponse")
        if isinstance(answer, Reply):
            return answer
        described = {
            key: [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in getattr(answer, key)]
            for key in ("inputs", "outputs")
        }
        about = {"name": answer.name, "versions": list(answer.versions), "platform": answer.platform}
        return _as_json(about | described)

    def _infer(self, address: Address, headers: Mapping[str, str], body: bytes) -> Reply:
        asked = decode("inputs", {key.lower(): value for key, value in headers.items()}, body)
        outputs = [name for name in asked.wanted if name]
        request = infer_request(
            address.name, unquote(address.version), asked.tensors, outputs, raw=LENGTH_HEADER in headers
        )
        answer = self._ask("ModelInfer", request, "ModelInferResponse")
        if isinstance(answer, Reply):
            return answer
        tensors = tensors_of(answer)
        fields = {"model_name": answer.model_name, "model_version": answer.model_version}
        head, content = encode("outputs", tensors, fields, binary=tensors)
        return Reply(200, {key.lower(): value for key, value in head.items()}, content)

    def _ask(self, method: str, request: Any, answer: str) -> Any:
        """The answer of a method, or a reply that says how it failed."""
        call = self._channel.unary_unary(
            SERVICE + method,
            request_serializer=lambda message: message.SerializeToString(),
        )  # replies are parsed here: grpcio prints a traceback where one is no message
        secret = [(key.lower(), value) for key, value in self._credential.headers().items()]
        try:
            content = call(request, timeout=min(self.limits.total, self.limits.read), metadata=secret)
        except self._grpc.RpcError as error:
            code, said = error.code().name, str(error.details() or "")
            if code == "RESOURCE_EXHAUSTED" and "larger than max" in said:
                raise AccessError(f"{self._server} sends more than the {self.limits.body:,} bytes allowed") from error
            if code == "UNAVAILABLE" and "CERTIFICATE" in said.upper():
                raise AccessError(f"the server's certificate does not hold ({said[:200]}): no data was sent") from error
            trailing = {key: value for key, value in error.trailing_metadata() or () if isinstance(value, str)}
            wait = {"retry-after": trailing["retry-after"]} if "retry-after" in trailing else {}
            return Reply(_STATUS.get(code, 500), wait, f"{code}: {said}".encode())
        return parse(answer, content)


def _as_json(fields: Mapping[str, Any]) -> Reply:
    return Reply(200, {}, dumps(dict(fields)))
