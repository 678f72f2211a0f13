"""Each command does what the library does, and says it on stdout, as text or as JSON."""

import inspect
import json
import subprocess
from dataclasses import MISSING, fields

import numpy as np
import pytest
from msgspec.structs import replace

import nfkit
from nfkit.cli.commands import SUMMARIES
from nfkit.cli.protect import protect
from nfkit.cli.search import search
from nfkit.faults import BitErrors, Chip, parse_layout
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.injection.inject import count_faults
from nfkit.graph.injection.inject import inject as inject_faults
from nfkit.graph.memory.sites import fault_sites
from nfkit.learn.config import TrainConfig
from nfkit.learn.export import export_untrained
from nfkit.measure.evaluation import evaluate
from nfkit.model import load, save, sha256, to_bytes
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.reading import read_as

COMMANDS = [name for name in SUMMARIES if name not in ("campaign", "explain", "models")]


def as_json(result):
    """What was printed, which must be one JSON object and nothing else."""
    return json.loads(result.stdout)


# --- the program ---


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(invoke, command):
    text = invoke(command, "--help").stdout
    assert "--json" in text
    assert invoke(command, "-h").stdout == text


def test_version(invoke):
    assert invoke("--version").stdout == f"nfkit {nfkit.__version__}\n"


def test_errors_are_one_sentence_and_exit_code_1(program, tmp_path):
    result = subprocess.run([program, "inspect", tmp_path / "absent.onnx"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == f"nfkit: no model at '{tmp_path / 'absent.onnx'}': give the path of an ONNX file\n"


def test_wrong_usage_is_exit_code_2(program):
    result = subprocess.run([program, "inspect", "--nonsense"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "--nonsense" in result.stderr


# --- inspect ---


def test_inspect(invoke, files):
    record = as_json(invoke("inspect", files.base, "--json", "-"))
    assert record["schema"] == "nfkit.inspect/1"
    assert record["model"] == {"path": str(files.base), "sha256": sha256(files.base), "protected": False}
    assert record["opset"] == {"ai.onnx": 18}
    assert record["input"]["name"] == "image"
    assert (record["input"]["layout"], record["input"]["shape"]) == ("NCHW", [1, 28, 28])
    assert (record["input"]["low"], record["input"]["high"]) == ([-1.0], [1.0])
    assert len(record["sites"]) == 10
    assert sum(site["count"] for site in record["sites"]) == 77_072
    assert {site["role"] for site in record["sites"]} == {"weight"}
    assert record["unsupported"] == []


def test_inspect_a_fused_model(invoke, files):
    record = as_json(invoke("inspect", files.fused, "--json", "-"))
    assert record["model"]["protected"] is True
    assert {site["part"] for site in record["sites"]} == {"base", "generator"}
    assert "nfkit.base.graph_sha256" in record["metadata"]


def test_inspect_as_text(invoke, files):
    text = invoke("inspect", files.base).stdout
    assert "weight sites: 10, 77072 codes, 616576 bits" in text
    assert "valid range: -1 to 1" in text
    assert "gradients: all operators supported" in text
    assert "can be evaluated and protected" in text
    assert "stem.0.weight_quantized" in text


def test_inspect_names_what_stands_against_protecting(invoke, foreign_model, tmp_path):
    path = save(foreign_model, tmp_path / "foreign.onnx")
    record = as_json(invoke("inspect", path, "--json", "-"))
    assert [(entry["op"], entry["nodes"]) for entry in record["unsupported"]] == [("Det", ["corner"])]
    assert "no gradient: Det" in invoke("inspect", path).stdout


def test_inspect_takes_the_range_from_the_options(invoke, foreign_model, tmp_path):
    path = save(foreign_model, tmp_path / "foreign.onnx")
    assert as_json(invoke("inspect", path, "--json", "-"))["input"]["low"] is None
    given = as_json(invoke("inspect", path, "--range", "-2", "3", "--json", "-"))["input"]
    assert (given["low"], given["high"], given["source"]) == ([-2.0], [3.0], "given")
    normalised = as_json(invoke("inspect", path, "--mean", "0.5", "--std", "0.25", "--json", "-"))["input"]
    assert (normalised["low"], normalised["high"]) == ([-2.0], [2.0])


def test_inspect_of_a_float_model_says_what_is_missing(invoke, float_model, tmp_path):
    path = save(float_model, tmp_path / "float.onnx")
    why = "stores no weights as integers, so there are no bits to fault: quantise it first (nfkit quantize)"
    assert why in " ".join(invoke("inspect", path).stdout.split())
    record = as_json(invoke("inspect", path, "--json", "-"))
    assert record["sites"] == []
    assert why in record["obstacles"]["evaluating"][0]


def test_inspect_says_why_tensors_are_not_faulted(invoke, files):
    tensors = as_json(invoke("inspect", files.base, "--json", "-"))["tensors"]
    assert {entry["role"] for entry in tensors if entry["reason"] is None} == {"weight"}
    assert all(entry["reason"] for entry in tensors if entry["role"] != "weight")
    text = invoke("inspect", files.base).stdout
    assert "biases: hit on request (--biases)" in text
    assert "floats: not stored as integers" not in text


# --- fold ---


def test_fold_makes_a_file_that_can_be_faulted(invoke, run_all, tmp_path, parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 21]>
        g (float[N, 4] x) => (float[N, 3] y) <float s = {0.02}, int8 z = {0}> {
            q = QuantizeLinear (w, s, z)
            f = DequantizeLinear (q, s, z)
            y = MatMul (x, f)
        }
        """,
        w=np.random.default_rng(0).uniform(-1, 1, (4, 3)).astype(np.float32),
    )
    save(model, tmp_path / "qat.onnx")
    inject = ["inject", "qat.onnx", "-o", "faulty.onnx"]
    results = run_all({"faults": (inject, tmp_path), "again": (["fold", "qat.onnx", "-o", "qat.onnx"], tmp_path)})
    assert (results["faults"].code, "nfkit fold" in results["faults"].err) == (1, True)
    assert results["again"].code == 1
    record = as_json(invoke("fold", tmp_path / "qat.onnx", "-o", tmp_path / "folded.onnx", "--json", "-"))
    assert record["sites"] == ["w"]
    assert "1 weight sites, 12 codes" in invoke("fold", tmp_path / "qat.onnx", "-o", tmp_path / "f.onnx").stdout
    invoke("inject", tmp_path / "folded.onnx", "-o", tmp_path / "faulty.onnx")


# --- inject ---


@pytest.mark.parametrize("mode", ["node", "input", "baked"])
def test_inject_writes_what_the_library_makes_and_remove_takes_it_out(invoke, files, tmp_path, mode):
    faulty, clean = tmp_path / "faulty.onnx", tmp_path / "clean.onnx"
    record = as_json(
        invoke("inject", files.base, "-o", faulty, "--ber", 0.02, "--chip", 7, "--mode", mode, "--json", "-")
    )
    model = load(files.base)
    sites, chip, errors = fault_sites(model), Chip(7), BitErrors(0.02)
    assert to_bytes(load(faulty)) == to_bytes(inject_faults(model, sites, chip, errors, mode))
    assert record["schema"] == "nfkit.inject/1"
    assert (record["faulty_cells"], record["flipped_bits"]) == count_faults(model, sites, chip, errors)
    assert (record["ber"], record["chip"], record["kind"]) == (0.02, 7, "stuck")

    removed = as_json(invoke("inject", faulty, "-o", clean, "--remove", "--json", "-"))
    assert removed["output"] == str(clean)
    assert to_bytes(load(clean)) == to_bytes(model)


def test_inject_as_text(invoke, files, tmp_path):
    text = invoke("inject", files.base, "-o", tmp_path / "o.onnx", "--mode", "input").stdout
    assert text.startswith(f"{tmp_path / 'o.onnx'}: chip 50000 at 1 % (0.863 Vmin by stutz-2021): ")
    assert "in 10 sites; the file is fault-free until the masks are fed" in text


def test_inject_spares_protected_bits_and_sites(invoke, files, tmp_path):
    record = as_json(
        invoke(
            "inject", files.base, "-o", tmp_path / "o.onnx", "--kind", "flip", "--json", "-", "--protect-bit", 7,
            "--protect-bit", 6, "--protect-site", "head*",
        )
    )  # fmt: skip
    model = load(files.base)
    errors = BitErrors(0.01, "flip", protected_bits=(7, 6), protected_sites=("head*",))
    assert record["flipped_bits"] == count_faults(model, fault_sites(model), Chip(50_000), errors)[1]
    assert record["protected_bits"] == [7, 6]


def test_inject_asymmetric_errors_into_held_words_with_robust_tops(invoke, files, tmp_path):
    faulty = tmp_path / "o.onnx"
    record = as_json(
        invoke(
            "inject", files.base, "-o", faulty, "--ber", 0.05, "--kind", "asymmetric", "--set-share", 0.1,
            "--protect-top", 1, "--storage", "gray", "--json", "-",
        )
    )  # fmt: skip
    model, chip = load(files.base), Chip(50_000)
    errors = BitErrors(0.05, "asymmetric", 0.1, protected_top=1, storage="gray")
    assert errors.directed_rates() == pytest.approx((0.01, 0.09))
    sites = fault_sites(model)
    assert to_bytes(load(faulty)) == to_bytes(inject_faults(model, sites, chip, errors))
    assert (record["faulty_cells"], record["flipped_bits"]) == count_faults(model, sites, chip, errors)
    stated = {"kind": "asymmetric", "set_share": 0.1, "protected_top": 1, "storage": "gray"}
    assert stated.items() <= record.items()
    assert to_bytes(load(faulty)) != to_bytes(model)


def test_inject_says_which_codes_cannot_be_held(invoke, tmp_path, parse):
    model = parse(
        """<ir_version: 10, opset_import: ["" : 18]>
        g (float[N, 2] image) => (float[N, 2] y) <int8[2, 2] w = {1, -128, -128, -127}, float s = {0.5}> {
            f = DequantizeLinear (w, s)
            y = MatMul (image, f)
        }"""
    )
    save(model, tmp_path / "m.onnx")
    run = ("inject", tmp_path / "m.onnx", "-o", tmp_path / "o.onnx", "--storage", "sign-magnitude", "--force")
    assert as_json(invoke(*run, "--json", "-"))["inexact_codes"] == 2
    assert "; 2 codes have no word in sign-magnitude and are held as the nearest one" in invoke(*run).stdout


def test_inject_errors_that_crowd_and_errors_that_were_measured(invoke, files, tmp_path):
    random, maps = np.random.default_rng(0), tmp_path / "maps"
    maps.mkdir()
    stuck = random.random((64, 128)) < 0.1
    for value, cells in enumerate((stuck & (random.random(stuck.shape) < 0.5), np.zeros_like(stuck))):
        np.savetxt(maps / f"fmap_sa{value}_v_0.6.txt", cells.astype(int), fmt="%d", delimiter=",")
    model = load(files.base)
    for name in ("cluster:4096:0.5", f"measured:{maps}"):
        faulty = tmp_path / "o.onnx"
        invoke("inject", files.base, "-o", faulty, "--ber", 0.02, "--memory-layout", name, "--force")
        chip = Chip(50_000, parse_layout(name))
        expected = inject_faults(model, fault_sites(model), chip, BitErrors(0.02))
        assert to_bytes(load(faulty)) == to_bytes(expected)
        assert json.loads(load(faulty).metadata_props["nfkit.faults"])["layout"] == str(chip.layout)


def test_inject_corrected_codes(invoke, files, tmp_path):
    faulty, model = tmp_path / "o.onnx", load(files.base)
    invoke("inject", files.base, "-o", faulty, "--ber", 0.02, "--ecc", "secded-64-zero", "--mode", "baked")
    errors = BitErrors(0.02, ecc="secded-64-zero")
    expected = inject_faults(model, fault_sites(model), Chip(50_000), errors, "baked")
    assert to_bytes(load(faulty)) == to_bytes(expected)


def test_inject_replaces_a_file_only_when_forced(invoke, files, tmp_path):
    path = tmp_path / "o.onnx"
    path.write_bytes(b"precious")
    invoke("inject", files.base, "-o", path, "--force")
    assert len(fault_sites(load(path))) == 10


# --- evaluate ---


def test_evaluate_gives_the_librarys_record(invoke, files, tmp_path):
    arguments = ("--data", files.data, "--ber", 0.01, "--ber", 0.02, "--chips", 2, "--samples", 30)
    invoke("evaluate", files.fused, *arguments, "--json", tmp_path / "e.json")
    record = read_as(tmp_path / "e.json", Evaluation)
    expected = nfkit.evaluate(files.fused, files.data, ber=[0.01, 0.02], chips=2, samples=30)
    assert replace(record, command=None) == expected
    assert record.command.startswith("nfkit")
    model, data = load(files.fused), nfkit.load_data(str(files.data), "test").take(30)
    measured = evaluate(
        model, data, nfkit.find_input(load(files.base)), [BitErrors(0.01), BitErrors(0.02)], chips=range(50_000, 50_002)
    )
    assert record.rows == measured.rows
    assert (record.model.path, record.data.n, record.data.sha256) == (str(files.fused), 30, data.sha256)


def test_evaluate_to_a_file_and_as_text(invoke, files, tmp_path):
    result = invoke(
        "evaluate", files.base, "--data", files.data, "--chips", 2, "--samples", 30, "--json", tmp_path / "e.json"
    )
    record = json.loads((tmp_path / "e.json").read_text())
    assert record["schema"] == "nfkit.evaluate/2"
    assert [path.name for path in tmp_path.iterdir()] == ["e.json"]
    assert result.stdout.splitlines()[0] == record["verdict"]["sentence"]
    assert "stuck faults, layout iid, 2 chips, 30 samples of data.npz:x_test" in result.stdout
    assert f"without errors: base {100 * record['clean']['base']['accuracy']:.1f}" in result.stdout
    assert "bit error rate" in result.stdout
    assert "recovered" not in result.stdout


def test_evaluate_merges_a_rate_that_is_given_twice_and_says_so(invoke, files):
    twice = ("--ber", 0.01, "--ber", 0.01, "--chips", 2, "--samples", 10)
    record = as_json(invoke("evaluate", files.base, "--data", files.data, *twice, "--json", "-"))
    assert [point["ber"] for point in record["points"]] == [0.01]
    assert record["warnings"][0] == "ber 0.01 was given more than once and is measured once"


def test_evaluate_options_reach_the_measurement(invoke, files):
    record = as_json(
        invoke(
            "evaluate", files.fused, "--data", files.data, "--samples", 10, "--chips", 1, "--first-chip", 60_000,
            "--kind", "asymmetric", "--set-share", 0.25, "--memory-layout", "array:64x128", "--fault-generator",
            "--optimization", "basic", "--protect-top", 1, "--storage", "sign-magnitude", "--ecc", "secded-32",
            "--json", "-",
        )
    )  # fmt: skip
    assert [row["chip"] for row in record["points"][0]["rows"]] == [60_000]
    assert record["level"] == "basic"
    assert record["faults"]["kind"] == "asymmetric"
    assert record["faults"]["set_share"] == 0.25
    assert record["faults"]["layout"] == "array:64x128"
    assert record["faults"]["generator_faulted"] is True
    newer = {"protected_top": 1, "storage": "sign-magnitude", "ecc": "secded-32"}
    assert newer.items() <= record["faults"].items()
    memory = record["memory"]
    assert (memory["robust_cells"], memory["check_cells"]) == (1 / 8, 7 / 32)


def test_evaluate_says_what_robust_cells_and_check_bits_cost(invoke, files):
    run = ("evaluate", files.base, "--data", files.data, "--chips", 2, "--samples", 20)
    plain = as_json(invoke(*run, "--json", "-"))
    low = plain["points"][0]["voltage"]["energy_per_access"]
    assert "memory" not in plain
    both = as_json(invoke(*run, "--protect-top", 2, "--ecc", "secded-64", "--json", "-"))
    assert both["points"][0]["voltage"]["energy_per_access"] == pytest.approx(2 / 8 + (6 / 8 + 8 / 64) * low)
    text = " ".join(invoke(*run, "--protect-top", 2, "--storage", "gray", "--ecc", "secded-64").stdout.split())
    assert "stuck faults, layout iid, held in gray, ECC secded-64, top 2 bits robust, 2 chips, 20 samples" in text
    assert "25 % of the cells that are read stay at the nominal voltage, 12.5 % more are read as check bits" in text
    assert "decoders, level shifters and the second supply are not counted" in text


# --- split ---


def test_split_gives_both_halves_back(invoke, files, tmp_path, same):
    base, prefix = tmp_path / "base.onnx", tmp_path / "prefix.onnx"
    record = as_json(invoke("split", files.fused, "--base", base, "--generator", prefix, "--json", "-"))
    assert record["schema"] == "nfkit.split/1"
    assert same(base, files.base)
    # The fixture's base was fused from the zoo's file as it was read, and written by nfkit itself.
    assert record["base"] == {"path": str(base), "graph_sha256": sha256(load(files.base)), "equal": "bytes"}
    assert base.read_bytes() == files.base.read_bytes()
    assert record["generator"]["path"] == str(prefix)
    assert {value.name for value in load(prefix).graph.inputs} == {"image"}


def test_split_without_outputs_proves_and_writes_nothing(invoke, files, tmp_path):
    before = sorted(files.fused.parent.iterdir())
    text = invoke("split", files.fused).stdout
    assert text == f"{files.fused}: the base is what was protected (graph {sha256(load(files.base))[:16]})\n"
    assert sorted(files.fused.parent.iterdir()) == before


# --- tune ---


def test_tune_changes_one_number(invoke, zoo, tmp_path):
    spec = zoo.spec
    prefix = export_untrained("hint-8", spec.image_shape, opset=zoo.model.opset_imports[""])
    protected = save(fuse(prefix, zoo.model, spec, {}), tmp_path / "protected.nf.onnx")
    tuned = tmp_path / "tuned.nf.onnx"
    record = as_json(invoke("tune", protected, "--caution", "16", "-o", tuned, "--json", "-"))
    assert record["caution"] == {"before": 4.0, "after": 16.0}
    before, after = (load(path).graph.initializers for path in (protected, tuned))
    changed = [name for name in before if (before[name].const_value.numpy() != after[name].const_value.numpy()).any()]
    assert changed == ["nfkit/generator/generator.caution"]
    again = invoke("tune", tuned, "--caution", "16", "-o", tmp_path / "again.onnx")
    assert "again.onnx: the numbers that it had; nothing was trained" in again.stdout
    assert "caution 2 in place of 16" in invoke("tune", tuned, "--caution", "2", "-o", tmp_path / "back.onnx").stdout


# --- protect ---


@pytest.mark.parametrize("command", [protect, search])
def test_defaults_are_those_of_the_library(command):
    offered = {name: option.default for name, option in inspect.signature(command).parameters.items()}
    settings = {field.name: field.default for field in fields(TrainConfig) if field.default is not MISSING}
    shared = offered.keys() & settings.keys() - {"mirror", "epochs", "minutes"}  # these depend on data or each other
    shared -= {"answer", "residual", "shift", "teaching"}  # and these on who answers
    assert shared >= {"copies", "batch", "seed", "precision"}
    assert {name: offered[name] for name in shared} == {name: settings[name] for name in shared}


def test_protect_writes_beside_the_model_and_reports(run_all, tmp_path, parse):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        small (float[N, 1, 8, 8] image) => (float[N, 3] scores)
        <float s = {0.0078125}, int8 z = {0}, float s_w = {0.015625}>
        {
            q = QuantizeLinear (image, s, z)
            f = DequantizeLinear (q, s, z)
            w_f = DequantizeLinear (w, s_w)
            c = Conv <strides = [4, 4]> (f, w_f)
            p = GlobalAveragePool (c)
            scores = Flatten (p)
        }
        """,
        w=np.random.default_rng(0).integers(-128, 128, (3, 1, 4, 4), np.int8),
    )
    save(model, tmp_path / "small.onnx")
    random = np.random.default_rng(1)
    np.savez(tmp_path / "d.npz", x=random.integers(0, 256, (100, 8, 8, 1), np.uint8), y=random.integers(0, 3, 100))
    common = ["--data", "d.npz", "--allow-low-accuracy", "--epochs", "1", "--chips", "1", "--generator", "pattern"]
    as_float = ["-o", "o.onnx", "--generator-precision", "float"]
    results = run_all(
        {
            "text": (["protect", "small.onnx", *common, "--input-layout", "NCHW"], tmp_path),
            "json": (["protect", "small.onnx", *common, "--input-layout", "NCHW", *as_float, "--json", "-"], tmp_path),
            "found": (["evaluate", "--data", "d.npz", "--chips", "1"], tmp_path),
        }
    )
    assert [result.code for result in results.values()] == [0, 0, 0], results
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.npz", "o.onnx", "small.nf.onnx", "small.onnx"]
    assert "pattern with 64 parameters" in results["text"].out
    assert "training pattern on 90 samples" in results["text"].err  # progress, apart from the result
    record = json.loads(results["json"].out)
    assert record["schema"] == "nfkit.protect/2"
    assert record["output"] == "o.onnx"
    assert record["precision"] == "float"
    assert record["command"].startswith("nfkit protect small.onnx --data d.npz --allow-low-accuracy --epochs 1")
    priced = [point for point in record["evaluate"]["points"] if "voltage" in point]
    assert len(priced) > 1
    assert all("saving" in point for point in priced)
    assert "without errors: base" in results["found"].out  # the only *.nf.onnx, with its recorded input
