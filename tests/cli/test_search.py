"""`nfkit search`: the table, the record and the files."""

import json
import shlex


def test_the_table_and_the_files(run_all, files, tmp_path):
    command = ["search", str(files.base), "--data", str(files.data), "--epochs", "0.5", "--batch", "16", "--chips", "2"]
    command += ["--copies", "1", "--precision", "float32", "--widths", "8,64", "--energy-budget", "15%", "-o", "found"]
    results = run_all({"text": (command, tmp_path), "again": ([*command, "--json", "-"], tmp_path)})
    assert [result.code for result in results.values()] == [0, 0], results
    text, again = results["text"], results["again"]
    header, _, row = text.out.splitlines()[1:4]
    assert header.split("  ")[0] == "generator"
    assert "on front" in header
    assert row.startswith("hint-8 ")
    assert "beyond the energy budget, so left out: hint-64" in text.err
    assert "hint-8, made before" in again.err
    record = json.loads(again.out)
    assert record["schema"] == "nfkit.search/2"
    assert [(p["generator"], p["on_front"], p["reused"]) for p in record["points"]] == [("hint-8", True, True)]
    assert record["left_out"] == ["hint-64"]
    names = {path.name for path in (tmp_path / "found").iterdir()} - {"front.svg"}
    made = json.loads((tmp_path / "found" / "base.hint-8.nf.json").read_text())
    assert made["command"] == f"nfkit {shlex.join(command)}"
    assert names == {"base.hint-8.nf.onnx", "base.hint-8.nf.json", "front.json"}
