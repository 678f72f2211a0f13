"""A feed-forward network, written layer by layer into an ONNX graph, with weights that are drawn when they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

OPSET = 20

_TAIL = 4.0  # standard deviations at which the normal distribution of the weights is cut
_SPREAD = 0.1  # of biases and batch norms around the values that they have before training
_TOP_CODE = 127  # codes are symmetric: -127 to 127


class Network:
    """The graph so far: every method appends one layer and returns its output.

    Args:
        name: Name of the graph.
        shape: Channels, height and width of the images.
        seed: Seed of the weights; each tensor has a random stream of its own, so none depends on what was read before.
        quantised: Whether weights of convolutions and of the linear layer are stored as int8 codes.

    Attributes:
        shape: Channels, height and width of the images.
        image: The input [N, C, H, W].
    """

    def __init__(self, name: str, shape: tuple[int, int, int], *, seed: int, quantised: bool) -> None:
        self.shape = shape
        self.image = ir.Value(name="image", shape=ir.Shape(["N", *shape]), type=ir.TensorType(ir.DataType.FLOAT))
        self._graph = ir.Graph([self.image], [], nodes=[], opset_imports={"": OPSET}, name=name)
        self._tape = ir.tape.Tape(self._graph)
        self._seed, self._quantised = seed, quantised
        self._streams = 0
        self._channels = {self.image: shape[0]}

    def channels(self, x: ir.Value) -> int:
        """Channels of a layer's output."""
        return self._channels[x]

    def conv(
        self, x: ir.Value, name: str, outputs: int, kernel: int, stride: int = 1, *, bias: bool = False
    ) -> ir.Value:
        """A square convolution that is padded so that only its stride shrinks the image."""
        operands = [x, self._weight(f"{name}.weight", (outputs, self.channels(x), kernel, kernel))]
        if bias:
            operands.append(self._around(f"{name}.bias", outputs, 0.0))
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        return self._layer("Conv", operands, name, attributes, channels=outputs)

    def norm(self, x: ir.Value, name: str) -> ir.Value:
        """Batch normalisation with running statistics."""
        count = self.channels(x)
        parts = {"scale": 1.0, "shift": 0.0, "mean": 0.0, "variance": 1.0}
        return self._layer(
            "BatchNormalization", [x, *(self._around(f"{name}.{part}", count, v) for part, v in parts.items())], name
        )

    def relu(self, x: ir.Value, name: str) -> ir.Value:
        """max(x, 0)."""
        return self._layer("Relu", [x], name)

    def add(self, x: ir.Value, y: ir.Value, name: str) -> ir.Value:
        """The sum of two outputs of one shape."""
        return self._layer("Add", [x, y], name)

    def max_pool(self, x: ir.Value, name: str) -> ir.Value:
        """Maxima over 2x2 pixels; halves height and width, rounded down."""
        return self._layer("MaxPool", [x], name, {"kernel_shape": [2, 2], "strides": [2, 2]})

    def classify(self, x: ir.Value, classes: int) -> ir.Model:
        """Ends the network: global average pool, then one linear layer to the logits.

        Args:
            x: Features [N, C, H, W].
            classes: Number of classes.

        Returns:
            The finished model.
        """
        features = self.channels(x)
        pooled = self._layer("GlobalAveragePool", [x], "pool")
        flat = self._layer("Flatten", [pooled], "flatten")
        operands = [flat, self._weight("head.weight", (classes, features)), self._around("head.bias", classes, 0.0)]
        logits = self._layer("Gemm", operands, "head", {"transB": 1}, channels=classes)
        logits.name, logits.dtype, logits.shape = "logits", ir.DataType.FLOAT, ir.Shape(["N", classes])
        self._graph.outputs.append(logits)
        imports = [onnx.helper.make_opsetid("", OPSET)]
        return ir.Model(
            self._graph, ir_version=onnx.helper.find_min_ir_version_for(imports), producer_name="nfkit.models.bases"
        )

    def _layer(
        self,
        operator: str,
        operands: list[ir.Value],
        name: str,
        attributes: Mapping[str, int | list[int]] | None = None,
        *,
        channels: int | None = None,
    ) -> ir.Value:
        output = self._tape.op(operator, operands, attributes, name=name)
        output.name = f"{name}_output"
        self._channels[output] = channels if channels is not None else self.channels(operands[0])
        return output

    def _weight(self, name: str, shape: tuple[int, ...]) -> ir.Value:
        """A weight after He et al. (2015): normal with variance 2 / inputs, cut at four standard deviations.

        One scale takes the cut range to the int8 codes, so it is known before any weight is drawn.
        """
        deviation = (2.0 / prod(shape[1:])) ** 0.5
        stream = self._stream()
        if not self._quantised:
            return self._initializer(name, shape, lambda: _normal(stream, shape) * np.float32(deviation))
        step = _TAIL / _TOP_CODE
        codes = self._initializer(
            f"{name}_quantized",
            shape,
            lambda: np.rint(_normal(stream, shape) / np.float32(step)).astype(np.int8),
            ir.DataType.INT8,
        )
        scale = self._tape.initializer(ir.tensor(np.float32(deviation * step), name=f"{name}_scale"))
        dequantised = self._tape.op("DequantizeLinear", [codes, scale], name=f"{name}_dequantize")
        dequantised.name = name
        return dequantised

    def _around(self, name: str, count: int, centre: float) -> ir.Value:
        """A vector close to the value that training starts from, but not equal to it: no layer is a mere identity."""
        stream = self._stream()
        low, high = centre - _SPREAD, centre + _SPREAD
        return self._initializer(name, (count,), lambda: _random(stream).uniform(low, high, count).astype(np.float32))

    def _initializer(
        self,
        name: str,
        shape: tuple[int, ...],
        draw: Callable[[], npt.NDArray[np.generic]],
        dtype: ir.DataType = ir.DataType.FLOAT,
    ) -> ir.Value:
        tensor = ir.LazyTensor(lambda: ir.tensor(draw()), dtype=dtype, shape=ir.Shape(shape), cache=True, name=name)
        return self._tape.initializer(tensor)

    def _stream(self) -> tuple[int, int]:
        """Seed of the next tensor."""
        self._streams += 1
        return self._seed, self._streams


def _random(stream: tuple[int, int]) -> np.random.Generator:
    # The bit generator by name, since NumPy may change which one is its default.
    return np.random.Generator(np.random.PCG64(stream))


def _normal(stream: tuple[int, int], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    drawn: npt.NDArray[np.float32] = _random(stream).standard_normal(shape, np.float32).clip(-_TAIL, _TAIL)
    return drawn
