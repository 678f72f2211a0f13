"""The objective is the published one, and images reach the model as the data's own encoding says."""

import numpy as np
import pytest
import torch
from torch import nn

from nfkit.faults import BitErrors, Chip
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites
from nfkit.learn.distributed import Share
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.learn.objective import ModelInput, bounded_cross_entropy, eopm_gradient, protect

CPU = torch.device("cpu")
UNIT = InputSpec("image", "float32", "NCHW", (2, 4, 4), "N", (-1.0,), (1.0,), "given")


@pytest.fixture
def setting(exact, images, read_by):
    """(frozen model, entry, F(x), labels, three faulty copies)."""
    frozen = FrozenGraph(exact, fault_sites(exact))
    copies = [frozen.weights(read_by(exact, Chip(seed), BitErrors(0.05))) for seed in range(3)]
    labels = torch.arange(16) % 3
    return frozen, ModelInput(UNIT, CPU), images(16, 2, 4, 4), labels, copies


def plain_loop(frozen, entry, protected, labels, copies, weight):
    """CE of the clean model + weight / N * sum of CE of the copies, through one graph of everything."""
    x = protected.clone().requires_grad_()
    loss = nn.functional.cross_entropy(frozen(entry(x), scores=True), labels)
    for copy in copies:
        loss = loss + weight / len(copies) * nn.functional.cross_entropy(frozen(entry(x), copy, scores=True), labels)
    loss.backward()
    return x.grad, loss.item()


@pytest.mark.parametrize("weight", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("count", [1, 3])
def test_gradient_and_loss_are_those_of_the_plain_loop(setting, count, weight):
    frozen, entry, protected, labels, copies = setting
    gradient, loss = eopm_gradient(frozen, entry, protected, labels, copies[:count], weight)
    expected, expected_loss = plain_loop(frozen, entry, protected, labels, copies[:count], weight)
    # The same float32 terms, scaled before or after the backward pass, and added in another order.
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item())
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    assert gradient.any()


@pytest.mark.parametrize("passes", [1, 2])
def test_dividing_the_batch_among_the_copies_is_unbiased(setting, passes):
    frozen, entry, protected, labels, copies = setting
    protected, labels = protected[:15], labels[:15]
    # Over all rotations of the copies every sample meets every copy equally often: the mean is the whole loop.
    rotations = [copies[i:] + copies[:i] for i in range(3)]
    results = [eopm_gradient(frozen, entry, protected, labels, r, 5.0, passes) for r in rotations]
    expected, expected_loss = eopm_gradient(frozen, entry, protected, labels, copies, 5.0, 3)
    torch.testing.assert_close(torch.stack([g for g, _ in results]).mean(0), expected, rtol=1e-5, atol=1e-7)
    assert sum(loss for _, loss in results) / 3 == pytest.approx(expected_loss, rel=1e-6)
    assert not torch.equal(results[0][0], results[1][0])


def test_all_passes_are_the_default(setting):
    default, whole = (eopm_gradient(*setting, 5.0, *passes) for passes in ((), (3,)))
    assert torch.equal(default[0], whole[0])
    assert default[1] == whole[1]


def test_a_part_for_the_clean_model_is_unbiased(setting):
    frozen, entry, protected, labels, copies = setting
    rolled = [torch.arange(16).roll(-4 * i) for i in range(4)]
    gradients, losses = [], []
    for order in rolled:  # every sample comes first, and so before the clean model, once in four
        gradient, loss = eopm_gradient(frozen, entry, protected[order], labels[order], copies, 5.0, 3, 0.25)
        gradients.append(gradient[order.argsort()])
        losses.append(loss)
    expected, expected_loss = eopm_gradient(frozen, entry, protected, labels, copies, 5.0, 3)
    torch.testing.assert_close(torch.stack(gradients).mean(0), expected, rtol=1e-5, atol=1e-7)
    assert sum(losses) / 4 == pytest.approx(expected_loss, rel=1e-6)


def test_bounded_cross_entropy():
    scores = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]], requires_grad=True)
    labels = torch.tensor([0, 0, 0])
    value = bounded_cross_entropy(scores, labels)
    # p = 1/2, 1 and (nearly) 0: (1 - p^0.7) / 0.7 each.
    assert value.item() == pytest.approx((1 - 0.5**0.7) / 0.7 + 0 + 1 / 0.7, rel=1e-3)
    value.backward()
    assert scores.grad[0, 0] < 0
    assert scores.grad[2].abs().max() < 1e-4  # a hopeless sample pulls no more


