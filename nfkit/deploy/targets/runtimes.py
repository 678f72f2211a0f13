"""The targets' runtimes, where they are installed: files in, outputs out."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access import ort_format
from nfkit.access.runtime import Runner
from nfkit.data.download import cache_folder
from nfkit.deploy.targets.target import Target
from nfkit.errors import ModelError, NfkitError
from nfkit.pages.web_runtime import PUBLISHED, SCRIPT, VERSION, WASM, find_web_runtime

Feeds = dict[str, npt.NDArray[Any]]
Outputs = list[npt.NDArray[Any]]
Once = Callable[[Feeds], Outputs]
"""A file that is open in a runtime: a batch of samples in, all outputs out."""


def missing(target: Target) -> str | None:
    """What is missing to run a target here, as a sentence; None where nothing is."""
    if target.name == "onnxruntime-web":
        lacks = shutil.which("node") is None or not _web_archive().exists()
    else:
        lacks = find_spec(target.package) is None
    return f"{target.name} is not installed here, so that nothing was run: it needs {target.package}" if lacks else None


def installed_version(target: Target) -> str:
    """Version of the runtime that is installed."""
    try:
        return VERSION if target.name == "onnxruntime-web" else version(target.package)
    except PackageNotFoundError:
        return "of unknown version"


def run(target: Target, path: Path, feeds: Feeds, batch: int | None = None) -> Outputs:
    """All outputs of a file in a target's runtime, in the file's order.

    Args:
        target: The target; its runtime is installed.
        path: A file for it.
        feeds: Samples by input.
        batch: How many at once, where the model insists on a number; a multiple of these is given.

    Raises:
        ModelError: When the runtime refuses the file, or fails on it.
    """
    size = batch or (1 if target.one_sample else len(next(iter(feeds.values()))))
    try:
        once = _RUNTIMES[target.name](path)
        parts = [
            once({name: x[start : start + size] for name, x in feeds.items()})
            for start in range(0, len(next(iter(feeds.values()))), size)
        ]
    except NfkitError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        name = f"{target.name} {installed_version(target)}"
        raise ModelError(f"{name} fails on '{path.name}': {lines[0][:300]}") from error
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def scores_here(target: Target, model: ir.Model, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The first output of a model in ONNX Runtime, which a target's is compared with.

    ONNX Runtime's own targets are compared with what a plain session computes on this processor at the level of their
    files; others with the integers that do not depend on the processor.
    """
    if target.name == "ort-format":
        return Runner(model, level="extended", exact=False)(x)
    return Runner(model, exact=target.name != "onnxruntime")(x)


def _onnxruntime(path: Path) -> Once:
    return lambda feeds: ort_format.run(path, feeds)


def _openvino(path: Path) -> Once:
    import openvino

    # Otherwise some processors compute in bfloat16.
    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def once(feeds: Feeds) -> Outputs:
        results = model(feeds)
        return [np.array(results[output]) for output in model.outputs]

    return once


def _tract(path: Path) -> Once:
    import tract

    model = tract.onnx().load(str(path))
    names = [model.input_name(index) for index in range(model.input_count())]
    runnable = model.into_model().into_runnable()
    return lambda feeds: [np.array(out.to_numpy()) for out in runnable.run([feeds[name] for name in names])]


def _reference(path: Path) -> Once:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(str(path))
    return lambda feeds: [np.asarray(output) for output in evaluator.run(None, feeds)]


def _web(path: Path) -> Once:
    """Runs a file in node, as a browser would: samples and outputs go through files."""
    runtime = find_web_runtime(_web_archive())

    def once(feeds: Feeds) -> Outputs:
        with tempfile.TemporaryDirectory() as folder, as_file(files("nfkit.deploy.targets") / "web.mjs") as script:
            room, lines = Path(folder), []
            (room / SCRIPT).write_bytes(runtime.script)
            (room / WASM).write_bytes(runtime.wasm)
            for index, (name, x) in enumerate(feeds.items()):
                lines.append(f"{index} {x.dtype} {','.join(map(str, x.shape))} {name}")
                (room / f"feed{index}").write_bytes(np.ascontiguousarray(x).tobytes())
            (room / "feeds.txt").write_text("\n".join(lines), encoding="utf-8")
            command = ["node", str(script), str(path.resolve()), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ModelError(f"onnxruntime-web {VERSION} fails on '{path.name}': {done.stderr.strip()[-300:]}")
            return [_read(room / f"output{i}", line) for i, line in enumerate(_lines(room / "outputs.txt"))]

    return once


def _read(path: Path, described: str) -> npt.NDArray[Any]:
    """A tensor that `web.mjs` wrote: its bytes in a file, its type and extents in a line."""
    kind, extents = described.split(" ")
    dtype = np.dtype(np.bool_ if kind == "bool" else kind)
    return np.frombuffer(path.read_bytes(), dtype).reshape([int(extent) for extent in extents.split(",") if extent])


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _web_archive() -> Path:
    return cache_folder() / "onnxruntime-web" / PUBLISHED.url.rpartition("/")[2]


_RUNTIMES: dict[str, Callable[[Path], Once]] = {
    "onnxruntime": _onnxruntime,
    "ort-format": _onnxruntime,
    "onnxruntime-web": _web,
    "openvino": _openvino,
    "tract": _tract,
    "reference": _reference,
}
