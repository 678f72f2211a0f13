"""What a result depends on besides its settings: digests of model and data, and versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import onnx_ir as ir

from nfkit.data import Dataset
from nfkit.graph.fusion.fused import BASE_SOURCE_KEY, is_fused
from nfkit.model import ModelLike, sha256
from nfkit.version import __version__


def describe(source: ModelLike, model: ir.Model, data: Dataset) -> dict[str, Any]:
    """Provenance of a measurement, for its record.

    Args:
        source: Where the model came from, or is going to.
        model: The model as read.
        data: The samples.
    """
    path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
    digest = sha256(path) if path is not None and os.path.exists(path) else sha256(model)
    fused = is_fused(model)
    return {
        "model": {
            "path": path if path is not None else model.graph.name,
            "sha256": digest,
            "base_sha256": model.metadata_props.get(BASE_SOURCE_KEY) if fused else digest,
            "protected": fused,
        },
        "data": {"name": data.name, "n": len(data), "sha256": data.sha256},
        **describe_run(),
    }


def describe_run() -> dict[str, Any]:
    """What any measurement depends on: versions."""
    return {
        "versions": {
            "nfkit": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in ("numpy", "onnx", "onnxruntime")},
        },
    }
