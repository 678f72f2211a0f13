"""Calls over HTTP to a server that may fail, stall or lie: bounded in time and size, repeated where that may help.

A call is repeated after connections that fail or break, after replies that are cut or garbled, and after the status
codes that ask for it (408, 425, 429, 500, 502, 503, 504). The wait doubles each time, by a seeded random share of
itself (full jitter), unless the server says how long (Retry-After); what one call learns about waiting holds for all of
them. Redirects are never followed: they would carry data and token to a host that nobody named.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore

from nfkit.access.address import Credential, is_loopback
from nfkit.access.deadline import Clock, Deadline
from nfkit.access.replies import REFUSED, RETRIED, Reply
from nfkit.access.wire import WireError
from nfkit.errors import AccessError

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """What a call may take.

    Attributes:
        connect: Seconds until a connection stands.
        read: Seconds that the server may be silent.
        total: Seconds of one call, from its first byte to the last.
        body: Bytes of a reply.
        attempts: How often a call is made before it counts as failed.
        first_wait: Seconds that the first wait between attempts has at most; it doubles from there.
        longest_wait: Seconds that a wait has at most. A server that asks for more is believed, and left alone.
    """

    connect: float = 10.0
    read: float = 60.0
    total: float = 120.0
    body: int = 64 * 2**20
    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 60.0


class CallError(AccessError):
    """A call that failed for good: with the status of the last reply, or 0 where none came whole."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _PassingError(Exception):
    """What another attempt may mend."""

    def __init__(self, reason: str, *, wait: float | None = None, status: int = 0, begun: bool = True) -> None:
        super().__init__(reason)
        self.wait, self.status, self.begun = wait, status, begun


