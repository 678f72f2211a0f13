"""NeuralFuse as a remedy: a trained generator around a base that is not changed (Sun et al., NeurIPS 2024)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import onnx_ir as ir

from nfkit.energy import SystolicArray, count_fused
from nfkit.errors import ModelError
from nfkit.graph.fusion.fused import GENERATOR_KEY, is_fused
from nfkit.graph.fusion.split import split
from nfkit.model import load, sha256
from nfkit.remedies.base import Remedy


class NeuralFuse(Remedy):
    """A fused file runs in place of its base; the generator reads its weights at the nominal voltage.

    Args:
        fused: What `nfkit.remedies.neuralfuse.protect` made.
        label: How the file is called in reports; by default after its generator.

    Raises:
        ModelError: When the model is no fused one.
    """

    def __init__(self, fused: ir.Model, label: str = "") -> None:
        if not is_fused(fused):
            raise ModelError("the model holds no generator: give a file that nfkit protect made")
        self.fused = fused
        self.label = label or fused.metadata_props.get(GENERATOR_KEY, "generator")

    @classmethod
    def parse(cls, text: str) -> NeuralFuse:
        """Loads a fused file."""
        return cls(load(Path(text)), text)

    @property
    def name(self) -> str:
        """See `Remedy.name`."""
        return f"neuralfuse:{self.label}"

    @property
    def sentence(self) -> str:
        """See `Remedy.sentence`."""
        return f"a trained generator ({self.label}) runs with the base, at the nominal voltage"

    def graph(self, base: ir.Model) -> ir.Model:
        """See `Remedy.graph`.

        Raises:
            ModelError: When the generator was trained for another base.
        """
        if sha256(base) != self._base_digest:
            raise ModelError(f"{self.name} holds another base than the one that it is to protect: protect this one")
        return self.fused

    def added_accesses(self, array: SystolicArray) -> float:
        """See `Remedy.added_accesses`."""
        return count_fused(self.fused, array)[1].accesses

    @cached_property
    def _base_digest(self) -> str:
        return sha256(split(self.fused)[1])
