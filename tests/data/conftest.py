from __future__ import annotations

import functools
import hashlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nfkit.data.download import Remote


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site_root(tmp_path: Path) -> Path:
    """The folder that `publish` serves."""
    root = tmp_path / "site"
    root.mkdir()
    return root


@pytest.fixture
def publish(site_root: Path) -> Iterator[Callable[..., Remote]]:
    """Puts a file on a web server on this machine: publish(name, content, algorithm="md5")."""
    handler = functools.partial(_QuietHandler, directory=str(site_root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def put(name: str, content: bytes, algorithm: str = "md5") -> Remote:
            (site_root / name).write_bytes(content)
            url = f"http://127.0.0.1:{server.server_port}/{name}"
            return Remote(url, f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")

        yield put
        server.shutdown()
        thread.join()


@pytest.fixture
def closed_port() -> Iterator[int]:
    # Bound but not listening: connections are refused, and no other process can take the port meanwhile.
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
