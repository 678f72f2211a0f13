"""Kernels against ONNX Runtime, where onnx has no case: old opsets, window geometry, codes."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from nfkit.learn.gradients import find

_RNG = np.random.default_rng(0)


def _floats(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return _RNG.standard_normal(shape).astype(np.float32)


def _both(
    name: str, version: int, *inputs: Any, outputs: int = 1, **attributes: Any
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Returns the outputs of ONNX Runtime (all inputs but the first constant) and those of the kernel."""
    arrays = [None if value is None else np.asarray(value) for value in inputs]
    names = ["" if value is None else f"i{k}" for k, value in enumerate(arrays)]
    results = [f"y{k}" for k in range(outputs)]
    first = arrays[0]
    graph = helper.make_graph(
        [helper.make_node(name, names, results, **attributes)],
        "g",
        [helper.make_tensor_value_info("i0", helper.np_dtype_to_tensor_dtype(first.dtype), first.shape)],
        [helper.make_empty_tensor_value_info(result) for result in results],
        [numpy_helper.from_array(v, n) for n, v in zip(names[1:], arrays[1:], strict=True) if v is not None],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = [torch.from_numpy(np.asarray(value)) for value in session.run(None, {"i0": first})]
    entry = find(name, version)
    assert entry is not None
    if name == "Split":
        attributes.setdefault("num_outputs", outputs)
    got = entry.kernel(*[None if value is None else torch.from_numpy(value) for value in arrays], **attributes)
    return wanted, list(got)[:outputs] if isinstance(got, tuple) else [got]


def _agree(*args: Any, **kwargs: Any) -> None:
    wanted, got = _both(*args, **kwargs)
    for one, other in zip(wanted, got, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)


_IMAGE = _floats(1, 4, 5, 6)
_OLD: list[tuple[str, int, tuple[Any, ...], dict[str, Any]]] = [
    ("Clip", 6, (_IMAGE,), {"min": -0.5, "max": 0.7}),
    ("Dropout", 7, (_IMAGE,), {"ratio": 0.3}),
    ("GroupNormalization", 18, (_IMAGE, _floats(2), _floats(2)), {"num_groups": 2}),
    ("LogSoftmax", 11, (_IMAGE,), {"axis": 2}),
    ("Pad", 10, (_IMAGE,), {"pads": [0, 0, 1, 2, 0, 0, 0, -1], "mode": "edge"}),
    ("ReduceMean", 13, (_IMAGE,), {"axes": [1, -1], "keepdims": 0}),
    ("ReduceSum", 11, (_IMAGE,), {"axes": [2]}),
    ("Resize", 10, (_IMAGE, np.array([1, 1, 0.5, 2], np.float32)), {"mode": "nearest"}),
    ("Resize", 10, (_IMAGE, np.array([1, 1, 0.5, 2], np.float32)), {"mode": "linear"}),
    ("Slice", 9, (_IMAGE,), {"starts": [1, -3], "ends": [9, -1], "axes": [2, 3]}),
    ("Softmax", 11, (_IMAGE,), {}),
    ("Split", 11, (_IMAGE,), {"split": [1, 3], "axis": 1, "outputs": 2}),
    ("Split", 11, (_IMAGE,), {"axis": 1, "outputs": 2}),
    ("Squeeze", 11, (_IMAGE,), {"axes": [0]}),
    ("TopK", 9, (_IMAGE,), {"k": 2, "axis": 1, "outputs": 2}),
    ("Unsqueeze", 11, (_IMAGE,), {"axes": [0, 3]}),
    ("Upsample", 7, (_IMAGE,), {"scales": [1.0, 1.0, 2.0, 1.5], "mode": "nearest"}),
    ("Upsample", 9, (_IMAGE, np.array([1, 1, 2, 3], np.float32)), {"mode": "linear"}),
]


@pytest.mark.parametrize(("name", "version", "inputs", "attributes"), _OLD, ids=[f"{o[0]}-{o[1]}" for o in _OLD])
def test_old_opsets(name: str, version: int, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> None:
    _agree(name, version, *inputs, **attributes)


def _window(rng: random.Random) -> tuple[dict[str, Any], list[int]]:
    kernel = [rng.randint(1, 4), rng.randint(1, 4)]
    strides, dilations = [rng.randint(1, 3) for _ in kernel], [rng.randint(1, 2) for _ in kernel]
    window: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    choice = rng.random()
    if choice < 0.6:
        window["pads"] = [rng.randint(0, kernel[i % 2] - 1) for i in range(4)]
        return window, dilations
    if choice < 0.7:
        window["auto_pad"] = "VALID"
        return window, dilations
    window["strides"] = [min(s, k) for s, k in zip(strides, kernel, strict=True)]
    window["auto_pad"] = rng.choice(["SAME_UPPER", "SAME_LOWER"])
    return window, [1, 1]


@pytest.mark.parametrize("seed", range(40))
def test_windows(seed: int) -> None:
    rng = random.Random(seed)
    window, dilations = _window(rng)
    kernel, group = window["kernel_shape"], rng.choice([1, 2])
    x = _floats(2, 2, rng.randint(8, 12), rng.randint(8, 12))
    _agree("Conv", 11, x, _floats(4, 2 // group, *kernel), _floats(4), dilations=dilations, group=group, **window)
    more = {"output_padding": [s - 1 for s in window["strides"]]} if "pads" in window else {}
    weights, bias = _floats(2, 2, *kernel), _floats(2 * group)
    _agree("ConvTranspose", 11, x, weights, bias, dilations=dilations, group=group, **more, **window)
    ceil = rng.randint(0, 1) if "pads" in window else 0
    _agree("MaxPool", 12, x, dilations=dilations, ceil_mode=ceil, **window)
    include = rng.randint(0, 1)
    _agree("AveragePool", 19, x, dilations=dilations, ceil_mode=ceil, count_include_pad=include, **window)
    _agree("AveragePool", 11, x, ceil_mode=ceil, count_include_pad=include, **window)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv_transpose_output_shape(rank: int) -> None:
    for auto_pad, wanted in itertools.product(("NOTSET", "SAME_UPPER", "SAME_LOWER"), (7, 8, 10)):
        _agree(
            "ConvTranspose",
            11,
            _floats(1, 2, *[4] * rank),
            _floats(2, 3, *[3] * rank),
            strides=[2] * rank,
            output_shape=[wanted] * rank,
            auto_pad=auto_pad,
        )


_COORDINATES = ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners"]
_NEAREST = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]


@pytest.mark.parametrize("coordinates", [*_COORDINATES, "tf_half_pixel_for_nn"])
def test_resize_nearest(coordinates: str) -> None:
    version = 11 if coordinates == "tf_half_pixel_for_nn" else 19  # dropped in opset 13
    roi = np.zeros(0, np.float32)
    options = {"coordinate_transformation_mode": coordinates, "mode": "nearest"}
    for rounding, scale in itertools.product(_NEAREST, (2, 0.5, 1.5, 3)):
        scales = np.array([1, 1, scale, scale], np.float32)
        _agree("Resize", version, _floats(1, 2, 5, 7), roi, scales, nearest_mode=rounding, **options)
    for rounding, length in itertools.product(_NEAREST, (3, 10, 13)):
        sizes = np.array([1, 2, length, length + 1], np.int64)
        empty = np.zeros(0, np.float32) if version < 13 else None
        _agree("Resize", version, _floats(1, 2, 5, 7), roi, empty, sizes, nearest_mode=rounding, **options)


@pytest.mark.parametrize("coordinates", [*_COORDINATES, "half_pixel_symmetric"])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_resize_interpolates(coordinates: str, mode: str) -> None:
    for scale in (2, 0.5, 1.5, 0.6, 1.3):
        scales = np.array([1, 1, scale, scale], np.float32)
        options = {"coordinate_transformation_mode": coordinates, "mode": mode}
        _agree("Resize", 19, _floats(1, 2, 10, 7), None, scales, **options)


@pytest.mark.parametrize("code", [np.int8, np.uint8, np.int16, np.uint16])
def test_quantize_gives_the_same_codes(code: type[np.integer[Any]]) -> None:
    limits, scales = np.iinfo(code), np.abs(_floats(4)) + np.float32(0.1)
    x = _floats(3, 4, 5000) * 300
    x[0, :, :400] = np.arange(-200, 200) * scales[:, None] / 2  # halves, to be rounded to even
    points = _RNG.integers(limits.min, limits.max, 4).astype(code)
    for scale, point in ((scales, points), (scales[0], points[0])):
        (wanted,), (codes,) = _both("QuantizeLinear", 21, x, scale, point)
        assert torch.equal(codes, wanted.float())
        whole = wanted.numpy()
        (values,), (dequantized,) = _both("DequantizeLinear", 21, whole, scale, point)
        assert torch.equal(dequantized, values)
        entry = find("DequantizeLinear", 21)
        assert entry is not None
        parameters = torch.from_numpy(np.asarray(scale)), torch.from_numpy(np.asarray(point))
        assert torch.equal(entry.kernel(codes, *parameters), values)


def test_quantize_defaults_to_uint8() -> None:
    (wanted,), (codes,) = _both("QuantizeLinear", 21, _floats(50) * 200, np.float32(0.7))
    assert wanted.dtype is torch.uint8
    assert torch.equal(codes, wanted.float())
    kind = TensorProto.INT16
    (wanted,), (codes,) = _both("QuantizeLinear", 21, _floats(50) * 20000, np.float32(0.7), output_dtype=kind)
    assert wanted.dtype is torch.int16
    assert torch.equal(codes, wanted.float())


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pad_and_crop(mode: str) -> None:
    for pads in ([0, 0, 2, 1, 0, 0, 3, 2], [0, 0, -1, 2, 0, 0, 1, -2]):
        _agree("Pad", 19, _floats(1, 2, 5, 6), np.array(pads), mode=mode)


def test_integer_products() -> None:
    # Codes of 7 bits: with 8, processors without VNNI saturate, and ONNX Runtime is no reference there.
    x = _RNG.integers(0, 128, (2, 4, 6, 6)).astype(np.uint8)
    w = _RNG.integers(-128, 128, (3, 4, 3, 3)).astype(np.int8)
    _agree("ConvInteger", 10, x, w, np.uint8(7), np.int8(0), pads=[1, 1, 0, 1])
    _agree("MatMulInteger", 10, x, w[0, 0, :1].repeat(6, 0), np.uint8(7), np.array([0, 1, 2], np.int8))
