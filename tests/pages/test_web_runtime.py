"""Where the runtime of a page comes from."""

import io
import json
import tarfile

import pytest

from nfkit.errors import DataError
from nfkit.pages.web_runtime import SCRIPT, WASM, find_web_runtime

CONTENT = {f"dist/{SCRIPT}": b"export {}", f"dist/{WASM}": b"\0asm", "package.json": b'{"version": "9.8.7"}'}


def archive(path, content):
    with tarfile.open(path, "w:gz") as file:
        for name, data in content.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return path


def test_an_archive_and_its_folder_are_the_same(tmp_path):
    packed = find_web_runtime(archive(tmp_path / "any.tgz", CONTENT))
    for name, data in CONTENT.items():
        (tmp_path / "package" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / name).write_bytes(data)
    assert find_web_runtime(tmp_path / "package") == packed
    assert (packed.version, packed.script, packed.wasm) == ("9.8.7", b"export {}", b"\0asm")


def test_two_files_are_enough(tmp_path):
    for name in (SCRIPT, WASM):
        (tmp_path / name).write_bytes(b"x")
    assert find_web_runtime(tmp_path).version == "of unknown version"


@pytest.mark.parametrize("missing", [f"dist/{SCRIPT}", f"dist/{WASM}"])
def test_what_is_missing_is_named(tmp_path, missing):
    content = {name: data for name, data in CONTENT.items() if name != missing}
    with pytest.raises(DataError, match=rf"any\.tgz' holds no ONNX Runtime for browsers.*{missing}"):
        find_web_runtime(archive(tmp_path / "any.tgz", content))
    with pytest.raises(DataError, match="give the archive of the npm package onnxruntime-web"):
        find_web_runtime(tmp_path)


def test_what_is_no_archive(tmp_path):
    (tmp_path / "any.tgz").write_bytes(json.dumps({}).encode())
    with pytest.raises(DataError, match="holds no ONNX Runtime"):
        find_web_runtime(tmp_path / "any.tgz")
    with pytest.raises(DataError, match="holds no ONNX Runtime"):
        find_web_runtime(tmp_path / "absent.tgz")
