"""Fetches published files once, checks them, and keeps them in a cache folder: pooch, with limits."""

from __future__ import annotations

import hashlib
import logging
import os
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from nfkit.errors import DataError

_log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_LITTLE = 256
LARGEST = 4 << 30
"""Bytes beyond which no published data set is read: the largest known by name has 0.27 GB."""
LONGEST = 3600.0
"""Seconds that one file may take, however steadily it comes."""
_OWN_DATA = "give your own data with --data FILE.npz"


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


def fetch(
    url: str,
    checksum: str,
    cache: Path,
    *,
    timeout: float = 30.0,
    longest: float = LONGEST,
    largest: int = LARGEST,
    instead: str = _OWN_DATA,
) -> Path:
    """Returns the file at `url`, from the folder `cache` where it is there already.

    The file appears in the cache only once it is complete and its checksum holds.

    Args:
        url: Where the file is published.
        checksum: Its digest, as `md5:<hex>` or `sha256:<hex>`.
        cache: The folder to keep it in; made where it is missing.
        timeout: Seconds that the server may stay silent.
        longest: Seconds that the whole file may take.
        largest: Bytes that it may have.
        instead: What a user without it can do, to go on after "get it elsewhere, or".

    Raises:
        DataError: The file cannot be fetched within the limits, is not the published one, or cannot be kept.
    """
    import pooch
    import requests

    name = urllib.parse.unquote(Path(urllib.parse.urlsplit(url).path).name)
    path = cache / name
    algorithm = checksum.partition(":")[0]
    download = _Download(path, timeout, longest, largest, algorithm, instead)
    pooch.get_logger().setLevel(logging.ERROR)  # what it has to say, this module says
    try:
        # pooch writes under a temporary name beside it, and moves the file once its checksum holds.
        pooch.retrieve(url, checksum, fname=name, path=cache, downloader=download)
    except requests.RequestException as error:
        raise _unfetched(url, path, _reason(error), instead) from error
    except ValueError as error:
        if download.found is None:
            raise _unfetched(url, path, str(error), instead) from error
        raise DataError(
            f"{url} gave a file with checksum {download.found}, but the published one is {checksum}; "
            f"try again, or get the file elsewhere and put it at {path}."
        ) from error
    except OSError as error:
        raise DataError(
            f"Cannot write to the cache folder {cache} ({error}); "
            "make room there, or set NFKIT_CACHE to a folder that can be written."
        ) from error
    return path


class _Download:
    """A downloader for pooch that keeps limits of size and of total time.

    Attributes:
        found: Digest of what came, once all of it has.
    """

    def __init__(self, path: Path, timeout: float, longest: float, largest: int, algorithm: str, instead: str) -> None:
        self.path, self.timeout, self.longest, self.largest = path, timeout, longest, largest
        self.algorithm, self.instead = algorithm, instead
        self.found: str | None = None

    def __call__(
        self, url: str, output_file: str | os.PathLike[str] | IO[bytes], pooch: Any, check_only: bool = False
    ) -> None:
        """Fetches the file; called by pooch with the path to write to."""
        import requests
        from urllib3.exceptions import HTTPError

        _log.info("fetching %s", url)
        deadline = time.monotonic() + self.longest
        digest = hashlib.new(self.algorithm, usedforsecurity=False)
        size = 0
        # Packed on the way, the bytes would not be the published ones.
        headers = {"Accept-Encoding": "identity"}
        with requests.get(url, stream=True, timeout=self.timeout, headers=headers) as response:
            response.raise_for_status()
            announced = int(response.headers.get("Content-Length", 0))
            self._check(url, max(size, announced), deadline)
            try:
                with open(os.fspath(output_file), "wb") as file:  # type: ignore[arg-type]
                    # What has come so far, not a full buffer: a server that drips must not escape the deadline.
                    # Old versions of urllib3 wait for all that is asked for; they are asked for little.
                    read = getattr(response.raw, "read1", None) or response.raw.read
                    while chunk := read(_CHUNK if hasattr(response.raw, "read1") else _LITTLE):
                        size += len(chunk)
                        self._check(url, size, deadline)
                        digest.update(chunk)
                        file.write(chunk)
            except HTTPError as error:
                raise requests.ConnectionError(error) from error
            if announced and size < announced:
                raise requests.ConnectionError(f"the connection ended after {size:,} of {announced:,} bytes")
        self.found = f"{self.algorithm}:{digest.hexdigest()}"

    def _check(self, url: str, size: int, deadline: float) -> None:
        if size > self.largest:
            raise _unfetched(url, self.path, f"it has more than {self.largest:,} bytes, too many", self.instead)
        if time.monotonic() > deadline:
            raise _unfetched(url, self.path, f"it takes longer than {self.longest:,.0f} seconds", self.instead)


def _unfetched(url: str, path: Path, reason: str, instead: str) -> DataError:
    host = urllib.parse.urlsplit(url).netloc
    return DataError(
        f"Cannot fetch {path.name} from {host} ({reason}). Without a network, "
        f"get {url} elsewhere and put it at {path}, or {instead}."
    )


def _reason(error: Exception) -> str:
    """The innermost of the errors that a failed request wraps into each other."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.status_code} {response.reason}"
    inner: Any = error
    while (deeper := getattr(inner, "reason", None) or (inner.args[0] if inner.args else None)) is not None:
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    return str(inner) or type(inner).__name__
