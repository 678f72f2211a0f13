"""`protect` as torchrun starts it: one process writes, the other helps, and the file is that of one alone."""

import subprocess
import sys
import textwrap

import numpy as np
import onnx
import pytest

from nfkit.access.runtime import Runner
from nfkit.graph.input.discovery import find_input
from nfkit.model import save

pytest.importorskip("torch")

# Writes down how many steps the other process took part in, and is the program otherwise.
PROGRAM = """
import os, sys
from pathlib import Path
from nfkit.cli.main import main
from nfkit.learn import eopm_step
steps, pull = Path(f"rank{os.environ['RANK']}"), eopm_step.pull
steps.write_text("")
def pull_and_count(*given):
    steps.write_text(steps.read_text() + ".")
    return pull(*given)
eopm_step.pull = pull_and_count
main()
"""


@pytest.fixture(scope="module")
def folder(blocks, tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("torchrun"), np.random.default_rng(3)
    model = blocks()
    save(model, folder / "model.onnx")
    spec = find_input(model, value_range=(-4, 4), layout="NCHW")
    for name, count in (("train", 96), ("test", 40)):
        x = random.integers(0, 256, (count, 4, 4, 2), np.uint8)
        np.savez(folder / f"{name}.npz", x=x, y=Runner(model).classify(spec.encode(x)))
    (folder / "program.py").write_text(textwrap.dedent(PROGRAM))
    return folder


def started(folder, *arguments, processes):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "program.py"]
    command = [sys.executable, *(launcher if processes > 1 else ["-m", "nfkit"]), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def protect(folder, output, processes):
    return started(
        folder, "protect", "model.onnx", "--data", "train.npz", "--test-data", "test.npz", "-o", output, "--ber", "2%",
        "--epochs", "2", "--batch", "32", "--copies", "3", "--seed", "1", "--chips", "1", "--range", "-4", "4",
        "--input-layout", "NCHW", "--generator", "hint-8", "--answer", "both", "--residual", "--allow-loss",
        "--allow-low-accuracy", "--generator-precision", "float", "--precision", "float32",
        processes=processes,
    )  # fmt: skip


def tensors(path):
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def test_two_processes_make_the_file_of_one(folder):
    alone, both = (protect(folder, f"{count}.onnx", count) for count in (1, 2))
    assert (alone.returncode, both.returncode) == (0, 0), alone.stderr + both.stderr
    one, two = tensors(folder / "1.onnx"), tensors(folder / "2.onnx")
    assert one.keys() == two.keys()
    for name, value in one.items():  # the same terms, added in another order
        np.testing.assert_allclose(two[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
    # patterns and EOPM take 48 % of six steps, labels the rest, which need no frozen model
    assert len((folder / "rank1").read_text()) >= 2
    assert both.stdout.count("bit error rate  V/Vmin") == 1


def test_what_the_first_process_refuses_ends_all_with_one_sentence(folder):
    result = started(folder, "protect", "missing.onnx", processes=2)
    assert result.returncode == 1
    assert sum(line.startswith("nfkit: ") for line in result.stderr.splitlines()) == 1
    assert (folder / "rank1").read_text() == ""
