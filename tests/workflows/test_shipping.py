"""`nfkit.check` and `nfkit.export`: files are run in the runtimes that are installed, and compared."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest

import nfkit
from nfkit.access.runtime import Runner
from nfkit.data.download import cache_folder
from nfkit.deploy.targets import runtimes
from nfkit.deploy.targets.known import TARGETS
from nfkit.errors import ModelError, OptionError, UnsupportedError
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.trust import Trust
from nfkit.graph.input.discovery import find_input
from nfkit.model import load, save
from nfkit.pages.web_runtime import PUBLISHED
from nfkit.reports.reading import decode, encode

COUNT = 60
BASE = """
<ir_version: 8, opset_import: ["" : 18]>
base (float[N, 2, 4, 4] image) => (float[N, 3] scores)
<float s = {0.0078125}, float sl = {0.05}, int8 zl = {0}, float so = {0.00390625}, int8 zo = {-128}>
{
    flat = Flatten (image)
    w_f = DequantizeLinear (w, s)
    l = MatMul (flat, w_f)
    lq = QuantizeLinear (l, sl, zl)
    lf = DequantizeLinear (lq, sl, zl)
    p = Softmax (lf)
    q = QuantizeLinear (p, so, zo)
    scores = DequantizeLinear (q, so, zo)
}
"""
OUTSIDE = """
<ir_version: 8, opset_import: ["" : 17]>
base (float[N, 2, 4, 4] image) => (float[N, 3] scores) <float s = {0.0078125}, float zero = {0}>
{
    flat = Flatten (image)
    most = ReduceMax <keepdims = 0> (flat)
    any = Greater (most, zero)
    scores = If (any) <
        then_branch = yes () => (float[N, 3] a) { w_a = DequantizeLinear (w, s) a = MatMul (flat, w_a) },
        else_branch = no () => (float[N, 3] b) { w_b = DequantizeLinear (w, s) c = MatMul (flat, w_b) b = Neg (c) }
    >
}
"""
LOOKS = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 2, 4, 4] image) => (float[N, 3] evidence)
<float s = {0.015625}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
}
"""


@pytest.fixture(scope="module")
def made(parse, tmp_path_factory):
    """A base, the same with early answers, and samples."""
    random = np.random.default_rng(3)
    base = parse(BASE, w=random.integers(-20, 21, (32, 3), np.int8))
    looker = parse(LOOKS, k=random.integers(-20, 21, (32, 3), np.int8))
    spec = find_input(base, layout="NCHW", value_range=(-1, 1))
    x = random.uniform(-1, 1, (10 * COUNT, 2, 4, 4)).astype(np.float32)
    scores = np.sort(Runner(base)(x), axis=1)
    # No ties, which runtimes may round to either side.
    x = x[scores[:, -1] - scores[:, -2] > 0.1][:COUNT]
    assert len(x) == COUNT
    answer = Answer(find_form(base, Runner(base)(x)), Trust(weight=0.6), 0.6)
    early = fuse(looker, base, spec, {"nfkit.input": ""}, answer)
    folder = tmp_path_factory.mktemp("shipping")
    save(base, folder / "base.onnx")
    save(early, folder / "early.nf.onnx")
    data = nfkit.Dataset("noise", x, random.integers(0, 3, COUNT))
    return SimpleNamespace(base=folder / "base.onnx", early=folder / "early.nf.onnx", data=data, x=x)


def need(name):
    if (lacks := runtimes.missing(TARGETS[name])) is not None:
        pytest.skip(lacks)


SETTINGS = {"input_layout": "NCHW", "value_range": (-1, 1)}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("which", ["base", "early"])
def test_every_runtime_that_is_installed(made, name, which):
    need(name)
    record = nfkit.check(getattr(made, which), [name], made.data, **SETTINGS)
    (entry,) = record.checked
    assert entry.parity is not None, entry
    assert (entry.parity.equal, entry.parity.samples) == (COUNT, COUNT)
    assert entry.parity.difference <= (0 if name in ("onnxruntime", "ort-format") else 0.02)
    assert entry.parity.here == entry.parity.there
    assert decode(encode(record), "it") == record


def test_tract_computes_the_softmax_wrongly_that_export_spells_out(made, tmp_path):
    need("tract")
    path = tmp_path / "as_it_is.onnx"
    proto = onnx.load(made.base)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(proto, path)
    (scores,) = runtimes.run(TARGETS["tract"], path, {"image": made.x})
    assert np.abs(scores - Runner(load(made.base))(made.x)).max() > 0.1


def test_two_files_answer_as_the_one(made, tmp_path):
    record = nfkit.export(
        made.early, "onnxruntime", tmp_path / "out.onnx", made.data, two_files=True, **SETTINGS
    )  # fmt: skip
    assert [path.name for path in record.paths] == ["out.front.onnx", "out.back.onnx"]
    assert record.checked.parity is not None
    assert record.checked.parity.equal == COUNT
    assert [finding.kind for finding in record.checked.findings] == ["branch"]
    front = Runner(load(record.paths[0])).outputs(made.x)
    sure = front["nfkit/sure"]
    assert 0 < sure.sum() < COUNT  # both files had work to do
    assert all(node.op_type != "If" for path in record.paths for node in load(path).graph)


