"""What a result depends on besides its settings: digests of model and data, and versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import msgspec
import onnx_ir as ir

from nfkit.data import Dataset
from nfkit.graph.fusion.fused import BASE_SOURCE_KEY, is_fused
from nfkit.model import ModelLike, sha256
from nfkit.version import __version__


class ModelFacts(msgspec.Struct, frozen=True):
    """Which model was measured.

    Attributes:
        path: Its file, or the name of its graph where it came from no file.
        sha256: Digest of the file, or of the model as nfkit serialises it.
        base_sha256: Digest of the file that a fused model's base was read from; None where it does not say.
        protected: Whether a generator is in front.
    """

    path: str
    sha256: str
    base_sha256: str | None
    protected: bool


class DataFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which samples were used.

    Attributes:
        name: What messages call them.
        n: How many.
        sha256: Digest over samples and labels.
        labels: Whose labels: the data's own, or the clean base's, where accuracy means agreement with it.
    """

    name: str
    n: int
    sha256: str
    labels: str = "data"

    @property
    def measure(self) -> str:
        """What the share of right answers is."""
        return "agreement with the clean base" if self.labels == "base" else "accuracy"

    @classmethod
    def of(cls, data: Dataset) -> DataFacts:
        """The facts of a data set."""
        return cls(data.name, len(data), data.sha256, data.labels)


class Provenance(msgspec.Struct, frozen=True):
    """What a result depends on besides its settings.

    Attributes:
        model: The model.
        data: The samples.
        versions: Versions of nfkit, Python and the packages that numbers depend on.
    """

    model: ModelFacts
    data: DataFacts
    versions: dict[str, str]

    @classmethod
    def of(cls, source: ModelLike, model: ir.Model, data: Dataset) -> Provenance:
        """The provenance of a measurement.

        Args:
            source: Where the model came from, or is going to.
            model: The model as read.
            data: The samples.
        """
        path = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
        digest = sha256(path) if path is not None and os.path.exists(path) else sha256(model)
        fused = is_fused(model)
        facts = ModelFacts(
            path=path if path is not None else str(model.graph.name),
            sha256=digest,
            base_sha256=model.metadata_props.get(BASE_SOURCE_KEY) if fused else digest,
            protected=fused,
        )
        return cls(facts, DataFacts.of(data), versions())


def versions() -> dict[str, str]:
    """Versions of nfkit, Python and the packages that numbers depend on."""
    return {
        "nfkit": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in ("numpy", "onnx", "onnxruntime")},
    }


def describe(source: ModelLike, model: ir.Model, data: Dataset) -> dict[str, Any]:
    """Provenance of a measurement as plain values; the arguments are those of `Provenance.of`."""
    facts: dict[str, Any] = msgspec.to_builtins(Provenance.of(source, model, data))
    return facts


def describe_run() -> dict[str, Any]:
    """What any measurement depends on: versions."""
    return {"versions": versions()}
