"""The architectures are those of Sun et al. (NeuralFuse, NeurIPS 2024): same parameters, same arithmetic."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from nfkit.errors import OptionError
from nfkit.models.generators import GENERATORS, HINTS, PUBLISHED, build
from nfkit.models.generators.base import Generator
from nfkit.models.generators.folding import fold_batch_norm

# Trainable parameters, and multiply-accumulates at 32x32 and at 224x224, as published.
PUBLISHED_TOTALS = {
    "conv-l": (723_273, "80.5 M", "3.94 G"),
    "conv-s": (113_187, "10.34 M", "506.78 M"),
    "deconv-l": (647_785, "64.69 M", "3.17 G"),
    "deconv-s": (156_777, "22.44 M", "1.1 G"),
    "unet-l": (482_771, "41.41 M", "2.03 G"),
    "unet-s": (121_195, "10.58 M", "518.47 M"),
}

# Multiplications of the convolutions alone, for one image of 3x32x32.
CONVOLUTION_MACS = {
    "conv-l": 79_626_240,
    "conv-s": 10_036_224,
    "deconv-l": 50_298_880,
    "deconv-s": 11_501_568,
    "unet-l": 36_274_176,
    "unet-s": 9_191_424,
}


def published_macs(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    """One layer's share by the counting rule that gives all twelve published totals (it is ptflops's).

    Biases count one operation an output, batch normalisation two, ReLU and up-sampling one, pooling one an
    input, tanh and concatenation none; and a transposed convolution counts its kernel at every *output*
    position, which is stride² times the multiplications it takes.
    """
    if isinstance(layer, nn.Conv2d):
        return convolution_macs(layer, x, y) + y.numel() * (layer.bias is not None)
    if isinstance(layer, nn.ConvTranspose2d):
        return convolution_macs(layer, x, y) * layer.stride[0] ** 2 + y.numel() * (layer.bias is not None)
    if isinstance(layer, nn.BatchNorm2d):
        return 2 * y.numel()
    if isinstance(layer, nn.ReLU | nn.Upsample):
        return y.numel()
    return x.numel() if isinstance(layer, nn.MaxPool2d) else 0


def convolution_macs(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    if isinstance(layer, nn.Conv2d):
        return y.numel() * layer.weight[0].numel()
    return x.numel() * layer.weight[0].numel() if isinstance(layer, nn.ConvTranspose2d) else 0


def count(generator: Generator, rule, side: int | tuple[int, int]) -> int:
    total = 0

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += rule(layer, inputs[0], output)

    for layer in generator.modules():
        if not list(layer.children()):
            layer.register_forward_hook(add)
    with torch.no_grad():
        generator.eval()(torch.zeros(1, 3, *((side, side) if isinstance(side, int) else side)))
    return total


def trained(name: str, channels: int, size: tuple[int, int]) -> Generator:
    """A generator whose batch norms have seen data, so that folding them is no trivial matter."""
    torch.manual_seed(3)
    generator = build(name, channels, size, 4).train()
    for parameter in generator.parameters():
        nn.init.normal_(parameter, 0.05, 0.1)
    with torch.no_grad():
        for _ in range(3):
            generator(torch.rand(8, channels, *size) * 2 - 1)
    return generator


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name):
    assert sum(p.numel() for p in build(name, 3).parameters() if p.requires_grad) == PUBLISHED_TOTALS[name][0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_operations_are_the_published_ones(name):
    for side, published in zip((32, 224), PUBLISHED_TOTALS[name][1:], strict=True):
        number, unit = published.split()
        operations = count(build(name, 3), published_macs, side) / {"M": 1e6, "G": 1e9}[unit]
        assert round(operations, len(number.partition(".")[2])) == float(number)


@pytest.mark.parametrize("name", PUBLISHED)
def test_multiplications_of_the_convolutions(name):
    assert count(build(name, 3), convolution_macs, 32) == CONVOLUTION_MACS[name]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(32, 32), (28, 28), (49, 10), (1, 7), (33, 47)])
@pytest.mark.parametrize("name", GENERATORS)
def test_residual_has_the_shape_of_the_image(name, size, channels):
    x = torch.rand(2, channels, *size) * 2 - 1
    with torch.no_grad():
        residual = build(name, channels, size, 3).eval()(x)
    assert residual.shape == x.shape
    assert residual.isfinite().all()


@pytest.mark.parametrize("name", PUBLISHED)
def test_features_end_in_the_bottleneck(name):
    generator = build(name, 3).eval()
    x = torch.rand(2, 3, 2 * generator.stride, 3 * generator.stride)
    with torch.no_grad():
        features = generator.encode(x)
        assert features[-1].shape == (2, generator.bottleneck_channels, 2, 3)
        assert torch.equal(generator.decode(features), generator(x))


@pytest.mark.parametrize("name", PUBLISHED)
def test_padding_is_zeros_below_and_to_the_right(name):
    generator = build(name, 1).eval()
    x = torch.rand(1, 1, 13, 9)
    padded = torch.zeros(1, 1, 16, 16)
    padded[..., :13, :9] = x
    with torch.no_grad():
        assert torch.equal(generator(x), generator(padded)[..., :13, :9])


def test_image_that_fits_is_neither_padded_nor_cropped():
    program = torch.export.export(build("conv-s", 1).eval(), (torch.zeros(1, 1, 16, 24),))
    targets = {str(node.target) for node in program.graph.nodes}
    assert not [target for target in targets if "pad" in target or "slice" in target]


@pytest.mark.parametrize("name", PUBLISHED)
def test_folding_changes_no_output(name):
    generator = trained(name, 3, (28, 28))
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    folded = fold_batch_norm(generator)

    assert generator.training
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())
    assert not folded.training
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    x = torch.rand(4, 3, 28, 28) * 2 - 1
    with torch.no_grad():
        expected, got = generator.eval()(x), folded(x)
    # Up to 15 layers of float32 sums of up to 1,152 terms: a few hundred units in the last place.
    assert (got - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_pattern_is_one_for_all_images():
    generator = build("pattern", 3, (4, 5))
    nn.init.normal_(generator.pattern)
    residual = generator(torch.rand(2, 3, 4, 5))
    assert torch.equal(residual[0], residual[1])
    assert torch.equal(residual[:1], torch.tanh(generator.pattern))
    assert generator.bottleneck_channels == 0


def test_pattern_refuses_another_size():
    with pytest.raises(OptionError, match=r"\(3, 4, 5\), got \(3, 5, 4\)"):
        build("pattern", 3, (4, 5))(torch.zeros(1, 3, 5, 4))


def test_pattern_needs_a_size():
    with pytest.raises(OptionError, match="image size"):
        build("pattern", 3)


@pytest.mark.parametrize("alias", ["ConvL", "CONV-L", "conv_l"])
def test_aliases(alias):
    assert type(build(alias, 1)).__name__ == "ConvL"


def test_every_name_builds_the_class_it_says():
    for name in GENERATORS:
        expected = "hint" if name in HINTS else name.replace("-", "")
        assert type(build(name, 1, (8, 8), 2)).__name__.lower() == expected


@pytest.fixture
def hint():
    """A hint generator whose patterns differ, in evaluation mode."""
    torch.manual_seed(5)
    generator = build("hint-16", 3, (20, 28), 4, amplitude=0.3).eval()
    nn.init.normal_(generator.pattern)
    nn.init.normal_(generator.head.weight)
    return generator


@torch.no_grad()
def test_hint_mixes_the_patterns_by_its_evidence(hint):
    x = torch.rand(6, 3, 20, 28) * 2 - 1
    patterns = hint.class_patterns()
    assert patterns.shape == (4, 3, 20, 28)
    hint.caution.fill_(2.0)
    residual, evidence = hint.explain(x)
    shares = torch.softmax(evidence, dim=1) ** 2
    expected = sum(shares[:, c, None, None, None] * patterns[c] for c in range(4))
    torch.testing.assert_close(residual, expected)
    torch.testing.assert_close(hint(x), residual)


@torch.no_grad()
def test_a_sure_hint_paints_the_pattern_of_its_class(hint):
    hint.head.weight.zero_()
    hint.head.bias.copy_(torch.tensor([0.0, 0.0, 100.0, 0.0]))
    torch.testing.assert_close(hint(torch.zeros(1, 3, 20, 28))[0], hint.class_patterns()[2])


@torch.no_grad()
def test_an_unsure_hint_fades(hint):
    hint.head.weight.zero_()
    hint.head.bias.copy_(torch.tensor([50.0, 50.0, 0.0, 0.0]))  # one half each
    patterns = hint.class_patterns()
    hint.caution.fill_(3.0)
    residual = hint(torch.zeros(1, 3, 20, 28))[0]
    torch.testing.assert_close(residual, (patterns[0] + patterns[1]) / 8)


@torch.no_grad()
def test_patterns_of_a_hint_are_bounded_and_constant_over_squares(hint):
    patterns = hint.class_patterns()
    assert patterns.abs().max() <= 0.3
    squares = patterns.unfold(2, hint.step, hint.step).unfold(3, hint.step, hint.step).flatten(4)
    assert torch.equal(squares.amax(-1), squares.amin(-1))


@pytest.mark.parametrize("size", [(96, 128), (224, 224)])
@torch.no_grad()
def test_a_hint_costs_about_the_same_for_large_images(size):
    costs = [count(build("hint-16", 3, each, 10), convolution_macs, each) for each in ((32, 32), size)]
    assert costs[1] < 2.5 * costs[0]


@pytest.mark.parametrize("name", ["hint-12", "hint-0"])
def test_widths_of_hints_are_multiples_of_8(name):
    with pytest.raises(OptionError, match=f"{name}: .*multiple of 8"):
        build(name, 3, (8, 8), 10)


@pytest.mark.parametrize("given", [{}, {"size": (8, 8)}, {"classes": 10}])
def test_a_hint_needs_size_and_classes(given):
    with pytest.raises(OptionError, match="'hint-8' needs to know the image size and the number of classes"):
        build("hint-8", 3, **given)


def test_unknown_name_names_the_known_ones():
    with pytest.raises(OptionError, match=r"'conv-xl'.*conv-l, conv-s, .*, pattern"):
        build("conv-xl", 3)


def test_no_channels():
    with pytest.raises(OptionError, match="at least one channel"):
        build("conv-s", 0)


def test_no_classes():
    with pytest.raises(OptionError, match="at least one class, got 0"):
        build("hint-8", 3, (32, 32), 0)


def test_listing_generators_does_not_import_torch():
    code = "import sys, nfkit.models.generators; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
