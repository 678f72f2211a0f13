"""A run that goes on from its file takes the steps that it would have taken."""

import pytest
import torch
from torch import nn

from nfkit.learn.checkpoint import Checkpoint
from nfkit.learn.optimiser import Group, Optimiser, under_batch_norm

SETTINGS = {"generator": "conv-s", "epochs": 3.0, "errors": {"rate": 0.01, "protected_bits": ()}}


def network():
    """A small network with running statistics, and its optimiser in mid-course."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 2))
    layers.to(memory_format=torch.channels_last)
    matrices = under_batch_norm(layers)
    others = [p for p in layers.parameters() if p is not matrices[0]]
    return layers, Optimiser([Group(matrices, 0.05, muon=True), Group(others, 1e-3)])


def advance(layers, optimiser, steps):
    for step in steps:
        x = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        layers(x).square().sum().backward()
        optimiser.step(1.0)


def equal(one, other):
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture
def path(tmp_path):
    """A file saved after five steps."""
    path = tmp_path / "run.pt"
    layers, optimiser = network()
    advance(layers, optimiser, range(5))
    state = Checkpoint(path, SETTINGS, phase=1, step=5, reports=2, seconds=12.5)
    state.judge(layers, 0.5, 0.9, 0.4)
    state.save(layers, optimiser)
    return path


def test_going_on_takes_the_same_steps(path):
    whole = network()
    advance(*whole, range(9))
    layers, optimiser = network()
    state = Checkpoint.resume(path, SETTINGS, layers)
    state.restore(optimiser)
    advance(layers, optimiser, range(state.step, 9))
    assert equal(layers, whole[0])


def test_going_on_without_the_optimisers_state_does_not(path):
    whole = network()
    advance(*whole, range(9))
    layers, optimiser = network()
    state = Checkpoint.resume(path, SETTINGS, layers)
    advance(layers, optimiser, range(state.step, 9))
    assert not equal(layers, whole[0])


def test_everything_is_restored(path):
    layers, _ = network()
    state = Checkpoint.resume(path, SETTINGS, layers)
    assert (state.phase, state.step, state.reports, state.seconds) == (1, 5, 2, 12.5)
    assert (state.score, state.clean, state.perturbed) == (0.5, 0.9, 0.4)
    assert all(torch.equal(state.best[key], value) for key, value in layers.state_dict().items())


def test_the_optimisers_state_is_given_once(path):
    layers, first = network()
    state = Checkpoint.resume(path, SETTINGS, layers)
    state.restore(first)
    _, second = network()
    state.restore(second)  # the next phase starts with an optimiser of its own
    assert all(part["state"] for part in first.state_dict())
    assert not any(part["state"] for part in second.state_dict())


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint", "half"])
def test_without_a_readable_file_a_run_starts(path, content):
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:2000] if content == "half" else content)
    layers, _ = network()
    state = Checkpoint.resume(path, SETTINGS, layers)
    assert (state.phase, state.step, state.best) == (0, 0, {})
    assert equal(layers, network()[0])


def test_a_file_that_lacks_an_entry_starts_a_run(path):
    stored = torch.load(path, weights_only=True)
    del stored["reports"]
    torch.save(stored, path)
    layers, _ = network()
    assert Checkpoint.resume(path, SETTINGS, layers).step == 0
    assert equal(layers, network()[0])


def test_other_settings_start_a_run(path):
    layers, _ = network()
    assert Checkpoint.resume(path, {**SETTINGS, "epochs": 4.0}, layers).step == 0
    assert equal(layers, network()[0])


def test_the_order_of_settings_does_not_count(path):
    assert Checkpoint.resume(path, dict(reversed(SETTINGS.items())), network()[0]).step == 5


def test_only_a_better_generator_is_kept(path):
    layers, optimiser = network()
    state = Checkpoint(None, SETTINGS)
    state.judge(layers, 0.5, 0.9, 0.4)
    kept = {key: value.clone() for key, value in state.best.items()}
    advance(layers, optimiser, range(2))
    state.judge(layers, 0.4, 0.8, 0.3)
    state.judge(layers, 0.5, 0.9, 0.4)
    assert (state.score, state.clean, state.perturbed) == (0.5, 0.9, 0.4)
    assert all(torch.equal(state.best[key], value) for key, value in kept.items())
    state.judge(layers, 0.6, 0.9, 0.5)
    assert not all(torch.equal(state.best[key], value) for key, value in kept.items())


def test_without_a_path_nothing_is_written(tmp_path):
    Checkpoint(None, SETTINGS).save(*network())
    assert list(tmp_path.iterdir()) == []
