"""Labels where there are none: the clean base's own answers."""

from __future__ import annotations

import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.data import Dataset
from nfkit.errors import DataError
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.plausibility import refuse_reconstruction


def label_by(model: ir.Model, data: Dataset, spec: InputSpec, *, level: Level = "all") -> Dataset:
    """Takes what the base answers without errors for labels, in place of any that the data has.

    Accuracy on the result means agreement with the clean base: how often an answer is what it would have been at
    nominal voltage, whether that is right or not.

    Args:
        model: A frozen base, or a fused model, whose base answers.
        data: The samples.
        spec: The model's input.
        level: Optimisation level of ONNX Runtime.

    Raises:
        DataError: The samples do not fit the model, or it answers one of them with no number.
        ModelError: ONNX Runtime fails, or the model is no classifier.
    """
    base = split(model)[1] if is_fused(model) else model
    runner = Runner(base, level=level)
    x = spec.encode(data.x)
    refuse_reconstruction(runner, x, data)
    y = runner.classify(x)
    if (y < 0).any():
        raise DataError(
            f"{data.name}: the model answers sample {int((y < 0).argmax())} with no number (NaN), so it has no label; "
            "remove such samples, or check the model"
        )
    return data.changed(y=y, labels="base")
