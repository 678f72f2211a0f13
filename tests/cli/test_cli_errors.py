"""What a user can mend is one sentence on stderr, exit code 1, no traceback, and nothing written."""

import numpy as np
import pytest

from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.model import save
from nfkit.workflows.inputs import find_strengths
from nfkit.workflows.memory import Memory

BASE, DATA = ["base.onnx"], ["--data", "data.npz"]
UNIT = ["--range", "-1", "1"]
BRIEF = ["--epochs", "0.1", "--generator", "pattern"]  # so that a run which should have been refused soon ends
ABSENT = ["--generator", "conv-xl"]  # refused after the settings, and before data is read

# command line -> part of the sentence
CASES = {
    "corrupt model": (["inspect", "corrupt.onnx"], "'corrupt.onnx' is no readable ONNX model"),
    "corrupt model to evaluate": (["evaluate", "corrupt.onnx", *DATA], "'corrupt.onnx' is no readable ONNX model"),
    "empty model": (["inspect", "empty.onnx"], "'empty.onnx'"),
    "float model to evaluate": (["evaluate", "float.onnx", *DATA], "stores no weights as integers"),
    "float model to inject": (["inject", "float.onnx", "-o", "o.onnx"], "stores no weights as integers"),
    "float model to protect": (
        ["protect", "float.onnx", *DATA, *BRIEF, "--range", "-1", "1"],
        "stores no weights as integers",
    ),
    "operator without a gradient": (
        ["protect", "foreign.onnx", "--data", "small.npz", "--range", "0", "1", *BRIEF],
        "Det (no gradient is known for it at opset 18) in node 'corner'",
    ),
    "data of another shape": (["evaluate", *BASE, "--data", "shape.npz"], "give uint8 images [28, 28, 1]"),
    "labels beyond the classes": (["evaluate", *BASE, "--data", "labels.npz"], "beyond the model's 10 classes"),
    "empty folder as data": (["evaluate", *BASE, "--data", "empty"], "empty"),
    "NaN in the data": (["evaluate", *BASE, "--data", "nan.npz"], "NaN or infinite"),
    "data beyond the range": (["evaluate", *BASE, "--data", "range.npz"], "takes -1 to 1"),
    "data that is no archive": (["evaluate", *BASE, "--data", "corrupt.npz"], "cannot be read as an .npz file"),
    "data without arrays": (["evaluate", *BASE, "--data", "other.npz"], "x_test"),
    "no data": (["evaluate", *BASE], "give --data"),
    "absent data": (["evaluate", *BASE, "--data", "absent.npz"], "there is no such file"),
    "unknown data": (["evaluate", *BASE, "--data", "imagenet"], "names no data"),
    "absent function": (["evaluate", *BASE, "--data", "nosuchmodule:load"], "nosuchmodule"),
    "absent model": (["evaluate", "absent.onnx", *DATA], "no model at 'absent.onnx'"),
    "folder as model": (["inspect", "empty"], "no model at 'empty'"),
    "output into no folder": (["inject", *BASE, "-o", "nowhere/o.onnx"], "there is no folder 'nowhere'"),
    "protect into no folder": (
        ["protect", *BASE, *DATA, *BRIEF, "-o", "nowhere/o.onnx"],
        "there is no folder 'nowhere'",
    ),
    "record into no folder": (["evaluate", *BASE, *DATA, "--json", "nowhere/e.json"], "there is no folder 'nowhere'"),
    "output is a folder": (["inject", *BASE, "-o", "empty"], "it is a folder"),
    "output exists": (["inject", *BASE, "-o", "there.onnx"], "'there.onnx' exists"),
    "protect, output exists": (["protect", *BASE, *DATA, *BRIEF, "-o", "there.onnx"], "'there.onnx' exists"),
    "protect, output is the model": (
        ["protect", *BASE, *DATA, *BRIEF, "-o", "base.onnx", "--force"],
        "is the model itself",
    ),
    "protect, already protected": (["protect", "fused.nf.onnx", *DATA, *BRIEF], "protected already"),
    "tune a model without a generator": (
        ["tune", "base.onnx", "--caution", "3", "-o", "o.onnx"],
        "has no hint generator in front",
    ),
    "tune without a hint": (["tune", "fused.nf.onnx", "--caution", "3", "-o", "o.onnx"], "has no hint generator"),
    "tune to nothing": (["tune", "fused.nf.onnx", "--caution", "0", "-o", "o.onnx"], "give a number above 0"),
    "unknown generator": (["protect", *BASE, *DATA, *ABSENT], "no generator 'conv-xl'"),
    "unknown layout map": (["evaluate", *BASE, *DATA, "--memory-layout", "ring"], "unknown layout 'ring'"),
    "array of nothing": (["evaluate", *BASE, *DATA, "--memory-layout", "array:0x8"], "two positive numbers"),
    "unknown kind": (["evaluate", *BASE, *DATA, "--kind", "melt"], "unknown fault kind 'melt'"),
    "rate too high": (["evaluate", *BASE, *DATA, "--ber", "0.6"], "out of range"),
    "rate below zero": (["inject", *BASE, "-o", "o.onnx", "--ber=-0.1"], "out of range"),
    "rate is no number": (["evaluate", *BASE, *DATA, "--ber", "nan"], "out of range"),
    "set share": (["evaluate", *BASE, *DATA, "--set-share", "1.5"], "is no share"),
    "protected bit": (["inject", *BASE, "-o", "o.onnx", "--protect-bit", "8"], "bits 0 to 7"),
    "rate and voltage": (["evaluate", *BASE, *DATA, "--ber", "0.01", "--vdd", "0.85"], "give one of them"),
    "voltage beyond the curve": (["evaluate", *BASE, *DATA, "--vdd", "0.98"], "goes from 0.754 to 0.969 Vmin"),
    "voltage beyond the point": (
        ["inject", *BASE, "-o", "o.onnx", "--vdd", "0.85", "--curve", "neuralfuse"],
        "choose another --curve",
    ),
    "voltage to protect at": (["protect", *BASE, *DATA, *BRIEF, "--vdd", "1.2"], "1.2 Vmin is beyond"),
    "unknown curve": (["evaluate", *BASE, *DATA, "--curve", "mine"], "no voltage curve 'mine'"),
    "file that is no curve": (["energy", *BASE, "--curve", "empty.onnx"], "curve 'empty'"),
    "energy at rate and voltage": (["energy", *BASE, "--ber", "0.01", "--vdd", "0.85"], "give one of them"),
    "energy at a rate beyond the curve": (["energy", *BASE, "--ber", "0.49"], "bit error rates 21 to 0.0002 %"),
    "unknown array": (["energy", *BASE, "--array", "32"], "such as 32x32"),
    "unknown dataflow": (["energy", *BASE, "--dataflow", "rs"], "choose one of os, ws, is"),
    "unknown preset": (["energy", *BASE, "--preset", "best"], "choose one of true, paper"),
    "no weight bits": (["energy", *BASE, "--weight-bits", "0"], "from 1 on"),
    "generator for a protected model": (["energy", "fused.nf.onnx", "--generator", "unet-s"], "a generator already"),
    "unknown generator to count": (["energy", *BASE, "--generator", "conv-xl"], "no generator 'conv-xl'"),
    "plot of no record": (["plot", "absent.json", "-o", "p.svg"], "cannot read the record 'absent.json'"),
    "plot of a model": (["plot", "base.onnx", "-o", "p.svg"], "'base.onnx' is no JSON"),
    "plot onto a file": (["plot", "absent.json", "-o", "there.onnx"], "'there.onnx' exists"),
    "range backwards": (["evaluate", *BASE, *DATA, "--range", "1", "-1"], "give the smaller number first"),
    "range with mean": (
        ["evaluate", *BASE, *DATA, "--range", "0", "1", "--mean", "0.5", "--std", "0.5"],
        "either --range or --mean and --std",
    ),
    "mean without std": (["evaluate", *BASE, *DATA, "--mean", "0.5"], "mean and std go together"),
    "mean that is no number": (["evaluate", *BASE, *DATA, "--mean", "x", "--std", "1"], "--mean 'x'"),
    "std of zero": (["evaluate", *BASE, *DATA, "--mean", "0", "--std", "0"], "std above 0"),
    "wrong layout": (["evaluate", *BASE, *DATA, "--input-layout", "NC"], "does not fit"),
    "unknown optimisation": (["evaluate", *BASE, *DATA, "--optimization", "most"], "choose one of none"),
    "unknown mode": (["inject", *BASE, "-o", "o.onnx", "--mode", "magic"], "unknown mode 'magic'"),
    "nothing to remove": (["inject", *BASE, "-o", "o.onnx", "--remove"], "nothing to remove"),
    "nothing to split": (["split", *BASE, "--base", "o.onnx"], "nothing to split"),
    "split into one file": (["split", "fused.nf.onnx", "--base", "o.onnx", "--generator", "o.onnx"], "two names"),
    "split onto the model": (["split", "fused.nf.onnx", "--base", "fused.nf.onnx"], "is the model itself"),
    "chips of the training": (
        ["evaluate", "fused.nf.onnx", *DATA, "--first-chip", "1000000", "--chips", "1"],
        "generators are trained on",
    ),
    "two budgets": (
        ["protect", *BASE, *DATA, *ABSENT, "--epochs", "1", "--minutes", "1"],
        "either as --epochs or as --minutes",
    ),
    "no minutes": (["protect", *BASE, *DATA, *ABSENT, "--minutes", "0"], "give a number above 0"),
    "no epochs": (["protect", *BASE, *DATA, *ABSENT, "--epochs", "0"], "give a number above 0"),
    "epochs below zero": (["protect", *BASE, *DATA, *ABSENT, "--epochs=-1"], "give a number above 0"),
    "no copies": (["protect", *BASE, *DATA, *ABSENT, "--copies", "0"], "whole number from"),
    "shift beyond the image": (
        ["protect", *BASE, *DATA, *BRIEF, "--shift", "28"],
        "--shift 28: that moves images of 28 x 28 out of sight",
    ),
    "seed beyond torch": (
        ["protect", *BASE, *DATA, *ABSENT, "--seed", str(2**63)],
        "give a whole number from 0 to 2^63",
    ),
    "seed of random weights": (
        ["models", "export", "hint-8", "--seed", str(2**63), "-o", "o.onnx"],
        "give a whole number from 0 to 2^63 - 1",
    ),
    "seed below zero": (["protect", *BASE, *DATA, *ABSENT, "--seed=-1"], "--seed -1: give a whole number from 0 on"),
    "nothing to protect against": (["protect", *BASE, *DATA, "--ber", "0"], "0 has no errors to protect against"),
    "nothing to protect against, by voltage": (
        ["protect", *BASE, *DATA, *BRIEF, "--vdd", "1", "--allow-loss"],
        "give --ber above 0, such as 0.01, or --vdd below 1",
    ),
    "search, nothing to protect against": (
        ["search", *BASE, *DATA, "-o", "found", "--ber", "0", "--widths", "8"],
        "0 has no errors to protect against",
    ),
    "unknown precision": (
        ["protect", *BASE, *DATA, *ABSENT, "--precision", "int2"],
        "choose auto, float32 or bfloat16",
    ),
    "unknown generator precision": (
        ["protect", *BASE, *DATA, *BRIEF, "--generator-precision", "int4"],
        "int4",
    ),
    "generator that costs more than it saves": (
        ["protect", *BASE, "--data", "absent.npz", "--generator", "conv-l"],
        "conv-l costs more than it saves at",
    ),
    "generator over the budget": (
        ["protect", *BASE, "--data", "absent.npz", "--generator", "conv-l", "--energy-budget", "2%"],
        "more than the --energy-budget of 2 %",
    ),
    "budget below every generator": (
        ["protect", *BASE, "--data", "absent.npz", "--energy-budget", "0.0001%"],
        "no generator reads as little as 0.0001 % of the base's",
    ),
    "budget that pays for no generator": (
        ["protect", *BASE, "--data", "absent.npz", "--energy-budget", "100%"],
        "Lower --energy-budget, or add --allow-loss",
    ),
    "budget that is no share": (["protect", *BASE, *DATA, "--energy-budget", "200%"], "a share of the base's accesses"),
    "choice of a generator for a protected model": (["protect", "fused.nf.onnx", *DATA], "protected already"),
    "search, widths that are no numbers": (["search", *BASE, *DATA, "-o", "found", "--widths", "a"], "--widths 'a'"),
    "search for a protected model": (["search", "fused.nf.onnx", *DATA, "-o", "found"], "protected already"),
    "search for a float model": (["search", "float.onnx", *DATA, "-o", "found"], "stores no weights as integers"),
    "search, budget below every width": (
        ["search", *BASE, *DATA, "-o", "found", "--widths", "8", "--energy-budget", "0.1%"],
        "raise --energy-budget, or give smaller --widths",
    ),
    "more bits than stored": (["evaluate", *BASE, *DATA, "--bits", "9"], "8 bits, which cannot become 9"),
    "bits of a float model": (["evaluate", "float.onnx", *DATA, "--bits", "4"], "stores no weights as integers"),
    "quantize a quantised model": (["quantize", *BASE, *DATA, "-o", "o.onnx"], "quantised already"),
    "quantize onto the model": (["quantize", "float.onnx", *DATA, *UNIT, "-o", "float.onnx"], "is the model itself"),
    "quantize onto a file": (["quantize", "float.onnx", *DATA, *UNIT, "-o", "there.onnx"], "'there.onnx' exists"),
    "quantize, unknown range": (["quantize", "float.onnx", *DATA, "-o", "o.onnx"], "give --range LOW HIGH"),
    "quantize, unknown format": (
        ["quantize", "float.onnx", *DATA, *UNIT, "-o", "o.onnx", "--format", "qlinear"],
        "unknown format 'qlinear'",
    ),
    "quantize, absent data": (["quantize", "float.onnx", "--data", "no.npz", *UNIT, "-o", "o.onnx"], "no such file"),
    "no model named, none here": (["evaluate", *DATA], "which model?"),
    "no model named, two here": (["evaluate", *DATA], "'fused.nf.onnx', 'second.nf.onnx'"),
}

