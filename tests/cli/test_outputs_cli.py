"""No command destroys what it reads, and none loses its result because of where it prints."""

import json
import os
import shutil
import subprocess

import pytest

CURVE = "volts,rate,energy\n0.7,0.1,0.5\n0.8,0.01,0.7\n0.9,0.001,0.8\n"
FAST = ["--generator", "conv-s", "--allow-loss", "--epochs", "0.01", "--chips", "1"]
# Each command, and the option of each of its outputs put onto each of its inputs, or onto another output.
COMMANDS = {
    "inspect": (["inspect", "base.onnx"], ["--json"], ["base.onnx"]),
    "energy": (["energy", "base.onnx", "--curve", "curve.csv"], ["--json"], ["base.onnx", "curve.csv"]),
    "inject": (["inject", "base.onnx", "-o", "new.onnx"], ["--json"], ["base.onnx", "new.onnx"]),
    "inject output": (["inject", "base.onnx"], ["-o"], ["base.onnx"]),
    "fold": (["fold", "base.onnx", "-o", "new.onnx"], ["--json"], ["base.onnx", "new.onnx"]),
    "split": (["split", "fused.nf.onnx"], ["--json", "--base", "--generator"], ["fused.nf.onnx"]),
    "split in two": (["split", "fused.nf.onnx", "--base", "new.onnx"], ["--json", "--generator"], ["new.onnx"]),
    "tune": (["tune", "fused.nf.onnx", "--caution", "2", "-o", "new.onnx"], ["--json"], ["fused.nf.onnx", "new.onnx"]),
    "transfer": (
        ["transfer", "fused.nf.onnx", "base.onnx", "--keep-patterns"], ["--json", "-o"], ["fused.nf.onnx", "base.onnx"],
    ),
    "plot": (["plot", "record.json"], ["-o"], ["record.json"]),
    "report": (["report", "record.json"], ["-o", "--json"], ["record.json"]),
    "evaluate": (["evaluate", "base.onnx", "--data", "data.npz"], ["--json", "--report"], ["base.onnx", "data.npz"]),
    "quantize": (["quantize", "base.onnx", "--data", "data.npz", "-o", "new.onnx"], ["--json"], ["data.npz"]),
    "protect": (
        ["protect", "base.onnx", "--data", "data.npz", "-o", "new.onnx", *FAST],
        ["--json"],
        ["base.onnx", "data.npz", "new.onnx"],
    ),
    "protect output": (["protect", "base.onnx", "--data", "data.npz", *FAST], ["-o"], ["base.onnx", "data.npz"]),
    "search": (
        ["search", "base.onnx", "--data", "data.npz", "-o", "found", "--widths", "8"],
        ["--json"],
        ["base.onnx", "data.npz"],
    ),
    "models": (["models", "export", "tiny", "-o", "new.onnx"], ["--json"], ["new.onnx"]),
}  # fmt: skip
CASES = {
    f"{name}: {option} {target}": (
        [*arguments, option, target, *(["--force"] if option not in ("--json", "--report") else [])]
    )
    for name, (arguments, options, targets) in COMMANDS.items()
    for option in options
    for target in targets
}


@pytest.fixture(scope="module")
def folder(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    shutil.copy(files.base, folder / "base.onnx")
    shutil.copy(files.fused, folder / "fused.nf.onnx")
    shutil.copy(files.data, folder / "data.npz")
    (folder / "curve.csv").write_text(CURVE)
    (folder / "record.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def outcome(run_all, folder):
    """The results of all cases, and the files before and after them."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    results = run_all({name: (arguments, folder) for name, arguments in CASES.items()})
    return results, before, {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("case", CASES)
def test_outputs_onto_inputs_or_each_other_are_refused(outcome, case):
    result = outcome[0][case]
    assert result.code == 1, result.err
    assert any(words in result.err for words in ("which is never changed", "give two names"))
    assert result.out == ""


def test_all_files_are_as_before(outcome):
    _, before, after = outcome
    assert after == before


def run(program, *arguments, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | options.pop("env", {})
    return subprocess.run([program, *arguments], check=False, env=environment, **options)


def test_ascii_terminals_show_what_they_can(program, folder):
    name = folder / "größe.onnx"
    shutil.copy(folder / "base.onnx", name)
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    result = run(program, "inspect", name, "--json", folder / "ascii.json", env=ascii_only, capture_output=True)
    assert (result.returncode, result.stderr) == (0, b"")
    assert rb"gr\xf6\xdfe.onnx: IR" in result.stdout
    assert json.loads((folder / "ascii.json").read_text())["model"]["path"] == str(name)
    name.unlink()


def test_names_that_are_no_text_are_read_and_written(program, folder):
    name = os.fsencode(folder) + b"/\xff\xfe.onnx"
    shutil.copy(folder / "base.onnx", name)
    output = name + b".faulty.onnx"
    result = run(program, "inject", name, "-o", output, "--json", folder / "bytes.json", capture_output=True)
    assert (result.returncode, result.stderr) == (0, b"")
    assert os.path.getsize(output) > os.path.getsize(name)
    assert os.fsencode(json.loads((folder / "bytes.json").read_text())["output"]) == output
    for path in (name, output):
        os.unlink(path)


def test_full_disks_behind_stdout_cost_no_record(program, folder):
    with open("/dev/full", "wb") as full:
        result = run(
            program,
            "inspect",
            folder / "base.onnx",
            "--json",
            folder / "full.json",
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert result.returncode == 1
    sentence = (
        "nfkit: the result cannot be printed (No space left on device); files that -o and --json name are written"
    )
    assert result.stderr.decode().splitlines() == [sentence]
    assert json.loads((folder / "full.json").read_text())["schema"] == "nfkit.inspect/1"


def test_pipes_that_nobody_reads_cost_no_record(program, folder):
    read, write = os.pipe()
    os.close(read)
    result = run(
        program, "inspect", folder / "base.onnx", "--json", folder / "pipe.json", stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (1, b"")
    assert json.loads((folder / "pipe.json").read_text())["schema"] == "nfkit.inspect/1"


def test_progress_that_cannot_be_shown_costs_no_result(program, folder):
    with open("/dev/full", "wb") as full:
        result = run(
            program, "energy", folder / "base.onnx", "--json", folder / "stderr.json",
            stdout=subprocess.PIPE, stderr=full,
        )  # fmt: skip
    assert result.returncode == 0
    assert (folder / "stderr.json").exists()