class Transport:
    """One server, asked by several threads.

    Args:
        server: Scheme, host and port.
        credential: What opens it.
        limits: What a call may take.
        clock: Seconds that only grow.
        sleep: Waits so many seconds; by default until `stop` is called at most.
        now: Seconds since 1970, for servers that name a date to come back at.
        seed: Seed of the jitter.
        connections: Calls at a time.
    """

    def __init__(
        self,
        server: str,
        credential: Credential,
        limits: Limits | None = None,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        now: Clock = time.time,
        seed: int = 0,
        connections: int = 4,
    ) -> None:
        self._server, self._credential, self.limits = server, credential, limits or Limits()
        self._clock, self._now, self._random = clock, now, random.Random(seed)
        self._stopped, self._lock, self._not_before = threading.Event(), threading.Lock(), float("-inf")
        self._sleep = sleep or self._stopped.wait
        self._deadline = Deadline(clock)
        self.retries = 0
        self._open(connections)

    def _open(self, connections: int) -> None:
        self._pool = _pool(self._server, self._deadline, connections)

    def call(
        self,
        method: str,
        url: str,
        read: Callable[[Reply], T],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        attempts: int | None = None,
        on_send: Callable[[], None] = lambda: None,
        on_refused: Callable[[], None] = lambda: None,
    ) -> T:
        """Makes a call until it succeeds or no attempt is left.

        Args:
            method: GET or POST.
            url: Absolute, on this server.
            read: Makes the result of a reply of status 200; a `WireError` counts as a garbled reply.
            headers: To add to the request.
            body: Of the request.
            attempts: In place of those of the limits.
            on_send: Called before each attempt.
            on_refused: Called after an attempt of which the server has done nothing.

        Raises:
            AccessError: When it failed for good; a `CallError` where no attempt succeeded.
        """
        wanted = attempts or self.limits.attempts
        failure = _PassingError("it was not asked")
        for attempt in range(wanted):
            self._wait_until_allowed()
            on_send()
            try:
                return self._once(method, url, read, headers or {}, body)
            except _PassingError as error:
                failure = error
                if not error.begun:
                    on_refused()
            except AccessError as error:
                if self._credential.redact(str(error)) != str(error):  # the server repeats what it was sent
                    raise AccessError(self._credential.redact(str(error))) from None
                raise
            if attempt + 1 < wanted:
                self._postpone(failure, attempt, url)
                with self._lock:
                    self.retries += 1
        tries = f"after {wanted} attempts" if wanted > 1 else "at once"
        message = self._credential.redact(f"{url} failed {tries}: {failure}")
        raise CallError(message, failure.status)

    def stop(self) -> None:
        """Ends all waiting; the calls that wait give up."""
        self._stopped.set()

    def resume(self) -> None:
        """Undoes `stop`."""
        self._stopped.clear()

    def close(self) -> None:
        """Closes all connections."""
        self._pool.close()

    def _once(self, method: str, url: str, read: Callable[[Reply], T], headers: Mapping[str, str], body: bytes) -> T:
        try:
            with self._deadline.within(self.limits.total), _translated(self.limits):
                reply = self._send(method, url, headers, body)
        except WireError as error:
            raise _PassingError(f"the reply cannot be read: {error}") from error
        if reply.status == 200:
            try:
                return read(reply)
            except WireError as error:
                raise _PassingError(f"the reply cannot be read: {error}") from error
        said = reply.excerpt()
        if reply.status in RETRIED:
            raise _PassingError(
                f"status {reply.status}{said}",
                wait=reply.wait(self._now), status=reply.status, begun=reply.status not in REFUSED,
            )  # fmt: skip
        raise CallError(self._credential.redact(f"{url} failed: {reply.explanation()}{said}"), reply.status)

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        limits = self.limits
        timeouts = {"connect": limits.connect, "read": limits.read, "write": limits.read, "pool": None}
        given = {"Accept-Encoding": "identity", "User-Agent": "nfkit", **headers, **self._credential.headers()}
        sent = list(given.items())
        if method == "POST":
            sent.append(("Content-Length", str(len(body))))
        with self._pool.stream(
            method, url, headers=sent, content=body or None, extensions={"timeout": timeouts}
        ) as response:
            received = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
            announced = received.get("content-length", "")
            if announced.isascii() and announced.isdigit() and int(announced) > limits.body:
                raise AccessError(f"{url} sends {int(announced):,} bytes, more than the {limits.body:,} allowed")
            chunks, size = [], 0
            for chunk in response.iter_stream():
                size += len(chunk)
                if size > limits.body:
                    raise AccessError(f"{url} sends more than the {limits.body:,} bytes allowed")
                chunks.append(chunk)
            if received.get("content-encoding", "identity").lower() not in ("", "identity"):
                raise AccessError(f"{url} compresses its replies, which it was asked not to do")
            return Reply(response.status, received, b"".join(chunks))

    def _wait_until_allowed(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                wait = self._not_before - self._clock()
            if wait <= 0:
                return
            self._sleep(wait)
        raise AccessError("another call to the same endpoint failed, so this one was not made")

    def _postpone(self, failure: _PassingError, attempt: int, url: str) -> None:
        """Sets when the next attempt of any thread may be made.

        Raises:
            AccessError: When the server wants to be left alone for longer than this program waits.
        """
        wait = failure.wait
        if wait is not None and wait > self.limits.longest_wait:
            raise AccessError(
                f"{url} asks to be left alone for {wait:.0f} s ({failure}): give the same command again then; what was "
                "answered is kept"
            )
        with self._lock:
            if wait is None:
                most = min(self.limits.longest_wait, self.limits.first_wait * 2**attempt)
                wait = most * self._random.random()
            self._not_before = max(self._not_before, self._clock() + wait)


@contextmanager
def _translated(limits: Limits) -> Iterator[None]:
    """What the network layer raises, as what may pass; a certificate that does not hold will not."""
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.ProxyError) as error:
        if "CERTIFICATE" in str(error).upper():
            raise AccessError(f"the server's certificate does not hold ({error}): no data was sent") from error
        raise _PassingError(f"no connection ({str(error) or type(error).__name__})", begun=False) from error
    except httpcore.TimeoutException as error:
        raise _PassingError(
            f"no whole reply within {limits.read:g} s of silence and {limits.total:g} s in all"
        ) from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise _PassingError(f"the connection broke ({str(error) or type(error).__name__})") from error


def _pool(server: str, deadline: Deadline, connections: int) -> httpcore.ConnectionPool:
    parts = urlsplit(server)
    proxies = {} if is_loopback(server) or proxy_bypass(parts.hostname or "") else getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None:
        return httpcore.ConnectionPool(max_connections=connections, network_backend=deadline)
    given = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    login = (given.username, given.password or "") if given.username is not None else None
    return httpcore.HTTPProxy(
        f"{given.scheme}://{given.hostname}:{given.port or 80}",
        proxy_auth=login, max_connections=connections, network_backend=deadline,
    )  # fmt: skip
