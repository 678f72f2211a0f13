"""A run that goes on from its file takes the steps that it would have taken."""

import hashlib
import io

import pytest
import torch
from torch import nn

from nfkit.errors import ModelError
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


@pytest.mark.parametrize("share", range(24))
def test_one_changed_bit_anywhere_starts_a_run_and_says_so(path, share):
    content = bytearray(path.read_bytes())
    content[len(content) * share // 24] ^= 1
    path.write_bytes(content)
    layers, _ = network()
    state = Checkpoint.resume(path, SETTINGS, layers)
    assert (state.step, state.resumed) == (0, False)
    assert state.note == "the checkpoint run.pt is damaged, or was written by another version of nfkit: starting anew"
    assert equal(layers, network()[0])


def rewrite(path, change):
    """Changes the content of a checkpoint, and gives it the digest of that."""
    form, _, content = path.read_bytes().split(b"\n", 2)
    stored = torch.load(io.BytesIO(content), weights_only=True)
    change(stored)
    buffer = io.BytesIO()
    torch.save(stored, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest().encode()
    path.write_bytes(b"\n".join([form, digest, buffer.getvalue()]))


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored.pop("reports"),
        lambda stored: stored.update(step="five"),
        lambda stored: stored["losses"].pop("3.bias"),  # the last that is loaded: all before are in place by then
        lambda stored: stored["losses"].update({"3.bias": torch.zeros(7)}),
    ],
)
def test_a_file_of_other_content_starts_a_run_and_leaves_nothing_of_itself(path, change):
    rewrite(path, change)
    layers, _ = network()
    state = Checkpoint.resume(path, SETTINGS, layers)
    assert state.step == 0
    assert state.note == "the checkpoint run.pt is damaged: starting anew"
    assert equal(layers, network()[0])


def test_an_optimiser_of_other_parameters_is_refused_in_a_sentence(path):
    rewrite(path, lambda stored: stored["optimiser"].pop())
    layers, optimiser = network()
    state = Checkpoint.resume(path, SETTINGS, layers)
    with pytest.raises(ModelError, match=r"run\.pt' does not fit this run: delete it"):
        state.restore(optimiser)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


def test_no_code_in_a_file_is_run(path):
    buffer = io.BytesIO()
    torch.save({"settings": Trap()}, buffer)
    form = path.read_bytes().split(b"\n")[0]
    path.write_bytes(b"\n".join([form, hashlib.sha256(buffer.getvalue()).hexdigest().encode(), buffer.getvalue()]))
    assert Checkpoint.resume(path, SETTINGS, network()[0]).step == 0


def test_a_run_that_goes_on_says_so(path):
    assert Checkpoint.resume(path, SETTINGS, network()[0]).note == "going on from step 5 of an earlier run (run.pt)"
    path.unlink()
    assert Checkpoint.resume(path, SETTINGS, network()[0]).note is None


def test_other_settings_start_a_run(path):
    layers, _ = network()
    state = Checkpoint.resume(path, {**SETTINGS, "epochs": 4.0}, layers)
    assert state.step == 0
    assert "belongs to other settings" in state.note
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
