"""From a float file to a quantised one: what is written, what is measured, what is refused."""

import json

import numpy as np
import onnxruntime
import pytest

import nfkit
from nfkit.access.runtime import Runner, accuracy
from nfkit.data import Dataset
from nfkit.errors import ModelError, OptionError
from nfkit.faults import BitErrors
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.bits import recorded_bits
from nfkit.graph.memory.sites import find_sites
from nfkit.measure.quantisation import quantize
from nfkit.model import load, save, sha256

COUNT = 240


@pytest.fixture
def task(floatnet, tmp_path):
    """task(**options of floatnet): file, spec and data, labelled by the float model itself, which so gets all right."""

    def build(**options):
        model = floatnet(**options)
        path = save(model, tmp_path / "float.onnx")
        spec = find_input(model, value_range=(-1.0, 1.0), layout="NHWC" if options.get("last") else "NCHW")
        images = np.random.default_rng(1).integers(0, 256, (COUNT, 6, 6, 3), np.uint8)
        x = spec.encode(images)
        data = Dataset("random", images, Runner(model, level="basic").classify(x))
        return path, spec, data

    return build


def run(task, tmp_path, **options):
    path, spec, data = task
    return quantize(path, data.take(64), data, spec, tmp_path / "out.onnx", **options)


def test_accuracy_before_and_after(task, tmp_path):
    made = task()
    result = run(made, tmp_path)
    path, spec, data = made
    assert result.float_accuracy == 1
    assert result.accuracy == accuracy(Runner(load(result.output)), spec.encode(data.x), data.y)
    assert 0.9 < result.accuracy <= 1
    assert (result.sites, result.codes) == (2, 8 * 27 + 4 * 8)
    assert (result.folded, result.lifted_from) == (1, None)
    assert result.bytes == result.path.stat().st_size
    assert result.float_bytes == path.stat().st_size
    coarse = run(made, tmp_path, bits=2, force=True)
    assert coarse.accuracy < result.accuracy


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_file_says_its_bits(task, tmp_path, bits):
    result = run(task(), tmp_path, bits=bits)
    model = load(result.output)
    weights = [site for site in find_sites(model) if site.role == "weight"]
    assert [site.bits for site in weights] == [bits, bits]
    assert recorded_bits(model) == ({} if bits == 8 else {site.name: bits for site in weights})


@pytest.mark.parametrize(
    "options", [{"opset": 11}, {"batch": 4}, {"last": True}, {"opset": 9, "batch": 1, "last": True}]
)
@pytest.mark.parametrize("symmetric", [False, True])
def test_kinds_of_models(task, tmp_path, options, symmetric):
    made = task(**options)
    result = run(made, tmp_path, per_channel=True, symmetric=symmetric)
    model = load(result.output)
    assert result.lifted_from == (options.get("opset") if options.get("opset", 18) < 13 else None)
    assert result.accuracy > 0.9
    assert {site.axis for site in find_sites(model) if site.role == "weight"} == {0}
    kept, given = (m.graph.inputs[0] for m in (model, load(made[0])))
    assert (kept.name, kept.shape, kept.dtype) == (given.name, given.shape, given.dtype)
    zeros = [n.inputs[2].const_value for n in model.graph if n.op_type == "QuantizeLinear"]
    assert {z.dtype.name for z in zeros} == {"INT8" if symmetric else "UINT8"}
    assert not symmetric or not any(z.numpy().any() for z in zeros)


def test_no_trace_of_the_quantiser(task, tmp_path):
    model = load(run(task(), tmp_path, bits=4).output)
    assert model.opset_imports == {"": 18}
    assert (model.producer_name, model.producer_version) == ("someone", "7")
    assert set(model.metadata_props) == {"nfkit.bits"}
    assert {path.name for path in tmp_path.iterdir()} == {"float.onnx", "out.onnx"}


def test_bytes_repeat(task, tmp_path):
    made = task(opset=11)
    first = run(made, tmp_path, bits=5, per_channel=True).path.read_bytes()
    assert run(made, tmp_path, bits=5, per_channel=True, force=True).path.read_bytes() == first


def test_the_result_can_be_measured_under_errors(task, tmp_path):
    made = task()
    result = run(made, tmp_path, bits=4)
    evaluation = nfkit.evaluate(load(result.output), made[2], made[1], [BitErrors(0.05)], chips=[50_000, 50_001])
    assert evaluation.clean_base == result.accuracy
    # 5 % of four cells a code, give or take four standard deviations
    cells = 4 * result.codes
    assert all(abs(r.faulty_cells - 0.05 * cells) < 4 * (0.05 * cells) ** 0.5 for r in evaluation.rows)


