"""A line of HTTP/2 that can be broken in mid-answer: `lying_grpc` puts one between a client and its server."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Any

import lies
from lying_proxy import reset_after


class Line:
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
                        time.sleep(lies.PAUSE)
                    line["client"].sendall(frame[sent:])
