"""From a frozen model to a protected file: what is written, what it says, and what is refused before any work."""

import json
import math
import shutil
from types import SimpleNamespace

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import nfkit
from nfkit.access.runtime import Runner
from nfkit.data import Dataset
from nfkit.errors import DataError, ModelError, NfkitError, OptionError, OutputError, UnsupportedError
from nfkit.faults import EVALUATION_CHIPS, BitErrors, Iid
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import find_sites
from nfkit.learn.config import TrainConfig
from nfkit.measure.evaluation import evaluate
from nfkit.model import load, save, sha256, to_bytes
from nfkit.models import zoo as model_zoo
from nfkit.reports.protection import Protection
from nfkit.reports.reading import read_as
from nfkit.workflows import finishing
from nfkit.workflows.protection import protect

# Codes from a camera, channels last: what TinyML models take.
CAMERA = """
<ir_version: 8, opset_import: ["" : OPSET]>
camera (int8[BATCH, 8, 8, 3] pixels) => (float[BATCH, 4] scores)
<float s = {0.0078125}, int8 z = {0}, float s_w = {0.015625}, float s_c = {0.03125}, int8 z_c = {-128},
 float s_d = {0.03125}>
{
    f = DequantizeLinear (pixels, s, z)
    t = Transpose <perm = [0, 3, 1, 2]> (f)
    w_f = DequantizeLinear (w, s_w)
    c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (t, w_f)
    c_q = QuantizeLinear (c, s_c, z_c)
    c_f = DequantizeLinear (c_q, s_c, z_c)
    p = GlobalAveragePool (c_f)
    v = Flatten (p)
    d_f = DequantizeLinear (d, s_d)
    scores = MatMul (v, d_f)
}
"""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def camera(parse):
    """camera(batch="N", opset=18): (model, its input, samples)."""

    def make(batch="N", opset=18):
        random = np.random.default_rng(0)
        w, d = random.integers(-60, 61, (6, 3, 3, 3), np.int8), random.integers(-60, 61, (6, 4), np.int8)
        model = parse(CAMERA.replace("BATCH", str(batch)).replace("OPSET", str(opset)), w=w, d=d)
        x, y = random.integers(-128, 128, (160, 8, 8, 3), np.int8), random.integers(0, 4, 160)
        return model, find_input(model), Dataset("codes", x, y)

    return make


def configure(**changes):
    settings = {
        "generator": "conv-s", "errors": BitErrors(0.02), "layout": Iid(), "epochs": 1.0, "batch": 32, "copies": 1,
        "precision": "float32",
    }  # fmt: skip
    return TrainConfig(**settings | changes)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A run on the zoo's model, from file to file."""
    folder = tmp_path_factory.mktemp("zoo")
    source = folder / "base.onnx"
    shutil.copy(model_zoo.path("resnet8-fashion-mnist"), source)
    images = str(model_zoo.images("resnet8-fashion-mnist"))
    train, test = nfkit.load_data(images, "train").take(128), nfkit.load_data(images, "test").take(50)
    before = source.read_bytes()
    stages, rows, config = [], [], configure(generator="unet-s", epochs=2.0, errors=BitErrors(0.01))
    spec, output = find_input(load(source)), folder / "base.nf.onnx"
    record = tmp_path_factory.mktemp("records") / "base.json"
    result = protect(
        source, train, test, spec, config, output, chips=2, record=record, on_stage=stages.append, on_row=rows.append
    )
    return SimpleNamespace(**locals())


# --- the file ---


def test_the_output_is_the_only_new_file(zoo):
    assert zoo.result.path == zoo.output
    assert sorted(path.name for path in zoo.folder.iterdir()) == ["base.nf.onnx", "base.onnx"]


def test_the_source_is_as_before(zoo):
    assert zoo.source.read_bytes() == zoo.before


