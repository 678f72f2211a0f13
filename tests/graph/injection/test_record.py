"""A faulted file is one chip, not the base: whatever needs the clean one says so; a damaged record is a sentence."""

import base64
import json
import zlib

import numpy as np
import pytest

from nfkit.data import Dataset
from nfkit.energy import load_curve
from nfkit.errors import ModelError
from nfkit.faults import BitErrors, Chip, Iid
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import MODES, inject, remove
from nfkit.graph.injection.record import FAULTS_KEY, UNDO_KEY, refuse_faults
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import fault_sites
from nfkit.graph.quantised.fold import fold
from nfkit.graph.quantised.requantise import requantise
from nfkit.learn.config import TrainConfig
from nfkit.measure.evaluation import evaluate
from nfkit.measure.quantisation import quantize
from nfkit.plans.energy_analysis import analyse
from nfkit.workflows.protection import protect

WORDS = r"holds the faults of chip 50007 at 1 % \(mode {}\).*: take them out first \(nfkit inject --remove\)"


def faulted(convnet, mode):
    model = convnet()
    return inject(model, fault_sites(model), Chip(50_007), BitErrors(0.01), mode)


@pytest.mark.parametrize("mode", MODES)
def test_what_needs_the_clean_model_refuses_a_faulted_one(convnet, residual_generator, tmp_path, mode):
    model, spec = faulted(convnet, mode), find_input(convnet())
    data = Dataset("own", np.zeros((4, 2, 4, 4), np.float32), np.array([0, 1, 2, 0]))
    curve = load_curve("stutz-2021")
    config = TrainConfig("conv-s", BitErrors(0.1), Iid(), epochs=1)
    uses = [
        lambda: refuse_faults(model),
        lambda: inject(model, fault_sites(model), Chip(1), BitErrors(0.1), mode),
        lambda: evaluate(model, data, spec, [BitErrors(0.1)], chips=[50_000]),
        lambda: protect(model, data, data, spec, config, tmp_path / "o.onnx"),
        lambda: quantize(model, data, data, spec, tmp_path / "o.onnx"),
        lambda: analyse(model, curve.at_rate(0.01), curve),
        lambda: requantise(model, 4),
        lambda: fold(model),
        lambda: fuse(residual_generator(2, 4, 4), model, spec, {}),
    ]
    for use in uses:
        with pytest.raises(ModelError, match=WORDS.format(mode)):
            use()
    assert list(tmp_path.iterdir()) == []


def test_faults_in_a_fused_file_are_named_before_it_is_taken_apart(convnet, residual_generator):
    base = convnet()
    fused = fuse(residual_generator(2, 4, 4), base, find_input(base), {})
    model = inject(fused, fault_sites(fused), Chip(50_007), BitErrors(0.01))
    with pytest.raises(ModelError, match=WORDS.format("node")):
        split(model)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"chip": "x"}', "\x00"])
def test_faults_of_an_unknown_chip_are_faults(convnet, text):
    model = faulted(convnet, "node")
    model.metadata_props[FAULTS_KEY] = text
    with pytest.raises(ModelError, match="holds injected faults, and the clean one is needed"):
        refuse_faults(model)


def packed(content):
    return base64.b64encode(zlib.compress(content)).decode()


@pytest.mark.parametrize(
    "undo",
    [
        "",
        "[]",
        '{"w": 3}',
        '{"w": "!"}',
        '{"w": "AAAA"}',
        json.dumps({"w": packed(b"")}),
        json.dumps({"w": packed(b"\0" * 53)}),
        json.dumps({"w": packed(b"\0" * 55)}),
        json.dumps({"w": packed(b"\0" * 100_000_000)}),  # never unpacked whole
        json.dumps({"w": packed(b"\0" * 54)[:-8]}),
    ],
)
def test_damaged_records_of_baked_faults_are_named(convnet, undo):
    model = faulted(convnet, "baked")
    model.metadata_props[UNDO_KEY] = undo
    with pytest.raises(ModelError, match=r"metadata 'nfkit.faults.undo', which takes the faults out, is damaged"):
        remove(model)


def test_records_of_tensors_that_are_not_there_are_named(convnet):
    model = faulted(convnet, "baked")
    model.metadata_props[UNDO_KEY] = json.dumps({"absent": packed(b"")})
    with pytest.raises(ModelError, match="stores no tensor named 'absent'"):
        remove(model)