_LOADS_INT2 = tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 32)


@pytest.mark.parametrize(
    ("bits", "opset"),
    [(4, 21), pytest.param(2, 25, marks=pytest.mark.skipif(not _LOADS_INT2, reason="an older ONNX Runtime"))],
)
def test_packed_codes_compute_the_same(task, tmp_path, bits, opset):
    """Node by node; integer kernels read int8 only."""
    made = task(opset=18)
    plain, packed = (run(made, tmp_path, bits=bits, pack=pack, force=True, level="basic") for pack in (False, True))
    assert packed.accuracy == plain.accuracy
    assert (packed.lifted_from, packed.sites) == (18, 2)
    model = load(packed.output)
    assert model.opset_imports == {"": opset}
    weights = [n.inputs[0] for n in model.graph if n.op_type == "DequantizeLinear" and n.inputs[0].is_initializer()]
    assert sorted(v.dtype.name for v in weights if v.dtype.bitwidth < 8) == [f"INT{bits}"] * 2
    assert recorded_bits(model) == {}
    assert packed.packed


def test_packed_codes_are_those_in_int8(task, tmp_path):
    made = task(opset=21)
    (tmp_path / "plain").mkdir()
    plain = quantize(made[0], made[2].take(64), made[2], made[1], tmp_path / "plain" / "out.onnx", bits=4)
    packed = run(made, tmp_path, bits=4, pack=True)
    codes = [
        {
            v.name: v.const_value.numpy().astype(int).tolist()
            for v in m.graph.initializers.values()
            if v.name in ("w_quantized", "d_quantized")
        }
        for m in (load(plain.output), load(packed.output))
    ]
    assert codes[0] == codes[1]
    assert len(codes[0]) == 2


def test_bits_without_a_packed_type(task, tmp_path):
    with pytest.raises(OptionError, match="packs codes of 4 and 2 bits, not 3"):
        run(task(), tmp_path, bits=3, pack=True)


def test_record(task, tmp_path):
    made = task()
    result = run(made, tmp_path, bits=4)
    record = json.loads(json.dumps(result.to_dict()))
    assert record["schema"] == "nfkit.quantize/1"
    assert (record["bits"], record["format"], record["level"]) == (4, "qdq", "all")
    assert record["float_accuracy"] == 1
    assert record["calibration"]["n"] == 64
    assert record["model"]["sha256"] == sha256(made[0])
    assert record["output"] == str(result.output)


# --- refusals ---


def test_quantised_model(task, tmp_path):
    made = task()
    result = run(made, tmp_path)
    with pytest.raises(ModelError, match="quantised already"):
        quantize(result.output, made[2], made[2], made[1], tmp_path / "twice.onnx")
    assert not (tmp_path / "twice.onnx").exists()


def test_options(task, tmp_path):
    made = task()
    with pytest.raises(OptionError, match="unknown format 'qlinear'"):
        run(made, tmp_path, format="qlinear")
    with pytest.raises(OptionError, match="2 to 8 bits, not 9"):
        run(made, tmp_path, bits=9)
    with pytest.raises(OptionError, match="is the model itself"):
        quantize(made[0], made[2], made[2], made[1], made[0], force=True)
    assert {path.name for path in tmp_path.iterdir()} == {"float.onnx"}


def test_weights_that_are_computed(parse, tmp_path):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        computed (float[N, 3] x) => (float[N, 2] y)
        <int64[2] shape = {3, 2}>
        { w = ConstantOfShape <value = float[1] {0.5}> (shape)
          y = MatMul (x, w) }
        """
    )
    spec = find_input(model, value_range=(0.0, 1.0))
    data = Dataset("ones", np.ones((4, 3), np.float32), np.zeros(4, np.int64))
    with pytest.raises(ModelError, match="'computed' has no constant weights"):
        quantize(model, data, data, spec, tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []


def test_too_few_samples_for_a_fixed_batch_are_repeated(task, tmp_path):
    """Ranges are those of the smallest and largest values, which a repeated sample does not move."""
    path, spec, data = task(batch=32)
    few = quantize(path, data.take(8), data, spec, tmp_path / "few.onnx")
    whole = Dataset("repeated", np.concatenate([data.x[:8]] * 4), np.concatenate([data.y[:8]] * 4))
    many = quantize(path, whole, data, spec, tmp_path / "many.onnx")
    assert few.path.read_bytes() == many.path.read_bytes()
