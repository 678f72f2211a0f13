"""Muon orthogonalises, keeps norms, and stays away from what has a scale of its own."""

import pytest
import torch
from torch import nn

from nfkit.learn.optimiser import Group, Muon, Optimiser, orthogonalise, under_batch_norm


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (8, 3, 3, 3), (3, 8, 1, 1)])
def test_orthogonalised_matrices_keep_their_singular_vectors(shape):
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    got = orthogonalise(gradient)
    assert got.shape == gradient.shape
    u, _, v = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    inner = u.T @ got.flatten(1) @ v.T
    # The polynomial leaves singular values between 0.68 and 1.13 (coarse by design); smaller ones grow last.
    assert (inner.diag() > 0.3).all()
    assert (inner.diag() < 1.3).all()
    assert (inner - inner.diag().diag()).abs().max() < 1e-3


def test_muon_keeps_the_norm_and_turns_by_its_rate():
    weight = nn.Parameter(torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(2)))
    before = weight.detach().clone()
    optimiser = Muon([weight])
    optimiser.param_groups[0]["lr"] = 0.1
    weight.square().sum().backward()
    weight.grad += torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    optimiser.step()
    assert weight.norm().item() == pytest.approx(before.norm().item(), rel=1e-6)
    cosine = (weight * before).sum() / before.norm() ** 2
    assert 0.9 < cosine < 1 - 1e-4


def test_muon_descends():
    goal = torch.randn(8, 6, generator=torch.Generator().manual_seed(4))
    weight = nn.Parameter(torch.randn(8, 6, generator=torch.Generator().manual_seed(5)))
    optimiser = Optimiser([Group([weight], 0.05, muon=True)])

    def loss():
        return -(weight * goal).sum() / weight.norm() / goal.norm()

    assert abs(loss().item()) < 0.5
    for step in range(60):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step(1 - step / 60)
    assert loss().item() < -0.9


def test_dense_convolutions_under_a_batch_norm_are_chosen():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
                nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1),
            )  # fmt: skip

    network = Network()
    assert [id(w) for w in under_batch_norm(network)] == [id(network.body[i].weight) for i in (0, 4)]


def test_a_share_of_zero_moves_nothing():
    layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = [p.detach().clone() for p in layers.parameters()]
    optimiser = Optimiser(
        [Group([layers[0].weight], 0.05, muon=True), Group([layers[0].bias, *layers[1].parameters()], 1e-3)]
    )
    layers(torch.rand(4, 1, 5, 5)).square().sum().backward()
    optimiser.step(0.0)
    for parameter, value in zip(layers.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, value)