def test_more_copies_than_samples_leave_none_unseen(setting):
    frozen, entry, protected, labels, copies = setting
    gradient, loss = eopm_gradient(frozen, entry, protected[:2], labels[:2], copies, 5.0, 1)
    alone = [
        plain_loop(frozen, entry, protected[i : i + 1], labels[i : i + 1], copies[i : i + 1], 5.0) for i in range(2)
    ]
    torch.testing.assert_close(gradient, torch.cat([g for g, _ in alone]) / 2, rtol=1e-5, atol=1e-7)
    assert loss == pytest.approx((alone[0][1] + alone[1][1]) / 2, rel=1e-6)


def test_copies_may_be_drawn_one_by_one(setting):
    frozen, entry, protected, labels, copies = setting
    drawn = eopm_gradient(frozen, entry, protected, labels, (c for c in copies), 5.0)
    listed = eopm_gradient(frozen, entry, protected, labels, copies, 5.0)
    assert torch.equal(drawn[0], listed[0])
    assert drawn[1] == listed[1]


def test_processes_that_divide_the_terms_find_the_whole_gradient_and_need_only_their_own_copies(setting):
    frozen, entry, protected, labels, copies = setting
    expected, expected_loss = eopm_gradient(frozen, entry, protected, labels, copies, 5.0)
    parts = []
    for rank in range(5):  # one more than there are terms
        mine = Share(rank, 5).has
        own = [copy if mine(1 + i) else {} for i, copy in enumerate(copies)]
        parts.append(eopm_gradient(frozen, entry, protected, labels, own, 5.0, mine=mine))
    torch.testing.assert_close(sum(g for g, _ in parts), expected, rtol=1e-5, atol=1e-7)
    assert sum(loss for _, loss in parts) == pytest.approx(expected_loss, rel=1e-6)
    assert [bool(g.any()) for g, _ in parts] == [True, True, True, True, False]


def test_the_graph_of_the_protected_images_is_not_entered(setting):
    frozen, entry, images, labels, copies = setting
    parameter = nn.Parameter(torch.ones(()))
    gradient, _ = eopm_gradient(frozen, entry, images * parameter, labels, copies, 5.0)
    assert parameter.grad is None
    assert not gradient.requires_grad


def test_protected_images_stay_in_range(images):
    x = images(8, 2, 4, 4)
    protected = protect(lambda x: 0.5 * x.bfloat16(), x)
    assert protected.dtype is torch.float32
    assert torch.equal(protected, (x + (0.5 * x.bfloat16()).float()).clamp(-1, 1))
    assert protected.abs().max() == 1


SHAPES = {"NCHW": (3, 4, 5), "NHWC": (4, 5, 3), "NHW": (4, 5), "NC": (20,)}
RANGES = {
    "float32": [((0.0,), (1.0,)), ((-2.1,), (2.6,))],
    "int8": [((-128.0,), (127.0,)), ((-100.0,), (27.0,))],
    "uint8": [((0.0,), (255.0,))],
}
SPECS = [
    InputSpec("x", dtype, layout, shape, "N", low, high, "given")
    for layout, shape in SHAPES.items()
    for dtype, ranges in RANGES.items()
    for low, high in ranges
] + [
    InputSpec("x", "float32", layout, SHAPES[layout], "N", (-2.1, -2.0, -1.8), (2.2, 2.4, 2.6), "given")
    for layout in ("NCHW", "NHWC")
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.dtype}-{s.layout}-{len(s.low)}-{s.low[0]:g}")
def test_images_reach_the_model_as_the_data_does(spec, images):
    x = images(40, *spec.image_shape)
    x[0], x[1], x[2] = -1, 1, 0
    entered = ModelInput(spec, CPU)(x)
    expected = spec.denormalise(x.numpy())
    assert tuple(entered.shape) == (40, *spec.shape)
    # The same two float32 operations, and the same rounding half to even.
    assert np.array_equal(entered.numpy(), expected.astype(np.float32))


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.dtype}-{s.layout}-{len(s.low)}-{s.low[0]:g}")
def test_gradient_into_the_model_is_the_half_width(spec, images):
    x = images(4, *spec.image_shape).requires_grad_()
    ModelInput(spec, CPU)(x).sum().backward()
    half_width = torch.from_numpy(spec.bounds()[1])
    assert torch.equal(x.grad, half_width.expand_as(x))
