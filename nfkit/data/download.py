"""Fetches published files once, checks them, and keeps them in a cache folder."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nfkit.errors import DataError

_log = logging.getLogger(__name__)

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Remote:
    """A published file.

    Attributes:
        url: Where it is published.
        checksum: Its digest, as `md5:<hex>` or `sha256:<hex>`.
    """

    url: str
    checksum: str


def cache_folder() -> Path:
    """`$NFKIT_CACHE`, or else `nfkit` in the user's cache folder."""
    if own := os.environ.get("NFKIT_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "nfkit"


def fetch(url: str, checksum: str, cache: Path, *, timeout: float = 30.0) -> Path:
    """Returns the file at `url`, from the folder `cache` where it is there already.

    The file appears in the cache only once it is complete and its checksum holds.

    Args:
        url: Where the file is published.
        checksum: Its digest, as `md5:<hex>` or `sha256:<hex>`.
        cache: The folder to keep it in; made where it is missing.
        timeout: Seconds that the server may stay silent.

    Raises:
        DataError: The file cannot be fetched, is not the published one, or cannot be kept.
    """
    path = cache / urllib.parse.unquote(Path(urllib.parse.urlsplit(url).path).name)
    algorithm = checksum.partition(":")[0]
    if path.is_file() and file_digest(path, algorithm) == checksum:
        return path
    # Two processes may fetch the same file at once; each writes its own part and the last one wins.
    partial = cache / f".{path.name}.{os.getpid()}.part"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            for chunk in _stream(url, path, timeout):
                file.write(chunk)
        found = file_digest(partial, algorithm)
        if found != checksum:
            raise DataError(
                f"{url} gave a file with checksum {found}, but the published one is {checksum}; "
                f"try again, or get the file elsewhere and put it at {path}."
            )
        partial.replace(path)
    except OSError as error:
        raise DataError(
            f"Cannot write to the cache folder {cache} ({error}); "
            "make room there, or set NFKIT_CACHE to a folder that can be written."
        ) from error
    finally:
        if cache.is_dir():
            partial.unlink(missing_ok=True)
    return path


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file as `<algorithm>:<hex>`."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"{algorithm}:{digest.hexdigest()}"


def _stream(url: str, path: Path, timeout: float) -> Iterator[bytes]:
    _log.info("fetching %s", url)
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            while chunk := response.read(_CHUNK):
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        host = urllib.parse.urlsplit(url).netloc
        raise DataError(
            f"Cannot fetch {path.name} from {host} ({reason}). Without a network, "
            f"get {url} elsewhere and put it at {path}, or give your own data with --data FILE.npz."
        ) from error
