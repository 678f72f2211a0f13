"""Gradients of the kernels: autograd against finite differences, and the straight-through rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nfkit.learn.gradients import find


def _kernel(name: str, version: int = 21) -> Any:
    entry = find(name, version)
    assert entry is not None
    return entry.kernel


def _data(*shape: int, seed: int = 0, positive: bool = False) -> torch.Tensor:
    # Distinct multiples of a step, shuffled: no ties, and nothing within 0.02 of a kink at 0.
    count = int(np.prod(shape))
    values = (np.random.default_rng(seed).permutation(count) - count // 2 + 0.37) * 0.08
    values = np.abs(values) + 0.5 if positive else values
    return torch.tensor(values.reshape(shape), dtype=torch.float64, requires_grad=True)


_SHAPE_OPS = {
    "Transpose": {"perm": [0, 2, 3, 1]},
    "Flatten": {},
    "DepthToSpace": {"blocksize": 2},
    "SpaceToDepth": {"blocksize": 2},
}
_IMAGE_OPS: dict[str, dict[str, Any]] = {
    "MaxPool": {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "ceil_mode": 1},
    "AveragePool": {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 0, 1], "ceil_mode": 1},
    "GlobalAveragePool": {},
    "GlobalMaxPool": {},
    "LRN": {"size": 3, "alpha": 0.1},
    "ReduceMean": {},
    "ReduceL2": {},
    "ReduceMax": {},
    "ReduceProd": {},
    "ReduceLogSumExp": {},
    "Softmax": {},
    "LogSoftmax": {},
} | _SHAPE_OPS
_UNARY = [
    "Abs",
    "Celu",
    "Elu",
    "Erf",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "Neg",
    "Relu",
    "Selu",
    "Sigmoid",
    "Sin",
    "Softplus",
    "Softsign",
    "Tanh",
]


@pytest.mark.parametrize("name", [*_UNARY, "Cos", "Identity"])
def test_unary(name: str) -> None:
    assert torch.autograd.gradcheck(_kernel(name), (_data(3, 5),))


@pytest.mark.parametrize("name", ["Log", "Sqrt", "Reciprocal"])
def test_unary_of_positive(name: str) -> None:
    assert torch.autograd.gradcheck(_kernel(name), (_data(3, 5, positive=True),))


@pytest.mark.parametrize("name", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum", "PRelu"])
def test_binary_with_broadcasting(name: str) -> None:
    assert torch.autograd.gradcheck(_kernel(name), (_data(3, 5), _data(1, 5, seed=3, positive=True)))


@pytest.mark.parametrize("name", sorted(_IMAGE_OPS))
def test_image(name: str) -> None:
    kernel, attributes = _kernel(name), _IMAGE_OPS[name]
    x = _data(1, 4, 4, 6) if name != "ReduceProd" else _data(2, 3, 2, positive=True)
    assert torch.autograd.gradcheck(lambda x: kernel(x, **attributes), (x,))


@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 1, 2, 0]])
def test_conv(pads: list[int]) -> None:
    kernel = _kernel("Conv")
    inputs = (_data(2, 4, 5, 4), _data(4, 2, 3, 2, seed=1), _data(4, seed=2))
    assert torch.autograd.gradcheck(lambda *a: kernel(*a, pads=pads, strides=[2, 1], group=2), inputs)


@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 1, 2, 0]])
def test_conv_transpose(pads: list[int]) -> None:
    kernel = _kernel("ConvTranspose")
    inputs = (_data(1, 4, 3, 4), _data(4, 2, 3, 2, seed=1), _data(4, seed=2))
    assert torch.autograd.gradcheck(
        lambda *a: kernel(*a, pads=pads, strides=[2, 1], output_padding=[1, 0], group=2), inputs
    )


def test_matrix_products() -> None:
    a, b, c = _data(4, 3), _data(5, 3, seed=1), _data(5, seed=2)
    gemm = _kernel("Gemm")
    assert torch.autograd.gradcheck(lambda *x: gemm(*x, transB=1, alpha=0.5, beta=2.0), (a, b, c))
    assert torch.autograd.gradcheck(_kernel("MatMul"), (_data(2, 4, 3), _data(3, 5, seed=1)))


def test_normalizations() -> None:
    x, scale, bias = _data(2, 4, 3, 3), _data(4, seed=1), _data(4, seed=2)
    mean, var = _data(4, seed=3).detach(), _data(4, seed=4, positive=True).detach()
    batch, group, instance = (
        _kernel(name) for name in ("BatchNormalization", "GroupNormalization", "InstanceNormalization")
    )
    assert torch.autograd.gradcheck(lambda *a: batch(*a, mean, var), (x, scale, bias))
    assert torch.autograd.gradcheck(lambda *a: group(*a, num_groups=2), (x, scale, bias))
    assert torch.autograd.gradcheck(instance, (x, scale, bias))
    layer = _kernel("LayerNormalization")
    assert torch.autograd.gradcheck(lambda *a: layer(*a)[0], (_data(3, 4), scale, bias))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resize(mode: str) -> None:
    kernel = _kernel("Resize")
    scales = torch.tensor([1, 1, 2, 0.6])
    assert torch.autograd.gradcheck(lambda x: kernel(x, None, scales, mode=mode), (_data(1, 2, 3, 5),))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pad(mode: str) -> None:
    kernel, pads = _kernel("Pad"), torch.tensor([0, 2, -1, 1])
    assert torch.autograd.gradcheck(lambda x: kernel(x, pads, mode=mode), (_data(3, 4),))


def test_indexing() -> None:
    x = _data(3, 4)
    gather, cut = _kernel("Gather"), _kernel("Slice")
    assert torch.autograd.gradcheck(lambda x: gather(x, torch.tensor([[0, -1]]), axis=1), (x,))
    ends, steps = torch.tensor([-100]), torch.tensor([-2])
    assert torch.autograd.gradcheck(lambda x: cut(x, torch.tensor([-1]), ends, torch.tensor([1]), steps), (x,))


def _gradient(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(y.sum(), x)
    return gradient


@pytest.mark.parametrize("code", [torch.int8, torch.uint8, torch.int16, torch.uint16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_quantize_is_straight_through(code: torch.dtype, dtype: torch.dtype) -> None:
    limits = torch.iinfo(code)
    scale, zero = torch.tensor(0.25, dtype=dtype), 3
    # in codes: inside, the last that round into the range at either edge, the first that do not
    inside = [limits.min, limits.min - 0.25, 5.0, 7.25, limits.max, limits.max + 0.25]
    outside = [limits.min - 0.75, limits.min - 40, limits.max + 0.75, limits.max + 40]
    x = ((torch.tensor(inside + outside, dtype=dtype) - zero) * scale).requires_grad_()
    y = _kernel("QuantizeLinear")(x, scale, torch.tensor(zero, dtype=code))
    wanted = [limits.min, limits.min, 5, 7, limits.max, limits.max]
    wanted += [limits.min, limits.min, limits.max, limits.max]
    assert y.tolist() == wanted
    assert y.dtype is dtype
    assert _gradient(y, x).tolist() == [4.0] * len(inside) + [0.0] * len(outside)


def test_quantize_per_axis() -> None:
    scale = torch.tensor([0.1, 0.3, 7.0])
    x = torch.tensor([[1.0, -2.0, 3.0], [100.0, 1.0, -5000.0]], requires_grad=True)
    y = _kernel("QuantizeLinear")(x, scale, torch.tensor([0, 5, -5], dtype=torch.int8), axis=1)
    assert y.tolist() == [[10, -2, -5], [127, 8, -128]]
    inside = torch.tensor([[1.0, 1, 1], [0, 1, 0]])
    torch.testing.assert_close(_gradient(y, x), inside / scale, rtol=0, atol=0)


def test_quantize_in_blocks() -> None:
    scale = torch.tensor([[0.5, 2.0]])
    x = torch.full((1, 3), 3.0, requires_grad=True)
    y = _kernel("QuantizeLinear")(x, scale, torch.zeros(1, 2, dtype=torch.int8), axis=1, block_size=2)
    assert y.tolist() == [[6, 6, 2]]
    assert _gradient(y, x).tolist() == [[2, 2, 0.5]]


@pytest.mark.parametrize("zero", [None, 100])
def test_quantize_then_dequantize_passes_gradient_one(zero: int | None) -> None:
    scale = torch.tensor(0.37)
    point = None if zero is None else torch.tensor(zero, dtype=torch.uint8)
    x = torch.tensor([0.0, 1.0, 20.0, 500.0, -500.0], requires_grad=True)
    y = _kernel("DequantizeLinear")(_kernel("QuantizeLinear")(x, scale, point), scale, point)
    # 1 / scale * scale is off 1 by at most one rounding
    torch.testing.assert_close(_gradient(y, x), torch.tensor([1.0, 1, 1, 0, 0]), rtol=2e-7, atol=0)
    assert (y[:3] - x[:3]).abs().max() <= 0.37 / 2


def test_quantize_bfloat16_with_float32_scale() -> None:
    scale = torch.tensor(0.5)
    x = torch.tensor([1.0, 3.0, 1000.0, -1000.0], dtype=torch.bfloat16, requires_grad=True)
    codes = _kernel("QuantizeLinear")(x, scale, torch.tensor(128, dtype=torch.uint8))
    assert codes.dtype is torch.bfloat16
    assert codes.tolist() == [130, 134, 255, 0]
    y = _kernel("DequantizeLinear")(codes, scale, torch.tensor(128, dtype=torch.uint8))
    assert y.dtype is torch.bfloat16
    assert y.tolist() == [1, 3, 63.5, -64]
    assert _gradient(y, x).tolist() == [1, 1, 0, 0]


def test_quantize_keeps_channels_last() -> None:
    x = torch.randn(2, 3, 4, 5, generator=torch.manual_seed(0)).to(memory_format=torch.channels_last)
    y = _kernel("QuantizeLinear")(x, torch.tensor([0.1, 0.2, 0.3]), torch.zeros(3, dtype=torch.int8), axis=1)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, (x / torch.tensor([0.1, 0.2, 0.3]).reshape(3, 1, 1)).round().clamp(-128, 127))


def test_dynamic_quantize_takes_its_scale_as_constant() -> None:
    x = torch.tensor([0.0, 2.0, -3.0, 1.0, 4.0], requires_grad=True)
    codes, scale, zero = _kernel("DynamicQuantizeLinear")(x)
    assert not scale.requires_grad
    torch.testing.assert_close(_gradient(codes, x), torch.full((5,), 1 / scale.item()))
    assert zero.dtype is torch.uint8


def test_integer_products_of_codes_are_differentiable() -> None:
    x = torch.tensor([[3.0, 200.0], [7.0, 0.0]], requires_grad=True)
    w = torch.tensor([[1, -2], [3, 4]], dtype=torch.int8)
    y = _kernel("MatMulInteger")(x, w, torch.tensor(5, dtype=torch.uint8))
    assert y.tolist() == [[583.0, 784.0], [-13.0, -24.0]]
    assert _gradient(y, x).tolist() == [[-1.0, 7.0], [-1.0, 7.0]]
    image = x.detach().reshape(1, 1, 2, 2).requires_grad_()
    z = _kernel("ConvInteger")(image, w.reshape(1, 1, 2, 2), torch.tensor(5, dtype=torch.uint8))
    assert z.item() == -2 - 390 + 6 - 20
    assert _gradient(z, image).flatten().tolist() == [1.0, -2.0, 3.0, 4.0]
