from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nfkit.data.download import Remote, cache_folder, fetch
from nfkit.errors import DataError

Publish = Callable[..., Remote]


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_fetches_once(publish: Publish, site_root: Path, tmp_path: Path, algorithm: str) -> None:
    remote = publish("data.bin", b"content", algorithm)
    path = fetch(remote.url, remote.checksum, tmp_path / "new" / "cache")
    assert path == tmp_path / "new" / "cache" / "data.bin"
    assert path.read_bytes() == b"content"
    (site_root / "data.bin").unlink()
    assert fetch(remote.url, remote.checksum, path.parent) == path


def test_wrong_checksum_leaves_nothing_behind(publish: Publish, tmp_path: Path) -> None:
    remote = publish("data.bin", b"other content")
    cache = tmp_path / "cache"
    with pytest.raises(DataError, match=r"checksum md5:\w+, but the published one is md5:0000;"):
        fetch(remote.url, "md5:0000", cache)
    assert list(cache.iterdir()) == []


def test_damaged_file_in_the_cache_is_replaced(publish: Publish, tmp_path: Path) -> None:
    remote = publish("data.bin", b"content")
    (tmp_path / "data.bin").write_bytes(b"cont")
    assert fetch(remote.url, remote.checksum, tmp_path).read_bytes() == b"content"


def test_offline(closed_port: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port}/data.bin"
    with pytest.raises(DataError) as caught:
        fetch(url, "md5:0000", tmp_path)
    sentence = str(caught.value)
    assert sentence.startswith(f"Cannot fetch data.bin from 127.0.0.1:{closed_port} (")
    assert "refused" in sentence
    assert f"put it at {tmp_path / 'data.bin'}" in sentence
    assert "--data FILE.npz" in sentence
    assert list(tmp_path.iterdir()) == []


def test_file_put_into_the_cache_by_hand(closed_port: int, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"content")
    checksum = "md5:" + hashlib.md5(b"content").hexdigest()
    url = f"http://127.0.0.1:{closed_port}/data.bin"
    assert fetch(url, checksum, tmp_path).read_bytes() == b"content"


def test_file_that_is_no_longer_published(publish: Publish, site_root: Path, tmp_path: Path) -> None:
    remote = publish("gone.bin", b"content")
    (site_root / "gone.bin").unlink()
    with pytest.raises(DataError, match=r"Cannot fetch gone\.bin .*\(404 "):
        fetch(remote.url, remote.checksum, tmp_path)


def test_cache_that_cannot_be_written(publish: Publish, tmp_path: Path) -> None:
    remote = publish("data.bin", b"content")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="set NFKIT_CACHE"):
        fetch(remote.url, remote.checksum, tmp_path / "file")


@pytest.fixture
def raw_server() -> Iterator[Callable[[bytes, Callable[[socket.socket], None]], str]]:
    """raw_server(head, more): the address of a server that answers one request with `head`, and goes on with `more`."""
    threads = []
    with contextlib.ExitStack() as stack:

        def serve(head: bytes, more: Callable[[socket.socket], None]) -> str:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def answer() -> None:
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):  # the client hangs up when it has had enough
                    connection.recv(65536)
                    connection.sendall(head)
                    more(connection)

            threads.append(threading.Thread(target=answer))
            threads[-1].start()
            return f"http://127.0.0.1:{listening.getsockname()[1]}/data.bin"

        yield serve
        for thread in threads:
            thread.join()


def without_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * 4096)


HEAD = b"HTTP/1.1 200 OK\r\n"


def test_a_file_that_announces_too_much_is_not_begun(raw_server: Callable[..., str], tmp_path: Path) -> None:
    url = raw_server(HEAD + b"Content-Length: 1000000\r\n\r\n", lambda connection: None)
    with pytest.raises(DataError, match=r"Cannot fetch data\.bin .*more than 999,999 bytes"):
        fetch(url, "md5:0000", tmp_path, largest=999_999)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_end_is_cut_off_by_size(raw_server: Callable[..., str], tmp_path: Path) -> None:
    url = raw_server(HEAD + b"\r\n", without_end)
    with pytest.raises(DataError, match=r"more than 100,000 bytes, too many"):
        fetch(url, "md5:0000", tmp_path, largest=100_000)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_keeps_coming_is_cut_off_by_time(raw_server: Callable[..., str], tmp_path: Path) -> None:
    url = raw_server(HEAD + b"Content-Length: 1000000000000\r\n\r\n", without_end)
    with pytest.raises(DataError, match=r"it takes longer than 0 seconds"):
        fetch(url, "md5:0000", tmp_path, longest=0.2, largest=10**15)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_falls_silent_is_left(raw_server: Callable[..., str], tmp_path: Path) -> None:
    done = threading.Event()
    url = raw_server(HEAD + b"Content-Length: 10\r\n\r\n12345", lambda connection: done.wait() and None)
    with pytest.raises(DataError, match=r"Cannot fetch data\.bin .*timed out"):
        fetch(url, "md5:0000", tmp_path, timeout=0.2)
    done.set()
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_breaks_off(raw_server: Callable[..., str], tmp_path: Path) -> None:
    url = raw_server(HEAD + b"Content-Length: 10\r\n\r\n12345", lambda connection: None)
    with pytest.raises(DataError, match=r"Cannot fetch data\.bin "):
        fetch(url, "md5:0000", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"NFKIT_CACHE": "/a"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/nfkit"),
        ({"NFKIT_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"HOME": "/c"}, "/c/.cache/nfkit"),
    ],
)
def test_cache_folder(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str) -> None:
    for name in ("NFKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)
