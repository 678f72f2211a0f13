"""A network layer with a deadline: whatever a server does, a call ends in time.

Time-outs on single reads do not bound a call: a server that sends one byte a minute, of a header even, keeps every one
of them. Here each read and write gets what is left until the deadline of the call that this thread is making.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

Clock = Callable[[], float]


class Deadline(httpcore.NetworkBackend):
    """Connections that know how long the present call may still take.

    Args:
        clock: Seconds that only grow.
        backend: What really connects.
    """

    def __init__(self, clock: Clock, backend: httpcore.NetworkBackend | None = None) -> None:
        self._clock, self._backend = clock, backend or httpcore.SyncBackend()
        self._call = threading.local()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """The calls of this thread in this block end within so many seconds."""
        self._call.ends = self._clock() + seconds
        try:
            yield
        finally:
            del self._call.ends

    def left(self, timeout: float | None, error: type[Exception]) -> float | None:
        """What a read or write may take, of the `timeout` that it asks for.

        Raises:
            error: When nothing is left.
        """
        ends = getattr(self._call, "ends", None)
        if ends is None:  # a connection that is closed outside of a call
            return timeout
        rest: float = ends - self._clock()
        if rest <= 0:
            raise error("the call took too long")
        return rest if timeout is None else min(timeout, rest)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Opens a connection."""
        timeout = self.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self, self._backend.connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """An open connection."""

    def __init__(self, deadline: Deadline, stream: httpcore.NetworkStream) -> None:
        self._deadline, self._stream = deadline, stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._deadline, self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
