from __future__ import annotations

import hashlib
from collections.abc import Callable
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
    with pytest.raises(DataError, match=r"Cannot fetch gone\.bin .*not found"):
        fetch(remote.url, remote.checksum, tmp_path)


def test_cache_that_cannot_be_written(publish: Publish, tmp_path: Path) -> None:
    remote = publish("data.bin", b"content")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="set NFKIT_CACHE"):
        fetch(remote.url, remote.checksum, tmp_path / "file")


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