def test_the_file_is_a_valid_model_that_splits_into_the_base(zoo):
    onnx.checker.check_model(str(zoo.output), full_check=True)
    fused = load(zoo.output)
    assert is_fused(fused)
    prefix, base = split(fused)
    assert to_bytes(base) == to_bytes(load(zoo.source))
    assert fused.metadata_props["nfkit.base.sha256"] == sha256(zoo.source)
    assert [v.name for v in prefix.graph.inputs] == ["image"]


def test_the_file_keeps_the_interface_of_the_base(zoo):
    fused, base = load(zoo.output).graph, load(zoo.source).graph
    for ours, theirs in ((fused.inputs, base.inputs), (fused.outputs, base.outputs)):
        assert [(v.name, v.dtype, str(v.shape)) for v in ours] == [(v.name, v.dtype, str(v.shape)) for v in theirs]


def test_the_int8_generator_stores_int8(zoo):
    generator = [s for s in find_sites(load(zoo.output)) if s.part == "generator" and s.role == "weight"]
    assert {site.dtype for site in generator} == {"int8"}
    assert zoo.result.precision == "int8"
    # All convolutions' weights: the parameters less biases and batch norms, some hundred of 120,000.
    assert 0.97 * zoo.result.parameters < sum(site.count for site in generator) <= zoo.result.parameters


def test_the_file_says_how_it_was_made(zoo):
    metadata = load(zoo.output).metadata_props
    training = json.loads(metadata["nfkit.training"])
    assert training["config"] == json.loads(json.dumps(zoo.config.to_dict()))
    assert training["data"] == {"name": zoo.train.name, "n": 128, "sha256": zoo.train.sha256}
    assert training["steps"] == 6  # two epochs of the 115 samples that are not held out, in batches of 32
    assert metadata["nfkit.generator"] == "unet-s"
    stated = json.loads(metadata["nfkit.results"])
    assert [entry["ber"] for entry in stated] == [point.ber for point in zoo.result.evaluation.points]
    assert [entry["recovery"]["mean"] for entry in stated] == [
        point.recovery.mean for point in zoo.result.evaluation.points
    ]
    assert all(isinstance(value, str) for value in metadata.values())


def test_equal_runs_give_equal_bytes(camera, tmp_path):
    model, spec, data = camera()
    paths = [tmp_path / name for name in ("once.onnx", "twice.onnx")]
    results = [protect(model, data, data.take(20), spec, configure(), path, chips=1) for path in paths]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert all(result.training.seconds >= 0 for result in results)  # which the record keeps


# --- the numbers ---


def test_the_measured_numbers_are_those_of_the_file(zoo):
    rates = (0.01, 0.001, 0.002, 0.005, 0.02)  # what it was trained for, and around that
    errors = [zoo.config.errors.at(rate) for rate in rates]
    again = evaluate(load(zoo.output), zoo.test, zoo.spec, errors, chips=EVALUATION_CHIPS[:2])
    assert again.rows == zoo.result.evaluation.rows
    assert again.clean_base == zoo.result.evaluation.clean_base
    assert again.clean_protected == zoo.result.evaluation.clean_protected
    assert tuple(zoo.rows) == again.rows


def test_parity_with_torch_is_a_number(zoo):
    assert math.isfinite(zoo.result.parity_max_abs)
    assert zoo.result.parity_max_abs >= 0


def test_the_float_generator_is_measured_beside_the_int8_one(zoo):
    reference, point = zoo.result.float_generator, zoo.result.evaluation.points[0]
    assert point.ber == 0.01
    assert abs(reference.protected.mean - point.protected.mean) < 0.2
    assert abs(reference.clean - zoo.result.evaluation.clean_protected) < 0.2


def test_generator_and_pair_are_compared(zoo):
    verdict, clean = zoo.result.verdict, zoo.result.evaluation.clean
    assert clean.alone_by == "probe"  # a UNet yields no evidence of its own
    assert [entry.point for entry in verdict.comparisons] == [0, 1, 2, 3, 4]
    assert all({"base", "alone"} <= {rival.kind for rival in entry.rivals} for entry in verdict.comparisons)
    advice = json.loads(load(zoo.output).metadata_props["nfkit.advice"])
    assert (advice["choice"], advice["sentence"]) == (verdict.choice, verdict.sentence)
    assert (advice["measured_by"], advice["generator_alone"]) == ("probe", clean.generator_alone.accuracy)


