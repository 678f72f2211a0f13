"""Models whose weights lie beside them: measured, faulted, fused and taken apart as any other."""

import os
import shutil

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.data import Dataset
from nfkit.errors import ModelError, OptionError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import inject, remove
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.measure.evaluation import evaluate
from nfkit.model import check_output, files_of, load, save, to_bytes
from nfkit.rim.external import external_files, external_tensors

DENSE = """
<ir_version: 8, opset_import: ["" : 18]>
dense (float[N, 3, 8, 8] x) => (float[N, 4] y) <float s = {0.002}, float t = {0.02}> {
    f = Flatten (x)
    w_f = DequantizeLinear (w, s)
    m = MatMul (f, w_f)
    r = Relu (m)
    v_f = DequantizeLinear (v, t)
    y = MatMul (r, v_f)
}
"""
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.uniform(-1, 1, (40, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def dense(parse):
    """A model of two layers; only the first is large enough to be put outside."""
    random = np.random.default_rng(1)
    w, v = random.integers(-127, 128, (192, 40), np.int8), random.integers(-127, 128, (40, 4), np.int8)
    return parse(DENSE, w=w, v=v)


@pytest.fixture
def path(dense, tmp_path):
    """The same, as exporters write it: the file, and its data beside it."""
    onnx.save(ir.to_proto(dense), tmp_path / "m.onnx", save_as_external_data=True, location="m.onnx.data")
    assert [t.name for t in external_tensors(load(tmp_path / "m.onnx"))] == ["w"]
    return tmp_path / "m.onnx"


@pytest.fixture(scope="module")
def data(dense, execute):
    """Samples that the clean model classifies right, so that errors can be seen."""
    return Dataset("own", IMAGES, execute(dense, {"x": IMAGES})[0].argmax(axis=1))


def test_accuracy_is_that_of_the_same_model_in_one_file(dense, path, data):
    model = load(path)
    held = [codes(model, site) for site in fault_sites(model)]  # someone keeps them, and so the map
    errors = [BitErrors(0.05), BitErrors(0.2)]
    apart = evaluate(model, data, find_input(model), errors, chips=range(50_000, 50_003))
    whole = evaluate(dense, data, find_input(dense), errors, chips=range(50_000, 50_003))
    assert apart.rows == whole.rows
    assert (apart.clean_base, whole.clean_base) == (1.0, 1.0)
    assert min(row.base for row in apart.rows) < 1
    again = evaluate(model, data, find_input(model), errors, chips=range(50_000, 50_003))
    assert again.rows == apart.rows
    assert np.array_equal(held[0], codes(dense, fault_sites(dense)[0]))


@pytest.mark.parametrize("mode", ["node", "input", "baked"])
def test_faults_go_in_and_out(dense, path, tmp_path, mode):
    model, chip, errors = load(path), Chip(50_000), BitErrors(0.1)
    injected = inject(model, fault_sites(model), chip, errors, mode)
    same = inject(dense, fault_sites(dense), chip, errors, mode)
    assert injected.metadata_props.pop("nfkit.faults.original")
    assert to_bytes(injected) == to_bytes(same)
    (tmp_path / "away").mkdir()
    saved = load(save(injected, tmp_path / "away" / "faulty.onnx"))
    assert to_bytes(remove(saved)) == to_bytes(dense)
    assert list(external_tensors(saved)) == []


def test_fused_file_holds_all_of_it_and_comes_apart(dense, path, data, residual_generator, tmp_path):
    base = load(path)
    spec = find_input(base, value_range=(-1, 1))
    fused = fuse(residual_generator(3, 8, 8), base, spec, {})
    (tmp_path / "away").mkdir()
    saved = load(save(fused, tmp_path / "away" / "m.nf.onnx"))
    assert to_bytes(split(saved)[1]) == to_bytes(dense)
    result = evaluate(saved, data, spec, [BitErrors(0.1)], chips=[50_000])
    assert result.rows == evaluate(fused, data, spec, [BitErrors(0.1)], chips=[50_000]).rows


def test_original_files_are_never_changed(path, data, tmp_path):
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    model = load(path)
    evaluate(model, data, find_input(model), [BitErrors(0.1)], chips=[50_000])
    to_bytes(inject(model, fault_sites(model), Chip(50_000), BitErrors(0.1), "baked"))
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_data_is_found_from_another_working_directory(path, monkeypatch, tmp_path, dense):
    monkeypatch.chdir(tmp_path)
    model = load("m.onnx")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert to_bytes(model) == to_bytes(dense)


def test_constants_of_nodes_and_functions_may_lie_outside(tmp_path, execute):
    proto = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["" : 18, "own" : 1]>
        g (float[N, 2] x) => (float[N, 2] y) {
            a = Constant <value = float[2] {1, 2}> ()
            h = Add (x, a)
            y = own.f (h)
        }
        <domain: "own", opset_import: ["" : 18]>
        f (v) => (w) { b = Constant <value = float[2] {10, 20}> ()  w = Mul (v, b) }
        """
    )
    inner = [proto.graph.node[0].attribute[0].t, proto.functions[0].node[0].attribute[0].t]
    for index, tensor in enumerate(inner):
        content = onnx.numpy_helper.to_array(tensor).tobytes()
        (tmp_path / f"c{index}.bin").write_bytes(b"pad." + content)
        tensor.ClearField("float_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", f"c{index}.bin"), ("offset", "4"), ("length", "8")):
            tensor.external_data.add(key=key, value=value)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    model = load(tmp_path / "m.onnx")
    assert [file.name for file in external_files(model)] == ["c0.bin", "c1.bin"]
    assert sorted(file.name for file in files_of(tmp_path / "m.onnx")) == ["c0.bin", "c1.bin", "m.onnx"]
    whole = onnx.load_from_string(to_bytes(model))
    assert execute(ir.from_proto(whole), {"x": np.array([[1, 1]], np.float32)})[0].tolist() == [[20, 60]]
    for name in ("c0.bin", "c1.bin"):
        shutil.copy(tmp_path / name, tmp_path / "kept")
        (tmp_path / name).unlink()
        with pytest.raises(ModelError, match=rf"{name}', where there is no such file"):
            load(tmp_path / "m.onnx")
        shutil.copy(tmp_path / "kept", tmp_path / name)


def test_short_data_is_named(path):
    data = path.with_name("m.onnx.data")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ModelError, match="up to byte 7680, but the file ends at 7679"):
        load(path)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("length", "7679", "7679 bytes from 0 on, where its shape and type need 7680"),
        ("offset", "1", "up to byte 7681, but the file ends at 7680"),
        ("offset", "-4", "has the offset '-4' in its data file"),
        ("length", "many", "has the length 'many' in its data file"),
        ("location", "", "does not say in which file"),
        ("location", "../secret", "outside"),
    ],
)
def test_what_is_said_of_the_data_must_fit(path, tmp_path, key, value, words):
    (tmp_path.parent / "secret").write_bytes(b"s" * 7680)
    proto = onnx.load(path, load_external_data=False)
    (tensor,) = [t for t in proto.graph.initializer if t.name == "w"]
    entries = {entry.key: entry.value for entry in tensor.external_data} | {key: value}
    del tensor.external_data[:]
    for k, v in entries.items():
        tensor.external_data.add(key=k, value=v)
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=words):
        to_bytes(load(path))


def test_message_in_memory_reads_no_file_outside_the_working_directory(path, tmp_path, monkeypatch):
    proto = onnx.load(path, load_external_data=False)
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path)
    assert to_bytes(load(proto)) == to_bytes(load(path))
    monkeypatch.chdir(tmp_path / "deep")
    with pytest.raises(ModelError, match="no such file"):
        load(proto)


def test_data_of_the_model_is_never_an_output(path, tmp_path):
    data = path.with_name("m.onnx.data")
    (tmp_path / "link").symlink_to(data)
    for output in (data, tmp_path / "link"):
        with pytest.raises(OptionError, match="is the data of the model itself, which is never changed"):
            check_output(output, path, force=True)
    os.remove(tmp_path / "link")


@pytest.mark.parametrize("way", ["symbolic", "hard", "upwards"])
def test_data_that_is_not_the_models_own_is_refused_when_it_is_read(dense, tmp_path, way):
    folder = tmp_path / "model"
    folder.mkdir()
    onnx.save(ir.to_proto(dense), folder / "m.onnx", save_as_external_data=True, location="m.data")
    (folder / "m.data").rename(tmp_path / "elsewhere")
    if way == "upwards":
        proto = onnx.load(folder / "m.onnx", load_external_data=False)
        for tensor in proto.graph.initializer:
            for entry in tensor.external_data:
                entry.value = "../elsewhere" if entry.key == "location" else entry.value
        (folder / "m.onnx").write_bytes(proto.SerializeToString())
    else:
        (os.symlink if way == "symbolic" else os.link)(tmp_path / "elsewhere", folder / "m.data")
    with pytest.raises(ModelError, match=r"tensor 'w'.*copy the model and its data into one folder.*cp -L"):
        load(folder / "m.onnx")


def test_a_link_within_the_models_folder_is_read(dense, tmp_path):
    onnx.save(ir.to_proto(dense), tmp_path / "m.onnx", save_as_external_data=True, location="m.data")
    (tmp_path / "m.data").rename(tmp_path / "blob")
    (tmp_path / "m.data").symlink_to("blob")
    loaded = load(tmp_path / "m.onnx")
    assert np.array_equal(codes(loaded, fault_sites(loaded)[0]), codes(dense, fault_sites(dense)[0]))
