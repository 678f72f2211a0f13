"""ONNX Runtime for browsers: two files of the npm package onnxruntime-web, as it is published."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nfkit.data.download import Remote, cache_folder, fetch
from nfkit.errors import DataError

VERSION = "1.30.0"
PUBLISHED = Remote(
    f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz",
    "sha256:d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
)
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
_LARGEST = 100 << 20  # the package has 33 MB


@dataclass(frozen=True)
class WebRuntime:
    """What a page needs to run a model.

    Attributes:
        version: Version of the package, as it says.
        script: The JavaScript module.
        wasm: The WebAssembly that it starts.
    """

    version: str
    script: bytes
    wasm: bytes


def find_web_runtime(given: Path | None = None) -> WebRuntime:
    """Reads the runtime from where a user has it, else from the cache, which it is fetched into once.

    Args:
        given: The package's archive (`onnxruntime-web-*.tgz`), the folder it was unpacked into, or any folder with the
            two files; what is there is taken as it is. By default the pinned version, whose digest is checked.

    Raises:
        DataError: There is no such package, or it cannot be fetched.
    """
    if given is None:
        instead = f"give --runtime with the archive of the npm package onnxruntime-web {VERSION}, or a folder with it"
        folder = cache_folder() / "onnxruntime-web"
        given = fetch(PUBLISHED.url, PUBLISHED.checksum, folder, largest=_LARGEST, instead=instead)
    try:
        if given.is_dir():
            return _read(lambda name: _within(given, name).read_bytes())
        with tarfile.open(given) as archive:
            return _read(lambda name: _member(archive, name))
    except (OSError, KeyError, tarfile.TarError, ValueError) as error:
        raise DataError(
            f"'{given}' holds no ONNX Runtime for browsers ({error}): give the archive of the npm package "
            f"onnxruntime-web, or a folder with its {SCRIPT} and {WASM}"
        ) from error


def _read(content: Callable[[str], bytes]) -> WebRuntime:
    script, wasm = content(f"dist/{SCRIPT}"), content(f"dist/{WASM}")
    try:
        stated = json.loads(content("package.json"))["version"]
    except (OSError, KeyError, ValueError, TypeError):  # two files without the package they came in
        stated = "of unknown version"
    return WebRuntime(str(stated), script, wasm)


def _within(folder: Path, name: str) -> Path:
    """A file of the package in a folder that is the package, or its dist."""
    whole = folder / name
    return whole if whole.exists() else folder / Path(name).name


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"package/{name}")
    if file is None:
        raise KeyError(f"{name} is no file")
    return file.read()
