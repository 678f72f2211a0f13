"""The record of a quantisation."""

from __future__ import annotations

from pathlib import Path

from nfkit.reports.provenance import DataFacts, ModelFacts
from nfkit.reports.rendering import Overview, Readable, Table


class Quantized(Readable, frozen=True, kw_only=True, tag_field="schema", tag="nfkit.quantize/1"):
    """A float model in integers, and what that cost.

    Attributes:
        format: Form of the result.
        packed: Whether codes are stored in a type of their own bits.
        level: Optimisation level of ONNX Runtime.
        calibration: Samples that set the ranges.
        model: The float model.
        data: Samples that were measured on.
        versions: Versions of the software.
        output: The quantised file.
        bits: Bits of a weight.
        per_channel: Whether every output channel has a scale of its own.
        symmetric: Whether activations are int8 with zero point 0.
        lifted_from: The float model's opset, where it was too low to quantise.
        folded: Batch normalisations folded into weights.
        sites: Number of quantised weight initializers.
        codes: Number of their codes.
        float_accuracy: Share of the samples that the float model gets right.
        accuracy: Share that the quantised file gets right.
        float_bytes: Size of the float model, weights in other files included.
        bytes: Size of the quantised file.
        command: The command line behind the record, if there was one.
    """

    format: str
    packed: bool
    level: str
    calibration: DataFacts
    model: ModelFacts
    data: DataFacts
    versions: dict[str, str]
    output: str
    bits: int
    per_channel: bool
    symmetric: bool
    lifted_from: int | None
    folded: int
    sites: int
    codes: int
    float_accuracy: float
    accuracy: float
    float_bytes: int
    bytes: int
    command: str | None = None

    @property
    def path(self) -> Path:
        """The quantised file."""
        return Path(self.output)

    def overview(self) -> Overview:
        """Accuracy and size of both."""
        title = (
            f"{self.sites} weights of {self.codes:,} codes, {self.bits} bits; {self.data.n} samples of {self.data.name}"
        )
        rows = [
            (name, f"{100 * accuracy:.1f}", f"{size / 1024:.0f}")
            for name, accuracy, size in (
                ("float", self.float_accuracy, self.float_bytes),
                ("quantised", self.accuracy, self.bytes),
            )
        ]
        return Overview(self.output, title, Table(("model", "accuracy", "KiB"), tuple(rows)))

    def table(self) -> Table:
        """One row a model."""
        rows = (("float", self.float_accuracy, self.float_bytes), ("quantised", self.accuracy, self.bytes))
        return Table(("model", "accuracy", "bytes"), rows)