def test_onnx_runtime_s_format(made, tmp_path):
    record = nfkit.export(made.base, "ort-format", tmp_path / "out.ort", made.data, **SETTINGS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.ort", "out.ort.required_operators.config"]
    session = onnxruntime.InferenceSession(str(record.paths[0]))
    expected = Runner(load(made.base), level="extended", exact=False)(made.x)
    assert np.array_equal(session.run(None, {"image": made.x})[0], expected)
    listed = (tmp_path / "out.ort.required_operators.config").read_text()
    assert "ai.onnx;" in listed
    assert "Flatten" in listed


def test_without_data_nothing_is_run(made, tmp_path):
    record = nfkit.export(made.base, "tract", tmp_path / "out.onnx")
    assert record.checked.parity is None
    assert "give --data" in str(record)
    assert len(onnx.load(tmp_path / "out.onnx").graph.node) > 6
    states = {entry.target: entry.state for entry in nfkit.check(made.base).checked}
    assert states["tract"] == "after 2 changes"
    assert states["onnxruntime"] == "as it is"


def test_data_beside_the_model_is_run(made, tmp_path):
    path = tmp_path / "base.onnx"
    path.write_bytes(Path(made.base).read_bytes())
    np.savez(tmp_path / "base.npz", x=made.data.x, y=made.data.y)
    said = []
    record = nfkit.export(path, "onnxruntime", tmp_path / "out.onnx", on_stage=said.append, **SETTINGS)
    assert said == [f"data: base.npz:x, {COUNT} samples (base.npz beside the model)"]
    assert record.checked.parity.samples == record.checked.parity.equal == COUNT
    assert str(record).startswith(f"{tmp_path / 'out.onnx'}: for onnxruntime; nothing had to change\n")
    assert "changed" not in str(record)
    (entry,) = nfkit.check(path, ["onnxruntime"], on_stage=said.append, **SETTINGS).checked
    assert entry.parity == record.checked.parity
    assert said[1] == said[0]


def test_without_the_runtime_the_record_says_so(made, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (entry,) = nfkit.check(made.base, ["onnxruntime-web"], made.data, **SETTINGS).checked
    assert entry.parity is None
    assert "not installed here, so that nothing was run" in entry.note


def test_a_body_that_takes_its_weights_from_outside(parse, tmp_path):
    random = np.random.default_rng(3)
    base = parse(OUTSIDE, w=random.integers(-20, 21, (32, 3), np.int8))
    save(base, tmp_path / "base.onnx")
    data = nfkit.Dataset("noise", random.uniform(-1, 1, (40, 2, 4, 4)).astype(np.float32), random.integers(0, 3, 40))
    with pytest.raises(ModelError, match=r"the weight 'w' comes from outside the body .*: hosts open such a file with"):
        nfkit.export(tmp_path / "base.onnx", "onnxruntime", tmp_path / "out.onnx", data, **SETTINGS)
    record = nfkit.export(tmp_path / "base.onnx", "ort-format", tmp_path / "out.ort", data, **SETTINGS)
    assert (record.checked.parity.equal, record.checked.parity.difference) == (40, 0)


def test_a_file_that_fails_in_its_runtime_is_not_written(made, tmp_path, monkeypatch):
    def fail(path):
        raise ValueError("no kernel for node 'w_f'")

    monkeypatch.setitem(runtimes._RUNTIMES, "reference", fail)
    with pytest.raises(ModelError, match=r"reference .* fails on 'model\.onnx': no kernel for node 'w_f'"):
        nfkit.export(made.base, "reference", tmp_path / "out.onnx", made.data, **SETTINGS)
    assert list(tmp_path.iterdir()) == []
    (entry,) = nfkit.check(made.base, ["reference"], made.data, **SETTINGS).checked
    assert entry.state == "fails"


def test_refusals(made, tmp_path):
    with pytest.raises(OptionError, match=r"call it .*out\.ort"):
        nfkit.export(made.base, "ort-format", tmp_path / "out.onnx")
    with pytest.raises(OptionError, match="unknown target"):
        nfkit.check(made.base, ["mnn"])
    with pytest.raises(OptionError, match="give how many to run"):
        nfkit.check(made.base, samples=0)
    faulty = nfkit.inject(load(made.base), nfkit.find_sites(load(made.base))[:1], nfkit.Chip(1), nfkit.BitErrors(0.01))
    with pytest.raises(nfkit.NfkitError, match="--remove"):
        nfkit.export(faulty, "tract", tmp_path / "out.onnx")
    with pytest.raises(UnsupportedError, match="opset"):
        nfkit.export(made.base, "tract", tmp_path / "out.onnx", opset=9)
    assert list(tmp_path.iterdir()) == []


def test_a_fixed_batch_is_filled(parse):
    fixed = parse(BASE.replace("float[N", "float[8"), w=np.random.default_rng(3).integers(-20, 21, (32, 3), np.int8))
    x = np.random.default_rng(0).uniform(-1, 1, (13, 2, 4, 4)).astype(np.float32)
    data = nfkit.Dataset("noise", x, np.zeros(13, np.int64))
    (entry,) = nfkit.check(fixed, ["onnxruntime"], data, **SETTINGS).checked
    assert entry.parity is not None, entry
    assert (entry.parity.equal, entry.parity.samples) == (13, 13)


def test_the_cache_is_where_pages_keep_the_runtime():
    assert runtimes._web_archive() == cache_folder() / "onnxruntime-web" / PUBLISHED.url.rpartition("/")[2]
