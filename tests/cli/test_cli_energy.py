"""`nfkit energy` and `nfkit plot`, and voltages wherever bit error rates are taken."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from nfkit.energy import SystolicArray, count, count_fused, load_curve
from nfkit.errors import DataError, OptionError
from nfkit.model import load, save
from nfkit.plans.energy_analysis import analyse
from nfkit.reports.tradeoff import Tradeoff, draw, read_tradeoffs

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def as_json(result):
    return json.loads(result.stdout)


def test_energy_of_a_base(invoke, files):
    record = as_json(invoke("energy", files.base, "--json", "-"))
    curve = load_curve("stutz-2021")
    expected = analyse(load(files.base), curve.at_rate(0.005), curve).to_dict()
    assert {key: record[key] for key in expected} == json.loads(json.dumps(expected))
    assert record["model"] == str(files.base)
    assert (record["ber"], record["kind"]) == (0.01, "stuck")  # half of which flip, and flips are what it counts
    flips = as_json(invoke("energy", files.base, "--ber", "0.005", "--kind", "flip", "--json", "-"))
    assert flips["point"] == record["point"]
    assert record["command"].startswith("nfkit")


def test_energy_of_a_base_as_text(invoke, files):
    text = invoke("energy", files.base, "--layers").stdout
    counted = count(load(files.base))
    assert f"{counted.weights:,} weights, {counted.parameters:,} parameters, {counted.macs:,} MACs" in text
    assert f"32x32 os, words of 64 bits, preset true: {counted.accesses:,.10g} accesses" in text
    assert "preset paper gives" in text
    for layer in counted.layers:
        assert f"{layer.positions} x {layer.depth} x {layer.outputs}" in text


def test_array_and_dataflow(invoke, files):
    options = ("--array", "16x8", "--dataflow", "is", "--word-bits", "32")
    record = as_json(invoke("energy", files.base, *options, "--json", "-"))
    assert record["base"]["accesses"] == count(load(files.base), SystolicArray(16, 8, "is", 32)).accesses


def test_energy_of_a_protected_model(invoke, files):
    record = as_json(invoke("energy", files.fused, "--vdd", "0.85", "--json", "-"))
    base, generator = count_fused(load(files.fused))
    assert record["base"]["accesses"] == base.accesses
    (saving,) = record["generators"]
    assert saving["accesses"] == generator.accesses > 0
    energy = load_curve("stutz-2021").at_volts(0.85).energy
    assert saving["saving_by_accesses"] == pytest.approx(1 - energy - generator.accesses / base.accesses)
    assert record["point"]["volts_over_vmin"] == 0.85
    text = invoke("energy", files.fused, "--vdd", "0.85").stdout
    assert saving["verdict"] in text


def test_a_voltage_stands_for_the_rate_that_evaluating_at_it_has(invoke, files):
    """The record's rate is that of cells, as everywhere; the curve's counts the half of them that flip."""
    record = as_json(invoke("energy", files.base, "--vdd", "0.85", "--json", "-"))
    by_curve = load_curve("stutz-2021").at_volts(0.85).rate
    assert record["point"]["bit_error_rate"] == by_curve
    assert record["ber"] == pytest.approx(2 * by_curve)
    as_flips = as_json(invoke("energy", files.base, "--vdd", "0.85", "--kind", "flip", "--json", "-"))
    assert as_flips["ber"] == pytest.approx(by_curve)
    back = as_json(invoke("energy", files.base, "--ber", str(record["ber"]), "--json", "-"))
    assert back["point"]["volts_over_vmin"] == pytest.approx(0.85)
    text = invoke("energy", files.base, "--vdd", "0.85").stdout
    assert f"whose rate there, {100 * by_curve:.3g} %, counts bits that flip" in text
    assert f"a bit error rate of {200 * by_curve:.3g} % (stuck cells) flips {100 * by_curve:.3g} % of the bits" in text


def test_efficiency_where_the_file_states_its_recovery(invoke, files, tmp_path):
    model = load(files.fused)
    model.metadata_props["nfkit.results"] = json.dumps([{"ber": 0.01, "recovery": {"mean": 0.2}}])
    path = save(model, tmp_path / "stated.nf.onnx")
    stated = as_json(invoke("energy", path, "--ber", "0.01", "--json", "-"))
    assert stated["recovery"] == 20
    assert stated["efficiency_ratio"] == 20 / (stated["generators"][0]["parameters"] / 1e6)
    elsewhere = as_json(invoke("energy", path, "--ber", "0.005", "--json", "-"))
    assert elsewhere["efficiency_ratio"] is None  # measured at another rate


def test_the_paper_preset_takes_the_papers_curve(invoke, files):
    record = as_json(invoke("energy", files.base, "--preset", "paper", "--json", "-"))
    assert (record["curve"]["name"], record["point"]["volts_over_vmin"]) == ("neuralfuse", 0.833)


def test_energy_in_picojoules_where_the_curve_states_it(invoke, files, tmp_path):
    curve = tmp_path / "mine.csv"
    curve.write_text(
        "# picojoules_per_access: 2\nvolts_over_vmin,bit_error_rate,energy_per_access\n0.8,0.01,0.64\n1,0,1\n"
    )
    text = invoke("energy", files.fused, "--curve", curve, "--kind", "flip").stdout
    assert f"weight memory, base at nominal: {2 * count_fused(load(files.fused))[0].accesses:,.0f} pJ" in text


@pytest.fixture(scope="module")
def evaluated(invoke, files, tmp_path_factory):
    """A record of the fused model at two voltages, and what was printed."""
    path = tmp_path_factory.mktemp("evaluated") / "record.json"
    options = ("--vdd", "0.846", "--vdd", "0.868", "--chips", "2", "--json", path)
    printed = invoke("evaluate", files.fused, "--data", files.data, *options).stdout
    return path, printed


def test_evaluate_at_voltages(evaluated):
    record = json.loads(evaluated[0].read_text())
    points = record["points"]
    assert [point["voltage"]["volts_over_vmin"] for point in points] == [0.846, 0.868]
    assert [point["voltage"]["bit_error_rate"] for point in points] == pytest.approx([0.011, 0.004])
    assert [point["ber"] for point in points] == pytest.approx([0.022, 0.008])  # half of the stuck cells flip
    assert [point["flips"] for point in points] == pytest.approx([0.011, 0.004])
    assert record["energy"]["added"]["accesses"] > 0
    header = next(line for line in evaluated[1].splitlines() if line.startswith("bit error rate"))
    assert "V/Vmin  energy/access" in header
    assert "energy saved" in header
    assert "0.697" in evaluated[1]


def test_evaluate_at_a_rate_beyond_the_curve_prints_no_voltage(invoke, files):
    record = as_json(
        invoke("evaluate", files.base, "--data", files.data, "--ber", "0.45", "--chips", "1", "--json", "-")
    )
    assert "voltage" not in record["points"][0]
    assert "energy" not in record


def test_inject_at_a_voltage(invoke, files, tmp_path):
    at = ("inject", files.base, "-o", tmp_path / "o.onnx", "--vdd", "0.846", "--force")
    assert "at 2.2 % (0.846 Vmin by stutz-2021)" in invoke(*at).stdout
    assert as_json(invoke(*at, "--json", "-"))["voltage"]["energy_per_access"] == 0.697


def test_points_of_a_record(evaluated):
    path, _ = evaluated
    record = json.loads(path.read_text())
    points = read_tradeoffs([path, path])
    assert len(points) == 4
    assert points[0].ber == record["points"][0]["ber"]
    assert points[0].accuracy == record["points"][0]["protected"]["mean"]
    assert points[0].unprotected_saving == pytest.approx(1 - 0.697)
    assert points[0].saving == record["points"][0]["saving"]["by_accesses"]


def test_points_of_what_protect_measured(tmp_path):
    nested = json.loads((RESULTS / "protect_resnet20_auto.json").read_text())
    alone = tmp_path / "evaluate.json"
    alone.write_text(json.dumps(nested["evaluate"]))
    assert read_tradeoffs([RESULTS / "protect_resnet20_auto.json"]) == read_tradeoffs([alone])
    assert len(read_tradeoffs([alone])) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: {"schema": "nfkit.serve/1"}, "is no record that can be read here"),
        (lambda record: [record], "is no record that can be read here"),
        (lambda record: json.loads((RESULTS / "bits_resnet20.nf.json").read_text()), "no measurement"),
        (lambda record: {k: v for k, v in record.items() if k != "energy"}, "says nothing of energy"),
        (
            lambda record: (
                record | {"points": [{k: v for k, v in p.items() if k != "saving"} for p in record["points"]]}
            ),
            "states no energy",
        ),
    ],
)
def test_records_without_energy(evaluated, tmp_path, change, message):
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(change(json.loads(evaluated[0].read_text()))))
    with pytest.raises(DataError, match=message):
        read_tradeoffs([path])


POINTS = [
    Tradeoff(name, "m.onnx", 0.01, 0.1 * i, 0.8 - 0.1 * i, 0.02, 0.4, 0.3) for i, name in enumerate(("one", "two"))
]


@pytest.mark.skipif(find_spec("matplotlib") is not None, reason="matplotlib is installed")
def test_drawing_says_what_to_install():
    with pytest.raises(OptionError, match=r"pip install 'nfkit\[plot\]'"):
        draw(POINTS, "svg")


def test_pictures_of_unknown_kind():
    with pytest.raises(OptionError, match=r"name the output \.svg or \.png"):
        draw(POINTS, "jpg")


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_the_picture(invoke, evaluated, tmp_path):
    svg, png = tmp_path / "p.svg", tmp_path / "p.png"
    invoke("plot", evaluated[0], "-o", png)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "2 points" in invoke("plot", evaluated[0], "-o", svg).stdout
    assert b"<svg" in svg.read_bytes()
    assert draw(POINTS, "svg") == draw(POINTS, "svg")


def test_layers_that_cannot_be_counted_are_named_as_far_as_they_fit(parse, tmp_path, invoke):
    nodes = "".join(f'h{i + 1} = Einsum <equation = "ij,jk->ik"> (h{i}, w)\n' for i in range(7))
    model = parse(
        f"""<ir_version: 10, opset_import: ["" : 18]>
        summing (float[N, 4] h0) => (float[N, 4] h7) {{ {nodes} }}""",
        w=np.ones((4, 4), np.float32),
    )
    path = save(model, tmp_path / "m.onnx")
    lines = [line for line in invoke("energy", path).stdout.splitlines() if line.startswith("not counted")]
    assert len(lines) == 6
    assert lines[0] == "not counted: Einsum 'h1': there is no rule for this operator"
    assert lines[-1] == "not counted: 2 more; --layers and --json name them"
    assert invoke("energy", path, "--layers").stdout.count("not counted: Einsum 'h") == 7
