"""ONNX Runtime's own format: written and run as a device does that has no other."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime as ort

from nfkit.access import packed_products
from nfkit.errors import ModelError
from nfkit.model import to_bytes

_FATAL_ONLY = 4


def convert(model: ir.Model) -> tuple[bytes, bytes]:
    """A model in ONNX Runtime's format, optimised for any processor, and the list of operators that it needs.

    Returns:
        The file, and the configuration of a build of ONNX Runtime that holds no other operators.

    Raises:
        ModelError: When ONNX Runtime refuses the model.
    """
    from onnxruntime.tools.ort_format_model import utils

    with tempfile.TemporaryDirectory() as folder:
        path, needed = Path(folder, "model.ort"), Path(folder, "required_operators.config")
        options = _options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry("session.save_model_format", "ORT")
        try:
            _convert(model, options)
        except Exception as error:
            raise ModelError(f"ONNX Runtime {ort.__version__} refuses the model: {_first(error)}") from error
        logging.getLogger(utils.log.name).setLevel(logging.WARNING)  # it tells of every file that it writes
        with warnings.catch_warnings():  # it leaves the file to be closed by whoever collects it
            warnings.simplefilter("ignore", ResourceWarning)
            utils.create_config_from_models([path], needed, enable_type_reduction=False)
        return path.read_bytes(), needed.read_bytes()


def _convert(model: ir.Model, options: ort.SessionOptions) -> None:
    """Optimises a model, and writes it where the options say; without packing where that fails."""
    content, providers = to_bytes(model), ["CPUExecutionProvider"]
    try:
        ort.InferenceSession(content, options, providers=providers)
    except Exception as error:
        if packed_products.explain_refusal(error) is None:
            raise
        ort.InferenceSession(
            content, options, providers=providers, disabled_optimizers=[packed_products.REWRITING]
        )  # fmt: skip


def run(path: Path, feeds: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """All outputs of a file in ONNX's or ONNX Runtime's format, by a plain session as a device has it.

    Raises:
        ModelError: When ONNX Runtime refuses the file or the samples.
    """
    try:
        session = ort.InferenceSession(str(path), _options(), providers=["CPUExecutionProvider"])
        return [np.asarray(output) for output in session.run(None, feeds)]
    except Exception as error:
        why = packed_products.explain_refusal(error) or _first(error)
        raise ModelError(f"ONNX Runtime {ort.__version__} cannot run '{path}': {why}") from error


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
