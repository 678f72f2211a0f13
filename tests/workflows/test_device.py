"""A protected file for one device: its patterns trained for what that device's cells hold."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import nfkit
from nfkit.access.runtime import Runner
from nfkit.cli.main import app
from nfkit.errors import ModelError, OptionError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fused import DEVICE_KEY
from nfkit.graph.fusion.patterns import read_patterns
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import inject
from nfkit.graph.memory.sites import fault_sites
from nfkit.model import load, sha256
from nfkit.reports.reading import read

CHIP = 60_000
ERRORS = BitErrors(0.01)


@pytest.fixture(scope="module")
def general(zoo, tmp_path_factory, one_thread):
    """A file of the published form, trained for a few seconds."""
    path = tmp_path_factory.mktemp("general") / "model.nf.onnx"
    nfkit.protect(
        zoo.path, zoo.train, zoo.test.take(200), output=path, generator="hint-8", answer="base", ber=ERRORS.rate,
        epochs=2, chips=1, around=False, allow_loss=True,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def made(zoo, general, one_thread):
    """The same for one chip, and its record."""
    record = general.with_name("device.json")
    found = nfkit.protect_device(general, zoo.train, CHIP, test=zoo.test, epochs=1, record=record)
    assert read(record) == found
    return found


def accuracy(path, chip, data):
    """Accuracy with the errors of a chip written into the base's codes of the file, computed apart."""
    model = load(path)
    base = split(model)[1]
    faulty = inject(model, fault_sites(base), Chip(chip), ERRORS, "baked")
    return float((Runner(faulty).classify(load_spec(model).encode(data.x)) == data.y).mean())


def load_spec(model):
    from nfkit.workflows.inputs import find_spec

    return find_spec(model)


def test_what_it_gains_is_stated(general, made):
    assert made.output == str(general.with_name(f"model.chip{CHIP}.nf.onnx"))
    assert made.held_out[1] >= made.held_out[0]
    assert made.gain.mean == pytest.approx(made.device.own.accuracy - made.device.general.accuracy)
    assert f"for chip {CHIP} alone, at a bit error rate of 1 %" in str(made)


def test_figures_are_those_of_files_with_baked_errors(zoo, general, made):
    for entry in (made.device, made.others[0]):
        assert entry.general.accuracy == pytest.approx(accuracy(general, entry.chip, zoo.test), abs=1e-12)
        assert entry.own.accuracy == pytest.approx(accuracy(made.output, entry.chip, zoo.test), abs=1e-12)
    assert [entry.chip for entry in made.others] == [50_000, 50_001, 50_002, 50_003]


def test_base_and_encoder_stay_and_the_file_is_sealed(general, made):
    before, after = load(general), load(made.output)
    assert sha256(split(after)[1]) == sha256(split(before)[1])
    images = np.random.default_rng(0).uniform(-1, 1, (8, 1, 28, 28)).astype(np.float32)
    evidence = [Runner(nfkit.graph.fusion.split.evidence_model(model))(images) for model in (before, after)]
    assert np.array_equal(*evidence)
    assert not np.array_equal(read_patterns(before).values, read_patterns(after).values)
    stated = json.loads(after.metadata_props[DEVICE_KEY])
    assert (stated["chip"], stated["layout"], stated["errors"]["rate"]) == (CHIP, "iid", 0.01)
    assert "nfkit.results" not in after.metadata_props
    assert nfkit.verify(made.output).outcome != "wrong"


def test_the_same_seed_gives_the_same_file(zoo, general, made, tmp_path):
    path = tmp_path / "again.nf.onnx"
    again = nfkit.protect_device(general, zoo.train, CHIP, test=zoo.test.take(100), epochs=1, output=path)
    assert path.read_bytes() == general.with_name(f"model.chip{CHIP}.nf.onnx").read_bytes()
    assert again.held_out == made.held_out


def test_a_command_takes_a_measured_map(zoo, general, tmp_path):
    stuck = np.random.default_rng(5).random((64, 32)) < 0.02
    for name, cells in (("sa0", stuck), ("sa1", np.zeros_like(stuck))):
        np.savetxt(tmp_path / f"fmap_{name}_v_0.8.txt", cells, fmt="%d", delimiter=",")
    run = ["protect", str(general), "--chip-map", str(tmp_path), "--data", zoo.images, "--epochs", "0.05"]
    out = tmp_path / "own.nf.onnx"
    result = CliRunner().invoke(app, [*run, "-o", str(out), "--ber", "0.5%"])
    assert result.exit_code == 0, result.output
    stated = json.loads(load(out).metadata_props[DEVICE_KEY])
    assert stated["layout"].startswith("measured:")
    assert (stated["chip"], stated["errors"]["rate"]) == (0, 0.005)
    refused = CliRunner().invoke(app, [*run, "--answer", "both", "-o", str(tmp_path / "b.onnx")])
    assert isinstance(refused.exception, OptionError)
    assert "--answer cannot be given with --chip" in str(refused.exception)
    assert not (tmp_path / "b.onnx").exists()


def test_what_is_no_general_file_is_refused(zoo, general):
    with pytest.raises(ModelError, match="protect the base first, then give that file"):
        nfkit.protect_device(zoo.path, zoo.train, CHIP)
    with pytest.raises(OptionError, match="--chip -1: give a seed from 0 on"):
        nfkit.protect_device(general, zoo.train, -1)
