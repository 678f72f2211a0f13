"""`nfkit quantize` and `nfkit evaluate --bits`: what they print, and that the record says the same."""

import json
import re

import numpy as np
import pytest

from nfkit.access.runtime import Runner
from nfkit.errors import DataError
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.bits import recorded_bits
from nfkit.model import load, save


@pytest.fixture(scope="module")
def float_files(floatnet, tmp_path_factory):
    """A folder with a float model, and images labelled by it."""
    folder = tmp_path_factory.mktemp("float")
    model = floatnet(opset=11)
    x = np.random.default_rng(1).integers(0, 256, (120, 6, 6, 3), np.uint8)
    y = Runner(model, level="basic").classify(find_input(model, value_range=(-1.0, 1.0)).encode(x))
    np.savez(folder / "data.npz", x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])
    save(model, folder / "model.onnx")
    return folder


def test_quantize(invoke, float_files, tmp_path):
    output, record_file = tmp_path / "q.onnx", tmp_path / "q.json"
    result = invoke(
        "quantize", float_files / "model.onnx", "--data", float_files / "data.npz", "--bits", 4, "--per-channel",
        "--range", -1, 1, "--calibration-samples", 50, "-o", output, "--json", record_file,
    )  # fmt: skip
    record = json.loads(record_file.read_text())
    lines = result.stdout.splitlines()
    assert lines[0] == f"{output}: 2 weights of 248 codes, 4 bits, one scale a channel; activations uint8"
    assert lines[1] == "opset lifted from 11; 1 batch normalisations folded into weights"
    assert "60 samples of data.npz:x_test" in lines[2]
    accuracies = dict(re.findall(r"^(float|quantised) +([0-9.]+) +[0-9]+$", result.stdout, re.MULTILINE))
    assert accuracies == {"float": "100.0", "quantised": f"{100 * record['accuracy']:.1f}"}
    assert record["calibration"]["n"] == 50
    assert set(recorded_bits(load(output)).values()) == {4}
    assert "calibrating on 50 samples" in result.stderr


def test_data_is_found_beside_the_model(invoke, float_files, tmp_path):
    output = tmp_path / "q.onnx"
    found = invoke("quantize", float_files / "model.onnx", "--range", -1, 1, "-o", output, "--json", "-")
    assert "60 samples to train on (data.npz, the only data file beside the model)" in found.stderr
    named = invoke(
        "quantize", float_files / "model.onnx", "--data", float_files / "data.npz", "--range", -1, 1,
        "-o", output, "--force", "--json", "-",
    )  # fmt: skip
    records = [json.loads(result.stdout) for result in (found, named)]
    assert [record["data"] for record in records] == [records[0]["data"]] * 2
    assert records[0]["accuracy"] == records[1]["accuracy"]
    alone = tmp_path / "bare" / "m.onnx"
    alone.parent.mkdir()
    alone.write_bytes((float_files / "model.onnx").read_bytes())
    with pytest.raises(DataError, match="--data"):
        invoke("quantize", alone, "--range", -1, 1, "-o", output, "--force")


def test_record_alone_on_stdout(invoke, float_files, tmp_path):
    result = invoke(
        "quantize", float_files / "model.onnx", "--data", float_files / "data.npz", "--symmetric", "--range", -1, 1,
        "-o", tmp_path / "q.onnx", "--json", "-",
    )  # fmt: skip
    record = json.loads(result.stdout)
    assert (record["bits"], record["symmetric"], record["per_channel"]) == (8, True, False)


def test_evaluate_bits_prints_one_table(invoke, files, tmp_path):
    record_file = tmp_path / "e.json"
    result = invoke(
        "evaluate", files.fused, "--data", files.data, "--bits", 8, "--bits", 3, "--ber", 0.005, "--ber", 0.01,
        "--chips", 2, "--json", record_file,
    )  # fmt: skip
    record = json.loads(record_file.read_text())
    header, rule, *rest = result.stdout.splitlines()[1:]
    rows = rest[:4]
    assert re.split(r"  +", header) == ["bits", "bit error rate", "CA", "CA (NF)", "PA", "PA (NF)", "RP"]
    assert set(rule) == {"-", " "}
    assert [row.split()[:2] for row in rows] == [["8", "0.5"], ["8", "1"], ["3", "0.5"], ["3", "1"]]
    points = [(entry["bits"], point) for entry in record["sweep"] for point in entry["points"]]
    assert [bits for bits, _ in points] == [8, 8, 3, 3]
    assert f"{100 * points[2][1]['base']['mean']:.1f} ±" in rows[2]
    assert sum(len(point["rows"]) for _, point in points) == 8
    assert "3 bits, 1 %, chip 50001" in result.stderr


def test_evaluate_bits_of_a_bare_base(invoke, files):
    result = invoke("evaluate", files.base, "--data", files.data, "--bits", 4, "--chips", 1)
    assert re.split(r"  +", result.stdout.splitlines()[1]) == ["bits", "bit error rate", "CA", "PA"]