def test_the_result_is_a_record(zoo):
    record = read_as(zoo.record, Protection)
    assert record == zoo.result
    assert record.to_dict() == zoo.result.to_dict() == json.loads(json.dumps(zoo.result.to_dict(), allow_nan=False))
    plain = json.loads(zoo.record.read_text())
    assert plain["schema"] == "nfkit.protect/2"
    assert plain["output"] == str(zoo.output)
    assert plain["generator"] == "unet-s"
    assert plain["interrupted"] is False
    assert plain["macs"] > 1_000_000
    assert plain["evaluate"]["schema"] == "nfkit.evaluate/2"
    assert plain["evaluate"]["model"]["path"] == str(zoo.output)
    assert plain["evaluate"]["model"]["sha256"] == sha256(zoo.output)
    assert plain["evaluate"]["model"]["base_sha256"] == sha256(zoo.source)
    assert plain["float_generator"].keys() == {"clean", "protected"}


def test_stages_are_told_in_order(zoo):
    assert [stage.split()[0] for stage in zoo.stages] == [
        "the",
        "about",
        "comparing",
        "training",
        "exporting",
        "measuring",
    ]


# --- other interfaces ---


@pytest.mark.parametrize(("batch", "opset", "precision"), [("N", 18, "int8"), (2, 13, "float")])
def test_int8_channels_last_input_stays_what_it_is(camera, tmp_path, batch, opset, precision):
    model, spec, data = camera(batch, opset)
    before, output = to_bytes(model), tmp_path / "camera.nf.onnx"
    result = protect(model, data, data.take(21), spec, configure(), output, generator_precision=precision, chips=1)
    fused = load(output)
    (source,) = fused.graph.inputs
    assert (source.name, source.dtype, list(source.shape)) == ("pixels", ir.DataType.INT8, [batch, 8, 8, 3])
    assert fused.opset_imports == {"": opset}
    assert Runner(fused)(data.x[:5]).shape == (5, 4)
    assert to_bytes(split(fused)[1]) == to_bytes(model) == before
    assert [path.name for path in tmp_path.iterdir()] == ["camera.nf.onnx"]

    generator = [s for s in find_sites(fused) if s.part == "generator" and s.role == "weight"]
    assert bool(generator) == (precision == "int8")
    assert result.precision == precision
    assert (result.float_generator is None) == (precision == "float")
    assert ("float_generator" in result.to_dict()) == (precision == "int8")


def test_a_generator_without_weights_is_stated_as_what_it_is(camera, tmp_path):
    model, spec, data = camera()
    result = protect(model, data, data, spec, configure(generator="pattern"), tmp_path / "p.onnx", chips=1)
    fused = load(tmp_path / "p.onnx")
    assert not [s for s in find_sites(fused) if s.part == "generator" and s.role == "weight"]
    assert result.precision == "float"


def test_a_fixed_batch_larger_than_the_sample_of_the_parity_check(camera, tmp_path):
    model, spec, data = camera(batch=96)
    result = protect(model, data, data, spec, configure(), tmp_path / "p.onnx", generator_precision="float", chips=1)
    assert math.isfinite(result.parity_max_abs)


@pytest.mark.parametrize("batch", [600, 45])
def test_a_fixed_batch_that_the_calibration_data_does_not_fill(camera, tmp_path, batch):
    model, spec, data = camera(batch=batch)
    few = data.take(40)
    result = protect(model, few, few, spec, configure(), tmp_path / "p.onnx", chips=1)
    assert result.precision == "int8"
    assert Runner(load(tmp_path / "p.onnx"))(few.x).shape == (40, 4)