# Refused only once the generator has been chosen, which is told before.
AFTER_A_STAGE = {
    "shift beyond the image",
    "operator without a gradient",
    "unknown generator precision",
}


@pytest.fixture(scope="module")
def folder(files, float_model, foreign_model, tmp_path_factory):
    """A folder of good and bad files, the working directory of every case."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "base.onnx").write_bytes(files.base.read_bytes())
    (folder / "fused.nf.onnx").write_bytes(files.fused.read_bytes())
    (folder / "corrupt.onnx").write_bytes(files.base.read_bytes()[:5000])
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "there.onnx").write_bytes(b"precious")
    (folder / "corrupt.npz").write_bytes(b"PK no archive")
    (folder / "empty").mkdir()
    save(float_model, folder / "float.onnx")
    save(foreign_model, folder / "foreign.onnx")
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (20, 28, 28, 1), np.uint8), random.integers(0, 10, 20)
    floats = images.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    nan = floats.copy()
    nan[3, 0, 4, 5] = np.nan
    for name, x, y in (
        ("data", images, labels),
        ("shape", images[:, :20], labels),
        ("labels", images, labels + 5),
        ("nan", nan, labels),
        ("range", 100 * floats, labels),
        ("small", random.uniform(0, 1, (20, 3, 3)).astype(np.float32), labels % 2),
    ):
        np.savez(folder / f"{name}.npz", x=x, y=y)
    np.savez(folder / "other.npz", pixels=images)
    return folder


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def outcome(run_all, folder, tmp_path_factory):
    """The results of all cases, and the folder's files before and after them."""
    lonely, crowded = tmp_path_factory.mktemp("lonely"), tmp_path_factory.mktemp("crowded")
    for name in ("fused.nf.onnx", "second.nf.onnx"):
        (crowded / name).write_bytes((folder / "fused.nf.onnx").read_bytes())
    for place in (lonely, crowded):
        (place / "data.npz").write_bytes((folder / "data.npz").read_bytes())
    places = {"no model named, none here": lonely, "no model named, two here": crowded}
    before = contents(folder)
    results = run_all({name: (arguments, places.get(name, folder)) for name, (arguments, _) in CASES.items()})
    return results, before, contents(folder)


@pytest.mark.parametrize("case", CASES)
def test_what_the_user_can_mend_is_one_sentence(outcome, case):
    result = outcome[0][case]
    assert result.code == 1, result.err
    assert result.out == ""
    assert "Traceback" not in result.err
    # Ways to mend it may stand below the sentence, indented.
    lines = [line for line in result.err.splitlines() if not line.startswith("  ")]
    assert lines[-1].startswith("nfkit: ")
    assert CASES[case][1] in lines[-1]
    if case not in AFTER_A_STAGE:
        assert len(lines) == 1


def test_nothing_is_written(outcome):
    _, before, after = outcome
    assert sorted(after.keys() - before.keys()) == []
    assert after == before


def test_options_make_errors_of_the_library(zoo):
    options = {"set_share": 0.25, "protected_bits": [7], "protected_sites": ["head*"]}
    scale = Memory("stuck", **options).scale(zoo.model)
    made = [strength.errors for strength in find_strengths(scale, [0.01, 0.02], None)[0]]
    assert made == [BitErrors(rate, "stuck", 0.25, (7,), ("head*",)) for rate in (0.01, 0.02)]
    with pytest.raises(OptionError, match="flip"):
        Memory("flip", set_share=0.25).scale(zoo.model)
