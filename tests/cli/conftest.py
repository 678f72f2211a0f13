"""Files to give to the program, and the program itself."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx_ir as ir
import pytest
from typer.testing import CliRunner

from nfkit.cli.main import app
from nfkit.graph.fusion.fuse import fuse
from nfkit.model import load, save

# Runs many commands in one process, each as `nfkit ARGUMENTS` would: a process of its own for each costs a second.
DRIVER = """
import contextlib, io, json, os, sys, traceback
from nfkit.cli.main import main
results = {}
for name, (arguments, folder) in json.load(sys.stdin).items():
    os.chdir(folder)
    sys.argv, code = ["nfkit", *arguments], 0
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
            code = "traceback"
    results[name] = {"code": code, "out": out.getvalue(), "err": err.getvalue()}
json.dump(results, sys.stdout)
"""


@pytest.fixture(scope="session")
def program():
    """The installed console script."""
    return Path(sys.executable).with_name("nfkit")


@pytest.fixture(scope="session")
def run_all():
    """run_all({name: (arguments, folder)}): exit code, stdout and stderr of each command."""

    def run(commands):
        done = subprocess.run(
            [sys.executable, "-c", DRIVER],
            input=json.dumps({name: (arguments, str(folder)) for name, (arguments, folder) in commands.items()}),
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        return {name: SimpleNamespace(**result) for name, result in json.loads(done.stdout).items()}

    return run


@pytest.fixture(scope="session")
def invoke():
    """invoke(*arguments): runs the program in this process; it must succeed."""

    def run(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    return run


@pytest.fixture(scope="session")
def files(zoo, residual_generator, tmp_path_factory):
    """Paths of a base, a fused model, and images for both."""
    folder = tmp_path_factory.mktemp("files")
    with np.load(zoo.images) as stored:
        data = folder / "data.npz"
        np.savez(data, **{name: stored[name][:60] for name in stored.files})
    return SimpleNamespace(
        base=save(zoo.model, folder / "base.onnx"),
        fused=save(fuse(residual_generator(1, 28, 28), zoo.model, zoo.spec, {}), folder / "fused.nf.onnx"),
        data=data,
    )


@pytest.fixture(scope="session")
def float_model(parse):
    """The same kind of model without a single integer weight."""
    return parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        plain (float[N, 1, 28, 28] image) => (float[N, 10] logits)
        { f = Flatten (image)
          logits = MatMul (f, w) }
        """,
        w=np.ones((784, 10), np.float32),
    )


@pytest.fixture(scope="session")
def foreign_model(parse):
    """A model that runs, but has an operator without a gradient, and an input of unknown range."""
    return parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        foreign (float[N, 3, 3] x) => (float[N, 2] y)
        <float s = {0.5}>
        {
            [corner] d = Det (x)
            a = Constant <value = int64[1] {1}> ()
            u = Unsqueeze (d, a)
            w_f = DequantizeLinear (w, s)
            [head] y = MatMul (u, w_f)
        }
        """,
        w=np.ones((1, 2), np.int8),
    )


@pytest.fixture(scope="session")
def same():
    """same(one, other): whether two model files hold the same graph."""
    return lambda one, other: ir.to_proto(load(one)) == ir.to_proto(load(other))