def test_a_fixed_batch_of_one_with_a_fixed_reshape(parse, tmp_path):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        single (float[1, 1, 4, 4] image) => (float[1, 3] scores)
        <float s = {0.0078125}, int8 z = {0}, float s_w = {0.015625}, int64[2] shape = {1, 16}>
        {
            q = QuantizeLinear (image, s, z)
            f = DequantizeLinear (q, s, z)
            v = Reshape (f, shape)
            w_f = DequantizeLinear (w, s_w)
            scores = MatMul (v, w_f)
        }
        """,
        w=np.random.default_rng(0).integers(-128, 128, (16, 3), np.int8),
    )
    random = np.random.default_rng(1)
    data = Dataset("single", random.integers(0, 256, (64, 4, 4, 1), np.uint8), random.integers(0, 3, 64))
    spec, output = find_input(model, layout="NCHW"), tmp_path / "single.nf.onnx"
    try:
        protect(model, data, data, spec, configure(), output, generator_precision="float", chips=1)
    except NfkitError:  # a reasoned refusal will do as well
        assert not output.exists()
    else:
        assert output.exists()
    assert not list(tmp_path.glob("*.checkpoint.pt"))


# --- ending early ---


class KilledError(Exception):
    """Stands for whatever ends a process in the middle of a run."""


def test_a_killed_run_leaves_no_output_and_goes_on_when_called_again(camera, tmp_path):
    model, spec, data = camera()
    config, output = configure(epochs=4.0), tmp_path / "camera.nf.onnx"

    def end(progress):
        if progress.step == 14:
            raise KilledError

    with pytest.raises(KilledError):
        protect(model, data, data, spec, config, output, generator_precision="float", chips=1, on_training=end)
    assert not output.exists()
    assert [path.suffix for path in tmp_path.iterdir()] == [".pt"]

    steps = []
    result = protect(
        model, data, data, spec, config, output, generator_precision="float", chips=1,
        on_training=lambda progress: steps.append(progress.step),
    )  # fmt: skip
    assert 1 < steps[0] <= 15
    assert result.training.steps == steps[-1] == 16
    assert [path.name for path in tmp_path.iterdir()] == ["camera.nf.onnx"]


def test_a_damaged_checkpoint_is_said_to_be_one_and_has_no_part_in_the_result(camera, tmp_path):
    model, spec, data = camera()
    whole, output, stages = tmp_path / "whole.onnx", tmp_path / "camera.nf.onnx", []
    options = {"generator_precision": "float", "chips": 1, "around": False}

    def end(progress):
        if progress.step == 4:
            raise KilledError

    config = configure()
    protect(model, data, data, spec, config, whole, **options)
    with pytest.raises(KilledError):
        protect(model, data, data, spec, config, output, **options, on_training=end)
    checkpoint = tmp_path / "camera.nf.onnx.checkpoint.pt"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 255
    checkpoint.write_bytes(content)
    protect(model, data, data, spec, config, output, **options, on_stage=stages.append)
    assert any("camera.nf.onnx.checkpoint.pt is damaged" in stage for stage in stages)
    assert output.read_bytes() == whole.read_bytes()


def test_ctrl_c_gives_a_valid_file(camera, tmp_path):
    model, spec, data = camera()
    output = tmp_path / "camera.nf.onnx"

    def interrupt(progress):
        raise KeyboardInterrupt

    result = protect(
        model, data, data, spec, configure(), output, generator_precision="float", chips=1, on_training=interrupt
    )
    assert result.interrupted
    assert result.training.steps == 1
    assert to_bytes(split(load(output))[1]) == to_bytes(model)
    assert [path.name for path in tmp_path.iterdir()] == ["camera.nf.onnx"]


def test_a_run_that_was_killed_between_record_and_file_is_made_whole_by_the_same_call(camera, tmp_path, monkeypatch):
    model, spec, data = camera()
    output, record = tmp_path / "camera.nf.onnx", tmp_path / "camera.json"

    def run():
        return protect(
            model, data, data.take(40), spec, configure(), output, generator_precision="float", chips=1, record=record
        )

    def end(*arguments):
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(finishing, "save", end)
        with pytest.raises(KilledError):
            run()
    assert record.exists()
    assert not output.exists()
    assert len(list(tmp_path.glob("*.checkpoint.pt"))) == 1  # by which the training need not be done again
    result = run()
    assert read_as(record, Protection) == result
    assert result.evaluation.model.sha256 == sha256(output)
    assert not list(tmp_path.glob("*.checkpoint.pt"))


# --- in five lines ---


def test_the_defaults_of_the_command_are_those_of_the_library(camera, tmp_path):
    model, _, data = camera()
    path = save(model, tmp_path / "camera.onnx")
    np.savez(tmp_path / "train.npz", x=data.x, y=data.y)
    result = nfkit.protect(
        str(path), tmp_path / "train.npz", ber=0.02, generator="conv-s", epochs=0.5, batch=32, chips=2, allow_loss=True,
        allow_low_accuracy=True,
    )  # fmt: skip
    assert result.path == tmp_path / "camera.nf.onnx"
    assert is_fused(load(result.path))
    assert [point.ber for point in result.evaluation.points] == [0.02, 0.002, 0.004, 0.01, 0.04]
    assert result.evaluation.data.n == 16  # a tenth of what has no test part
    assert result.training.config["batch"] == 32
    assert result.reason.startswith("conv-s")
    assert str(result).splitlines()[0] == result.verdict.sentence
    assert "conv-s with " in str(result)
    assert len(result.table().rows) == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": 7}, "a model is given as a path"),
        ({"data": 7}, "data is given as a path or a name"),
        ({"data": "x.npz", "test": [1]}, "there is no such file"),
        ({"output": 7}, "the output is given as a path, not as an int"),
        ({"output": None}, "has no file to write beside: give an output"),
        ({"eposch": 3}, "there is no setting 'eposch': of training there are .*epochs"),
        ({"ber": 0.0}, "has no errors to protect against"),
        ({"protected_sites": ("nothing*",)}, "matches none of the model's 2 weight sites"),
    ],
    ids=str,
)
def test_what_does_not_fit_gets_a_sentence(camera, tmp_path, changes, message):
    model, _, data = camera()
    arguments = {
        "model": model, "data": data, "output": tmp_path / "o.onnx", "generator": "conv-s", "epochs": 0.5,
        "allow_loss": True,
    }  # fmt: skip
    with pytest.raises(NfkitError, match=message):
        nfkit.protect(**arguments | changes)
    assert list(tmp_path.iterdir()) == []


# --- refusals, before any work ---


@pytest.fixture
def refused(tmp_path):
    """refused(error, match, model, data, test, spec, output, ...): asserts that nothing was trained or written."""

    def check(error, match, model, data, test, spec, output, **options):
        def trained(progress):
            raise AssertionError("training began")

        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(error, match=match):
            protect(model, data, test, spec, configure(), output, on_training=trained, **options)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    return check


def test_an_existing_output_is_refused_unless_forced(camera, refused, tmp_path):
    model, spec, data = camera()
    output = tmp_path / "there.onnx"
    output.write_bytes(b"precious")
    refused(OptionError, "exists: choose another name, or give --force", model, data, data, spec, output)
    protect(model, data, data, spec, configure(), output, generator_precision="float", chips=1, force=True)
    assert is_fused(load(output))


@pytest.mark.parametrize("force", [False, True])
def test_the_model_itself_is_no_output(camera, refused, tmp_path, force):
    model, spec, data = camera()
    path = save(model, tmp_path / "base.onnx")
    link = tmp_path / "link.onnx"
    link.symlink_to(path)
    for output in (path, link):
        refused(OptionError, "is the model itself, which is never changed", path, data, data, spec, output, force=force)


def test_a_folder_that_does_not_exist_is_no_place_for_the_output(camera, refused, tmp_path):
    model, spec, data = camera()
    refused(OutputError, "there is no folder", model, data, data, spec, tmp_path / "nowhere" / "out.onnx")


def test_a_protected_model_is_not_protected_again(zoo, refused, tmp_path):
    refused(
        ModelError, "protected already: give the base", zoo.output, zoo.train, zoo.test, zoo.spec, tmp_path / "o.onnx"
    )


def test_a_damaged_protected_model_is_called_damaged(zoo, refused, tmp_path):
    fused = load(zoo.output)
    bias = next(v for v in fused.graph.initializers.values() if v.dtype == ir.DataType.INT32)
    bias.const_value = ir.tensor(bias.const_value.numpy() + 1, name=bias.name)
    refused(ModelError, "changed since", fused, zoo.train, zoo.test, zoo.spec, tmp_path / "out.onnx")


@pytest.mark.parametrize("which", ["train", "test"])
def test_labels_beyond_the_models_classes_are_refused(camera, refused, tmp_path, which):
    model, spec, data = camera()
    wrong = Dataset("wrong", data.x, data.y + 2)
    sets = (wrong, data) if which == "train" else (data, wrong)
    refused(DataError, "beyond the model's 4 classes", model, *sets, spec, tmp_path / "out.onnx")


@pytest.mark.parametrize("which", ["train", "test"])
def test_data_of_another_shape_is_refused(camera, refused, tmp_path, which):
    model, spec, data = camera()
    wrong = Dataset("wrong", data.x[:, :5], data.y)
    sets = (wrong, data) if which == "train" else (data, wrong)
    refused(DataError, r"\[5, 8, 3\]", model, *sets, spec, tmp_path / "out.onnx")


def test_a_model_without_gradients_is_refused(parse, camera, refused, tmp_path):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        strange (int8[N, 8, 8, 3] pixels) => (float[N, 3] y)
        <float s = {0.5}>
        {
            f = DequantizeLinear (pixels, s)
            t = Transpose <perm = [0, 3, 1, 2]> (f)
            v = Det (t)
            w_f = DequantizeLinear (w, s)
            y = MatMul (v, w_f)
        }
        """,
        w=np.ones((3, 3), np.int8),
    )
    data = camera()[2]
    refused(UnsupportedError, "Det", model, data, data, find_input(model), tmp_path / "out.onnx")


