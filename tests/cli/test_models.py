"""`nfkit models`: what it lists is what it writes, and it never overwrites unasked."""

import json
import sys

import numpy as np
import onnx
import pytest
import torch

import nfkit.models.catalogue
from nfkit.access.runtime import Runner
from nfkit.errors import OptionError
from nfkit.learn.export import transform
from nfkit.model import load, sha256
from nfkit.models import zoo
from nfkit.models.bases import BASES
from nfkit.models.bases import build as build_base
from nfkit.models.catalogue import catalogue
from nfkit.models.generators import GENERATORS
from nfkit.models.generators import build as build_generator

PUBLISHED = {
    "resnet18": 11_173_962,
    "resnet50": 23_520_842,
    "vgg11": 9_231_114,
    "vgg16": 14_728_266,
    "vgg19": 20_040_522,
    "conv-l": 723_273,
    "conv-s": 113_187,
    "deconv-l": 647_785,
    "deconv-s": 156_777,
    "unet-l": 482_771,
    "unet-s": 121_195,
}


def test_list_as_record(invoke):
    record = json.loads(invoke("models", "list", "--json", "-").stdout)
    assert record["schema"] == "nfkit.models/1"
    kinds = {entry["name"]: entry["kind"] for entry in record["models"]}
    expected = dict.fromkeys(BASES, "base") | dict.fromkeys(GENERATORS, "generator")
    assert kinds == expected | dict.fromkeys(zoo.ZOO, "trained base")
    counts = {entry["name"]: entry["parameters"] for entry in record["models"]}
    assert counts.items() >= PUBLISHED.items()
    assert counts["resnet8-fashion-mnist"] == 77_418  # 77,072 weights and 346 biases


def test_list_as_text(invoke):
    lines = invoke("models", "list").stdout.splitlines()
    assert lines[0].split() == ["name", "kind", "parameters"]
    assert lines[2].split() == ["resnet18", "base", "11,173,962"]
    assert len(lines) == 2 + len(BASES) + len(GENERATORS) + len(zoo.ZOO)


def test_exported_base_is_the_librarys(invoke, tmp_path):
    path = tmp_path / "b.onnx"
    arguments = ("--input", "1x40x32", "--classes", 4, "--seed", 5)
    record = json.loads(invoke("models", "export", "vgg11", *arguments, "-o", path, "--json", "-").stdout)
    assert sha256(path) == record["sha256"] == sha256(build_base("vgg11", (1, 40, 32), 4, seed=5))
    assert (record["schema"], record["name"]) == ("nfkit.models.export/1", "vgg11")
    assert record["input"] == [None, 1, 40, 32]
    assert [item.name for item in tmp_path.iterdir()] == ["b.onnx"]
    onnx.checker.check_model(path, full_check=True)


def test_exported_base_as_float(invoke, tmp_path):
    text = invoke("models", "export", "vgg11", "--float", "-o", tmp_path / "b.onnx").stdout
    assert text.startswith(f"{tmp_path / 'b.onnx'}: vgg11, input 3x32x32, 36,")
    assert "DequantizeLinear" not in {node.op_type for node in load(tmp_path / "b.onnx").graph}


def test_exported_generator_has_the_weights_of_its_seed(invoke, tmp_path):
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    invoke("models", "export", "conv-s", "--input", "3x8x8", "--seed", 1, "-o", tmp_path / "g.onnx")
    assert torch.equal(torch.random.get_rng_state(), state)

    torch.manual_seed(1)
    generator = build_generator("conv-s", 3, (8, 8))
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 8, 8)).astype(np.float32)
    y = Runner(load(tmp_path / "g.onnx"), threads=1)(x)
    np.testing.assert_allclose(y, transform(generator, x), atol=1e-5)
    assert np.abs(y - x).max() > 0.01


def test_exported_trained_base_is_the_one_that_ships(invoke, tmp_path):
    invoke("models", "export", zoo.ZOO[0], "-o", tmp_path / "b.onnx")
    assert sha256(load(tmp_path / "b.onnx")) == sha256(load(zoo.path(zoo.ZOO[0])))


def test_an_existing_file_is_replaced_only_when_forced(invoke, run_all, tmp_path):
    path = tmp_path / "b.onnx"
    path.write_bytes(b"precious")
    results = run_all({"there": (["models", "export", "vgg11", "-o", "b.onnx"], tmp_path)})
    assert results["there"].code == 1
    assert results["there"].err == "nfkit: 'b.onnx' exists: choose another name, or give --force to replace it\n"
    assert path.read_bytes() == b"precious"
    invoke("models", "export", "vgg11", "-o", path, "--force")
    assert len(load(path).graph.initializers) > 9


BAD = {
    "unknown name": (["resnet34"], "no model 'resnet34': choose one of resnet18"),
    "input of two numbers": (["vgg11", "--input", "32x32"], "--input '32x32': give channels, height and width"),
    "input too small": (["vgg11", "--input", "3x16x16"], "at least 32x32 pixels, got 16x16"),
    "input of nothing": (["conv-l", "--input", "3x0x8"], "got 3x0x8"),
    "no classes": (["vgg11", "--classes", "0"], "at least one class, got 0"),
    "classes of a generator": (
        ["conv-l", "--classes", "5"],
        "'conv-l' is a generator that knows no classes: it takes no number of classes",
    ),
    "seed of a trained base": ([zoo.ZOO[0], "--seed", "1"], "is trained and stored as it is: it takes no seed"),
    "float of a trained base": ([zoo.ZOO[0], "--float"], "it takes no choice of float"),
}


def test_what_cannot_be_exported_is_one_sentence_and_no_file(run_all, tmp_path):
    results = run_all(
        {k: (["models", "export", *arguments, "-o", "o.onnx"], tmp_path) for k, (arguments, _) in BAD.items()}
    )
    for name, (_, message) in BAD.items():
        result = results[name]
        assert (name, result.code, result.out) == (name, 1, "")
        assert message in result.err
        assert result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_torch_generators_say_what_to_install(monkeypatch):
    # As on a machine without torch: finding it fails, and importing it would.
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("nfkit.models.catalogue.find_spec", lambda name: None)
    assert {entry.parameters for entry in catalogue() if entry.kind == "generator"} == {None}
    with pytest.raises(OptionError, match=r"needs torch to be built: pip install 'nfkit\[train\]'"):
        nfkit.models.catalogue.build("conv-l")


def test_evaluate_measures_latency_on_request(invoke, files, tmp_path):
    arguments = ("--data", files.data, "--chips", 1, "--samples", 5, "--latency-batch", 2)
    result = invoke("evaluate", files.fused, *arguments, "--json", tmp_path / "e.json")
    latency = json.loads((tmp_path / "e.json").read_text())["latency"]
    assert latency.keys() == {"1", "2"}
    for entry in latency.values():
        assert entry.keys() == {"rounds", "threads", "base", "protected", "ratio", "mean_ratio"}
        assert entry["ratio"] == entry["protected"]["p50_ms"] / entry["base"]["p50_ms"]
        assert entry["rounds"] >= 20
    assert "latency in ms, mean / median / 95th percentile" in result.stdout


def test_evaluate_measures_no_latency_unasked(invoke, files):
    arguments = ("--data", files.data, "--chips", 1, "--samples", 5)
    assert "latency" not in json.loads(invoke("evaluate", files.base, *arguments, "--json", "-").stdout)
