"""The two bare commands: with data beside the model, with a protected file, without labels, and in an empty folder."""

import json

import numpy as np

from nfkit.model import save


def test_bare_commands(run_all, parse, tmp_path):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        small (float[N, 3, 4, 4] image) => (float[N, 3] scores)
        <float s = {0.0078125}, int8 z = {0}>
        {
            q = QuantizeLinear (image, s, z)
            f = DequantizeLinear (q, s, z)
            w_f = DequantizeLinear (w, s)
            c = Conv (f, w_f)
            p = GlobalAveragePool (c)
            scores = Flatten (p)
        }
        """,
        w=np.eye(3, dtype=np.int8).reshape(3, 3, 1, 1) * 100,
    )
    y = np.arange(600) % 3
    x = np.random.default_rng(0).integers(0, 100, (600, 4, 4, 3), np.uint8)
    x[np.arange(600), :, :, y] += 100
    full, bare, empty = tmp_path / "full", tmp_path / "bare", tmp_path / "empty"
    for folder in (full, bare, empty):
        folder.mkdir()
        save(model, folder / "small.onnx")
    np.savez(full / "small.npz", x=x, y=y)
    np.savez(bare / "images.npz", images=x)
    brief = ["--epochs", "0.2", "--chips", "1", "--generator", "pattern", "--allow-loss"]
    results = run_all(
        {
            "protect": (["protect", "small.onnx", *brief], full),
            "evaluate": (["evaluate", "--ber", "0.01", "--chips", "2", "--json", "e.json"], full),
            "unlabelled": (["evaluate", "small.onnx", "--chips", "1"], bare),
            "agreement": (["evaluate", "small.onnx", "--labels", "base", "--chips", "1", "--json", "e.json"], bare),
            "no data to protect": (["protect", "small.onnx"], empty),
            "no data to evaluate": (["evaluate", "small.onnx", "--ber", "0.01"], empty),
        }
    )
    codes = {name: result.code for name, result in results.items()}
    assert codes == {
        "protect": 0, "evaluate": 0, "unlabelled": 1, "agreement": 0, "no data to protect": 1, "no data to evaluate": 1,
    }, results  # fmt: skip
    assert "data: small.npz:x, 540 samples to train on (small.npz beside the model)" in results["protect"].err
    assert "the base without errors is right on 100.0 % of 500 samples (chance: 33.4 %)" in results["protect"].err
    # The part that was held back, and not the samples of the training, which lie in the same file.
    assert "60 samples (the file's own record names them; digest verified)" in results["evaluate"].err
    assert json.loads((full / "e.json").read_text())["data"]["n"] == 60
    assert "has no labels" in results["unlabelled"].err
    assert "agreement with the clean base in %" in results["agreement"].out
    assert "without errors: base 100.0" in results["agreement"].out
    assert json.loads((bare / "e.json").read_text())["data"]["labels"] == "base"
    for name in ("no data to protect", "no data to evaluate"):
        assert results[name].err.count("--data ") >= 4
        assert sorted(path.name for path in empty.iterdir()) == ["small.onnx"]