def test_an_opset_too_low_for_a_generator_is_refused(camera, refused, tmp_path):
    model, spec, data = camera(opset=10)
    refused(UnsupportedError, "a generator needs at least 13", model, data, data, spec, tmp_path / "out.onnx")


def test_an_unknown_precision_of_the_generator_is_refused(camera, refused, tmp_path):
    model, spec, data = camera()
    refused(OptionError, "int4", model, data, data, spec, tmp_path / "o.onnx", generator_precision="int4")


def test_a_model_without_integer_weights_is_refused(parse, camera, refused, tmp_path):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        plain (float[N, 4] x) => (float[N, 3] y)
        { y = MatMul (x, w) }
        """,
        w=np.ones((4, 3), np.float32),
    )
    spec = find_input(model, value_range=(-1.0, 1.0))
    data = Dataset("floats", np.zeros((20, 4), np.float32), np.zeros(20, np.int64))
    refused(ModelError, "stores no weights as integers", model, data, data, spec, tmp_path / "out.onnx")


def test_an_input_of_unknown_range_is_refused(parse, camera, refused, tmp_path):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        unbounded (float[N, 4] x) => (float[N, 3] y)
        <float s = {0.5}>
        {
            w_f = DequantizeLinear (w, s)
            y = MatMul (x, w_f)
        }
        """,
        w=np.ones((4, 3), np.int8),
    )
    data = Dataset("floats", np.zeros((20, 4), np.float32), np.zeros(20, np.int64))
    refused(OptionError, "give --range LOW HIGH", model, data, data, find_input(model), tmp_path / "out.onnx")
