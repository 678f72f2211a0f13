"""Outputs: never an input, never each other, whole or not at all, and no device or link replaced."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nfkit.errors import OptionError, OutputError
from nfkit.outputs import check_outputs, check_writable, find_target, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    """A model, its data, a folder of images, and a record."""
    (tmp_path / "m.onnx").write_bytes(b"\x08model")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(b"png")
    (tmp_path / "record.json").write_bytes(b'{"schema": 1}')
    (tmp_path / "data.npz").write_bytes(b"PK")
    return tmp_path


def inputs(folder):
    return [("the model", folder / "m.onnx"), ("the data", folder / "images"), ("the test data", folder / "data.npz")]


@pytest.mark.parametrize("option", ["-o", "--json"])
@pytest.mark.parametrize("through", ["itself", "symbolic", "hard", "dots", "folder", "relative"])
def test_an_input_is_never_an_output(folder, monkeypatch, option, through):
    source = folder / "m.onnx"
    output = {
        "itself": source,
        "symbolic": folder / "link",
        "hard": folder / "hard",
        "dots": folder / "images" / ".." / "m.onnx",
        "folder": folder / "by_link" / "m.onnx",
        "relative": Path("m.onnx"),
    }[through]
    (folder / "link").symlink_to("m.onnx")
    os.link(source, folder / "hard")
    (folder / "by_link").symlink_to(folder)
    monkeypatch.chdir(folder)
    with pytest.raises(OptionError, match="is the model itself, which is never changed: choose another name"):
        check_outputs({option: output}, inputs(folder), force=True)
    assert source.read_bytes() == b"\x08model"


def test_files_of_a_folder_of_data_are_never_outputs(folder):
    with pytest.raises(OptionError, match="is a file of the data, which is never changed"):
        check_outputs({"-o": folder / "images" / "1.png"}, inputs(folder), force=True)
    check_outputs({"-o": folder / "images" / "new.onnx"}, inputs(folder))
    assert names(folder / "images") == ["1.png"]


def test_names_that_are_no_files_are_no_inputs(folder):
    given = [("the data", "fashion-mnist"), ("the data", "module:function"), ("the test data", None), ("it", "a\0b")]
    check_outputs({"-o": folder / "m.onnx", "--json": None}, given, force=True)


def test_inputs_are_looked_at_only_where_an_output_exists(folder):
    def expensive():
        raise AssertionError
        yield

    check_outputs({"-o": folder / "new.onnx", "--json": folder / "new.json"}, expensive())


def test_two_outputs_are_two_files(folder):
    (folder / "link").symlink_to(folder / "new.onnx")  # leads to what is not there yet
    for other in (folder / "new.onnx", folder / "link", folder / "." / "new.onnx"):
        with pytest.raises(OptionError, match=r"-o and --json would both be written to '.*': give two names"):
            check_outputs({"-o": folder / "new.onnx", "--json": other})
    check_outputs({"-o": "/dev/null", "--json": "/dev/null"})


def test_records_are_replaced_by_records_alone(folder):
    check_outputs({"--json": folder / "record.json"})
    (folder / "empty").touch()
    check_outputs({"--json": folder / "empty"})
    with pytest.raises(OptionError, match=r"data\.npz' exists and is no record in JSON"):
        check_outputs({"--json": folder / "data.npz"}, force=True)
    with pytest.raises(OptionError, match=r"record\.json' exists: choose another name, or give --force"):
        check_outputs({"-o": folder / "record.json"})
    check_outputs({"-o": folder / "record.json"}, force=True)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m" * 256, r"the name has 256 bytes, file systems take 255"),
        ("é" * 128, r"the name has 256 bytes"),
        ("m" * 300 + "/x", r"the name has 300 bytes"),
        ("absent/x", r"there is no folder '.*absent'; create it first"),
        ("file/x", r"there is no folder '.*file'"),
        ("a\0b", r"null byte"),
        ("circle", r"its symbolic links lead in a circle"),
        ("circle/x", r"there is no folder|Too many levels"),
        ("dangling", r"there is no folder '.*nowhere'"),
        ("folder", r"it is a folder; give a file name"),
        ("folder_link", r"it is a folder; give a file name"),
    ],
)
def test_names_that_cannot_be_written(tmp_path, name, words):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder_link").symlink_to("folder")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "dangling").symlink_to("nowhere/x")
    before = names(tmp_path)
    for attempt in (check_writable, lambda path: write_atomically(path, b"x")):
        with pytest.raises(OutputError, match=words):
            attempt(os.path.join(tmp_path, name))
    assert names(tmp_path) == before


def test_homes_of_nobody_are_no_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=r"there is no folder '~nouser'; create it first; the shell knows no such"):
        check_writable("~nouser/x.onnx")


def test_the_longest_names_are_written(tmp_path):
    for name in ("m" * 255, "é" * 127, "\U0001f600" * 63):
        write_atomically(tmp_path / name, b"content")
        assert (tmp_path / name).read_bytes() == b"content"
    assert len(names(tmp_path)) == 3


def test_links_stay_and_what_they_lead_to_is_replaced_whole(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "real").write_bytes(b"before")
    os.link(tmp_path / "deep" / "real", tmp_path / "witness")
    (tmp_path / "second").symlink_to("deep/real")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    write_atomically(tmp_path / "first", b"after")
    assert (tmp_path / "deep" / "real").read_bytes() == b"after"
    assert (tmp_path / "witness").read_bytes() == b"before"  # replaced, not written into
    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "second").is_symlink()
    (tmp_path / "new").symlink_to("deep/not_yet")
    write_atomically(tmp_path / "new", b"made")
    assert (tmp_path / "new").is_symlink()
    assert (tmp_path / "deep" / "not_yet").read_bytes() == b"made"
    assert names(tmp_path / "deep") == ["not_yet", "real"]


def test_devices_are_written_into(tmp_path):
    before = os.stat("/dev/null")
    (tmp_path / "link").symlink_to("/dev/null")
    for path in ("/dev/null", tmp_path / "link"):
        check_outputs({"-o": path})
        write_atomically(path, b"content")
    after = os.stat("/dev/null")
    assert stat.S_ISCHR(after.st_mode)
    assert (after.st_ino, after.st_rdev) == (before.st_ino, before.st_rdev)
    with pytest.raises(OutputError, match="No space left"):
        write_atomically("/dev/full", b"x" * 100_000)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_pipes_are_written_into(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    check_outputs({"--json": pipe})
    write_atomically(pipe, b"content")
    reader.join(30)
    assert read == [b"content"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("into", ["pipe", "file"])
def test_what_the_shell_has_opened_is_written_in_order(tmp_path, name, into):
    code = f"from nfkit.outputs import write_atomically\nprint('a')\nwrite_atomically({name!r}, b'b\\n')\nprint('c')"
    if into == "pipe":
        text = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    else:
        with open(tmp_path / "out", "wb") as file:
            subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
        text = (tmp_path / "out").read_bytes()
    assert text == b"a\nb\nc\n"


def test_the_target_of_a_plain_name_is_itself(tmp_path):
    assert find_target(tmp_path / "x") == tmp_path.resolve() / "x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folders_without_write_permission_take_no_file(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write into the folder"):
        check_writable(tmp_path / "x")
