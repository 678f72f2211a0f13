"""From a float model to a QDQ model with int8 weights, by ONNX Runtime's quantiser.

What that quantiser leaves behind (opset imports of domains that no node uses, its own name as producer, an IR
version of its choice) is put right, so that the result reads as the model that went in, quantised.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedOpsetsPass

from nfkit.errors import DataError, ModelError, OptionError

if TYPE_CHECKING:
    from onnxruntime.quantization import CalibrationDataReader

Feeds = dict[str, np.ndarray]
"""One batch of model inputs, by name."""

_BATCH = 64  # images of a calibration array that run at once, where the model leaves it open


def quantize_static(
    model: ir.Model,
    calibration: Iterable[Feeds] | np.ndarray,
    *,
    per_channel: bool = False,
    symmetric_activations: bool = False,
    activation: Literal["uint8", "int8"] = "uint8",
    exclude_ops: Collection[str] = (),
) -> ir.Model:
    """Quantises weights to symmetric int8 and activations to 8 bits, in QDQ form.

    Args:
        model: A float model, left as it is.
        calibration: Inputs that are typical of what the model will see: batches by input name or, for a model
            of one input, an array [N, ...]. The least and the greatest activations set the ranges.
        per_channel: Give every output channel of a convolution its own weight scale, instead of every tensor.
        symmetric_activations: Let ranges reach as far below zero as above, so that int8 zero points are 0.
        activation: The integer type of activations.
        exclude_ops: Operators whose results stay in floating point, say `{"Add", "Clip"}`. An operand that
            another operator wants in 8 bits is still rounded to them. A clip that is not named here is
            dissolved into the range of the 8-bit result, whose ends lie up to half a step beside its bounds.

    Returns:
        The quantised model: same inputs, outputs, opset, metadata and producer.

    Raises:
        DataError: The calibration data is empty or does not fit the model.
        ModelError: The model is quantised already, or has nothing to quantise.
        OptionError: There is no such type of activations.
    """
    if activation not in ("uint8", "int8"):
        raise OptionError(f"Activations are quantised to 'uint8' or 'int8', not {activation!r}.")
    for node in model.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            raise ModelError(f"The model is quantised already (node {node.name!r}): give the float model.")

    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as ort_quantize_static
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder, "quantised.onnx")
        ort_quantize_static(
            _with_all_data(model),
            path,
            _reader(_batches(model, calibration)),
            quant_format=QuantFormat.QDQ,
            # Sorted: the default is a set, whose order changes from one process to the next.
            op_types_to_quantize=sorted({*QDQRegistry, *QLinearOpsRegistry} - set(exclude_ops)),
            per_channel=per_channel,
            activation_type=QuantType.QUInt8 if activation == "uint8" else QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": symmetric_activations, "WeightSymmetric": True},
        )
        quantised = ir.from_proto(onnx.load(path))
    if not any(node.op_type == "DequantizeLinear" for node in quantised.graph):
        raise ModelError("The model has no operator that can be quantised; nothing was done.")
    return _tidy(quantised, like=model)


def _with_all_data(model: ir.Model) -> onnx.ModelProto:
    """A protobuf copy that holds the weights which the model keeps in other files."""
    copy = model.clone()
    ir.external_data.load_to_model(copy)
    return ir.to_proto(copy)


def _batches(model: ir.Model, calibration: Iterable[Feeds] | np.ndarray) -> Iterator[Feeds]:
    """Cuts an array into batches of the size that the model takes; passes batches on."""
    names = {value.name or "" for value in model.graph.inputs if value.name not in model.graph.initializers}
    if not isinstance(calibration, np.ndarray):
        count = 0
        for feeds in calibration:
            if feeds.keys() != names:
                raise DataError(f"A calibration batch names the inputs {sorted(feeds)}, the model {sorted(names)}.")
            yield feeds
            count += 1
        if not count:
            raise DataError("There is no calibration data: give at least one batch.")
        return

    if len(names) != 1:
        raise DataError(f"A calibration array fits a model of one input, this one has {sorted(names)}.")
    (name,) = names
    shape = next(value.shape for value in model.graph.inputs if value.name == name)
    first = shape[0] if shape else None
    size = first if isinstance(first, int) else min(_BATCH, max(1, len(calibration)))
    if len(calibration) < size:
        raise DataError(f"The model takes {size} samples at once, the calibration array holds {len(calibration)}.")
    # A fixed batch size cannot take the remainder of the array.
    last = len(calibration) - (len(calibration) % size if isinstance(first, int) else 0)
    for start in range(0, last, size):
        yield {name: calibration[start : min(start + size, last)]}


def _reader(batches: Iterator[Feeds]) -> CalibrationDataReader:
    """Wraps batches in the interface that ONNX Runtime's calibration asks for."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> Feeds | None:
            return next(batches, None)

    return Reader()


def _tidy(quantised: ir.Model, *, like: ir.Model) -> ir.Model:
    """Takes the quantiser's traces off its result, which it changes and returns."""
    RemoveUnusedOpsetsPass()(quantised)
    quantised.producer_name = like.producer_name
    quantised.producer_version = like.producer_version
    quantised.metadata_props.pop("onnx.infer", None)
    imports = [onnx.helper.make_opsetid(*item) for item in quantised.opset_imports.items()]
    quantised.ir_version = onnx.helper.find_min_ir_version_for(imports, ignore_unknown=True)
    return quantised


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the quantiser's advice to preprocess, and its progress, off the terminal and the log."""

    def foreign(record: logging.LogRecord) -> bool:
        return "onnxruntime" not in Path(record.pathname).parts

    # The quantiser logs through the root logger, which without a handler would install one for good.
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    logging.root.addFilter(foreign)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.root.removeFilter(foreign)
        logging.root.removeHandler(handler)
