"""From a float model to a QDQ model with weights of up to 8 bits, by ONNX Runtime's quantiser.

What that quantiser leaves behind (opset imports of domains that no node uses, its own name as producer, an IR
version of its choice) is put right, so that the result reads as the model that went in, quantised.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedOpsetsPass

from nfkit.errors import DataError, ModelError, NfkitError, OptionError
from nfkit.graph.memory.bits import record_bits
from nfkit.graph.memory.sites import find_sites
from nfkit.graph.quantised.preparation import refuse_quantised
from nfkit.graph.quantised.recode import recode
from nfkit.rim.external import with_data

if TYPE_CHECKING:
    from onnxruntime.quantization import CalibrationDataReader

Feeds = dict[str, np.ndarray]
"""One batch of model inputs, by name."""

TENSOR_SUFFIX = "_quantized"
"""What the quantiser appends to the name of a weight."""

_BATCH = 64  # images of a calibration array that run at once, where the model leaves it open


def quantize_static(
    model: ir.Model,
    calibration: Iterable[Feeds] | np.ndarray,
    *,
    per_channel: bool = False,
    symmetric_activations: bool = False,
    activation: Literal["uint8", "int8"] = "uint8",
    exclude_ops: Collection[str] = (),
    bits: int = 8,
) -> ir.Model:
    """Quantises weights to symmetric integers and activations to 8 bits, in QDQ form.

    A weight W becomes codes in [-m, m] with m = 2^(bits - 1) - 1, held in int8, and scale = max|W| / m, over the
    tensor or each channel.

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
        bits: Bits of a weight, 2 to 8; fewer than 8 are recorded in the model, see `nfkit.graph.memory.bits`.

    Returns:
        The quantised model: same inputs, outputs, opset, metadata and producer.

    Raises:
        DataError: The calibration data is empty or does not fit the model.
        ModelError: The model is quantised already, or has nothing to quantise.
        OptionError: There is no such type of activations, or there are no such codes.
    """
    if not 2 <= bits <= 8:
        raise OptionError(f"Weights are quantised to 2 to 8 bits, not {bits}.")
    if activation not in ("uint8", "int8"):
        raise OptionError(f"Activations are quantised to 'uint8' or 'int8', not {activation!r}.")
    refuse_quantised(model)
    calibration = _checked(_batches(model, calibration))

    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as ort_quantize_static
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    with tempfile.TemporaryDirectory() as folder, _quiet(), _explained():
        path = Path(folder, "quantised.onnx")
        ort_quantize_static(
            _with_all_data(model),
            path,
            _reader(calibration),
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
    if bits < 8:
        _narrow(quantised, model, bits)
    return _tidy(quantised, like=model)


def _narrow(quantised: ir.Model, model: ir.Model, bits: int) -> None:
    """Gives the int8 weights codes of fewer bits, rounded from the float weights and not from the int8 ones."""
    most = 2 ** (bits - 1) - 1
    sites = [site for site in find_sites(quantised) if site.role == "weight" and site.dtype == "int8"]
    for site in sites:
        original = model.graph.initializers.get(site.name.removesuffix(TENSOR_SUFFIX))
        if original is None or original.const_value is None or site.scale is None:
            raise ModelError(f"the quantiser made '{site.name}' of no weight of the model: it takes --bits 8 only")
        weights = original.const_value.numpy().astype(np.float32)
        scale = weight_scale(weights, most, site.axis)
        of_int8 = np.array(site.scale, np.float32)
        # The quantiser enlarges a scale where the layer's bias would overflow int32: keep that.
        enlarged = ~np.isclose(of_int8, weight_scale(weights, 127, site.axis), rtol=1e-3, atol=0)
        scale = np.where(enlarged, np.maximum(of_int8 * np.float32(127 / most), scale), scale)
        along = [1] * weights.ndim
        if site.axis is not None:
            along[site.axis] = -1
        codes = np.clip(np.rint(weights / scale.reshape(along)), -most, most).astype(np.int64)
        growth = scale.astype(np.float64) / of_int8.astype(np.float64)
        recode(quantised, site.name, codes, growth if site.axis is not None else growth.reshape(()))
    record_bits(quantised, {site.name: bits for site in sites})


def weight_scale(weights: npt.NDArray[np.float32], most: int, axis: int | None) -> npt.NDArray[np.float32]:
    """Scale of symmetric codes, max|W| / most, one number or one a channel (Sun et al., NeuralFuse, 2024)."""
    others = tuple(i for i in range(weights.ndim) if axis is None or i != axis % weights.ndim)
    return np.asarray(np.abs(weights).max(axis=others) / np.float32(most), np.float32).reshape(-1)


def _with_all_data(model: ir.Model) -> onnx.ModelProto:
    """A protobuf copy that holds the weights which the model keeps in other files."""
    return ir.to_proto(with_data(model))


def _batches(model: ir.Model, calibration: Iterable[Feeds] | np.ndarray) -> Iterator[Feeds]:
    """Cuts an array into batches of the size that the model takes; passes batches on."""
    names = {value.name or "" for value in model.graph.inputs if value.name not in model.graph.initializers}
    if not isinstance(calibration, np.ndarray):
        for feeds in calibration:
            if feeds.keys() != names:
                raise DataError(f"A calibration batch names the inputs {sorted(feeds)}, the model {sorted(names)}.")
            yield feeds
        return

    if len(names) != 1:
        raise DataError(f"A calibration array fits a model of one input, this one has {sorted(names)}.")
    (name,) = names
    shape = next(value.shape for value in model.graph.inputs if value.name == name)
    fixed = shape[0] if shape else None
    size = fixed if isinstance(fixed, int) else min(_BATCH, max(1, len(calibration)))
    for start in range(0, len(calibration), size):
        part = calibration[start : start + size]
        # A fixed batch is filled with samples seen before, which move neither end of a range.
        yield {name: np.resize(part, (size, *part.shape[1:])) if isinstance(fixed, int) else part}


def _checked(batches: Iterator[Feeds]) -> Iterator[Feeds]:
    """Fetches the first batch at once, so that what is wrong with the data is not said inside the quantiser."""
    first = next(batches, None)
    if first is None:
        raise DataError("There is no calibration data: give at least one batch.")
    return itertools.chain([first], batches)


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
def _explained() -> Iterator[None]:
    """Turns what the quantiser raises, which is anything, into a sentence."""
    try:
        yield
    except NfkitError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise ModelError(f"ONNX Runtime's quantiser fails on the model ({type(error).__name__}: {reason})") from error


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
