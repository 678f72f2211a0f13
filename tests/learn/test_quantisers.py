"""Fusing a QuantizeLinear with its DequantizeLinear changes no bit of the result, and no gradient."""

import pytest
import torch

from nfkit.learn.gradients import find
from nfkit.learn.gradients.steps import Step
from nfkit.learn.quantisers import fuse_quantisers

CODES = {"int8": torch.int8, "uint8": torch.uint8, "int16": torch.int16, "uint16": torch.uint16}


def step(op, inputs, output, **attributes):
    return Step(f"{op} {output}", op, find(op, 18), attributes, tuple(inputs), (output,))


def pair(second=("s", "z"), **attributes):
    return [
        step("QuantizeLinear", ("x", "s", "z"), "q", **attributes),
        step("DequantizeLinear", ("q", *second), "y", **attributes),
    ]


def run(steps, x, constants, wanted="y"):
    """(result, gradient of a weighted sum of it) of a list of steps."""
    leaf = x.clone().requires_grad_()
    values = {**constants, "x": leaf}
    for one in steps:
        one.run(values)
    (values[wanted] * torch.linspace(-1, 1, x.numel()).reshape(x.shape)).sum().backward()
    return values[wanted].detach(), leaf.grad


def samples(scale, zero, dtype):
    """Numbers inside, halfway between codes, at both ends of the range, and far beyond."""
    info = torch.iinfo(dtype)
    codes = torch.arange(-300, 300) / 2
    ends = torch.tensor([info.min - zero, info.max - zero]).repeat_interleave(7) + torch.tensor(
        [-1.0, -0.51, -0.5, 0.0, 0.5, 0.51, 1.0]
    ).repeat(2)
    far = torch.tensor([-1e9, 1e9, -0.0, 1e-30, -1e-30])
    noise = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * (info.max - info.min)
    return torch.cat([codes * scale, ends * scale, far, noise * scale]).reshape(1, -1)


@pytest.mark.parametrize("scale", [0.0078125, 0.1, 0.0173, 3.0])
@pytest.mark.parametrize(
    ("name", "zero"),
    [("int8", 0), ("int8", -128), ("int8", 127), ("uint8", 0), ("uint8", 3), ("uint8", 255), ("int16", -7),
     ("uint16", 40_000)],
)  # fmt: skip
def test_fused_pair_is_the_same_to_the_bit(name, zero, scale):
    dtype = CODES[name]
    constants = {"s": torch.tensor(scale), "z": torch.tensor(zero, dtype=dtype)}
    fused = fuse_quantisers(pair(), constants, keep={"y"})
    assert len(fused) == 1
    assert fused[0].outputs == ("y",)
    x = samples(scale, zero, dtype)
    values, gradient = run(fused, x, constants)
    expected, expected_gradient = run(pair(), x, constants)
    assert torch.equal(values, expected)
    assert torch.equal(gradient == 0, expected_gradient == 0)
    assert (gradient == 0).any()  # the samples do saturate
    # One by one, the pair multiplies a gradient by the scale and divides it again: two roundings of 2^-24.
    torch.testing.assert_close(gradient, expected_gradient, rtol=2**-22, atol=0)


def test_scale_and_zero_point_of_one_element_are_scalars():
    constants = {"s": torch.tensor([0.5]), "z": torch.tensor([3], dtype=torch.uint8)}
    assert len(fuse_quantisers(pair(), constants, keep=set())) == 1


def test_input_is_not_overwritten():
    constants = {"s": torch.tensor(0.5), "z": torch.tensor(0, dtype=torch.int8)}
    x = torch.tensor([[0.3, 0.7, 1000.0]])
    run(fuse_quantisers(pair(), constants, keep=set()), x, constants)
    assert torch.equal(x, torch.tensor([[0.3, 0.7, 1000.0]]))


def assert_left_alone(steps, constants, keep=frozenset(), wanted="y"):
    before = list(steps)
    result = fuse_quantisers(steps, constants, keep=set(keep))
    assert steps == before
    assert sorted(s.node for s in result) == sorted(s.node for s in steps)
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)) * 40
    for got, expected in zip(run(result, x, constants, wanted), run(steps, x, constants, wanted), strict=True):
        assert torch.equal(got, expected)


SCALAR = {"s": torch.tensor(0.5), "z": torch.tensor(3, dtype=torch.uint8)}


def test_codes_with_another_reader_are_kept():
    steps = [*pair(), step("DequantizeLinear", ("q", "s", "z"), "y2"), step("Add", ("y", "y2"), "sum")]
    assert_left_alone(steps, SCALAR, wanted="sum")


def test_codes_that_are_an_output_are_kept():
    assert_left_alone(pair(), SCALAR, keep={"q"})


def test_pair_of_different_scales_is_kept():
    assert_left_alone(pair(second=("s2", "z")), SCALAR | {"s2": torch.tensor(0.25)})


def test_pair_of_different_zero_points_is_kept():
    assert_left_alone(pair(second=("s", "z2")), SCALAR | {"z2": torch.tensor(9, dtype=torch.uint8)})


def test_pair_without_a_zero_point_is_kept():
    steps = [step("QuantizeLinear", ("x", "s"), "q"), step("DequantizeLinear", ("q", "s"), "y")]
    assert_left_alone(steps, SCALAR)


def test_per_axis_pair_is_kept():
    constants = {"s": torch.tensor([0.5, 0.25, 1.0]), "z": torch.tensor([0, 1, 2], dtype=torch.uint8)}
    assert_left_alone(pair(axis=1), constants)


def test_scale_that_is_computed_is_kept():
    steps = [step("Relu", ("s0",), "s"), *pair()]
    assert_left_alone(steps, {"s0": torch.tensor(0.5), "z": torch.tensor(3, dtype=torch.uint8)})


def test_quantiser_whose_codes_are_moved_first_still_comes_before_its_reader():
    steps = [
        step("QuantizeLinear", ("x", "s", "z"), "q"),
        step("Relu", ("x",), "r"),
        step("Flatten", ("q",), "f"),
        step("DequantizeLinear", ("f", "s", "z"), "y"),
    ]
    assert_left_alone(steps, SCALAR)


def test_pairs_in_a_row_are_fused_each_for_itself():
    constants = SCALAR | {"s2": torch.tensor(0.75), "z2": torch.tensor(0, dtype=torch.int8)}
    steps = [
        *pair(),
        step("QuantizeLinear", ("y", "s2", "z2"), "q2"),
        step("DequantizeLinear", ("q2", "s2", "z2"), "y2"),
    ]
    fused = fuse_quantisers(steps, constants, keep={"y2"})
    assert [s.outputs for s in fused] == [("y",), ("y2",)]
    x = samples(0.5, 3, torch.uint8)
    (values, gradient), (expected, _) = run(fused, x, constants, "y2"), run(steps, x, constants, "y2")
    assert torch.equal(values, expected)
    assert (gradient == 0).any()
    assert gradient.any()
