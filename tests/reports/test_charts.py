"""Charts of records: every figure of the record at its place, and every rival."""

import json
from pathlib import Path

import msgspec
import pytest

from nfkit.errors import OptionError
from nfkit.reports.campaign import Campaign, Cell, CellResult
from nfkit.reports.comparison import MOST, over_energy
from nfkit.reports.energy import CurveFacts, Voltage
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.figures import Share, Spread
from nfkit.reports.plan import Option, Part, Plan
from nfkit.reports.provenance import DataFacts, ModelFacts
from nfkit.reports.reading import decode, read
from nfkit.reports.search import Found, Search
from nfkit.reports.seen import chart_of, pictures_of

RESULTS = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture(scope="module")
def measured():
    """A measurement of a protected model with voltages, savings and a verdict that weighs a milder voltage."""
    record = read(RESULTS / "protect_resnet20_auto.json").to_dict()["evaluate"]
    record["verdict"]["comparisons"][0]["rivals"].append(
        {
            "rival": "milder",
            "kind": "milder",
            "accuracy": 0.87,
            "ahead": {"mean": 0.0},
            "volts_over_vmin": 0.93,
            "saving": 0.15,
        }
    )
    return decode(json.dumps(record).encode(), "a")


def series(chart, name):
    return next(s for s in chart.series if s.name == name)


def test_means_intervals_and_every_chip_over_voltage(measured):
    chart = chart_of(measured)
    base, protected = series(chart, "base with errors"), series(chart, "protected model")
    points = sorted(measured.points, key=lambda p: p.voltage.volts_over_vmin)
    assert [m.x for m in base.marks] == [*(p.voltage.volts_over_vmin for p in points), 1.0]
    assert [m.y for m in base.marks] == [*(100 * p.base.mean for p in points), 100 * measured.clean_base]
    assert [m.y for m in protected.marks][:-1] == [100 * p.protected.mean for p in points]
    assert [(m.low, m.high) for m in base.marks[:-1]] == [tuple(100 * e for e in p.base.ci95) for p in points]
    chips = series(chart, "protected, one chip")
    assert sorted(m.y for m in chips.marks) == sorted(100 * row.protected for row in measured.rows)
    assert [m.y for m in series(chart, "bare base at a milder voltage").marks] == [87.0]
    assert {line.name: line.y for line in chart.lines} == {
        "base without errors": 100 * measured.clean_base,
        "generator alone": 100 * measured.alone,
    }


def test_savings_are_those_of_the_record(measured):
    chart = pictures_of(measured)[1]
    pair = {m.x: m.y for m in series(chart, "protected model").marks}
    assert pair == {100 * p.saving.by_accesses: 100 * p.protected.mean for p in measured.points}
    bare = {m.x: m.y for m in series(chart, "base with errors").marks}
    expected = {100 * p.voltage.saving: 100 * p.base.mean for p in measured.points}
    assert bare == expected | {0.0: 100 * measured.clean_base}
    assert [(m.x, m.y) for m in series(chart, "bare base at a milder voltage").marks] == [(15.0, 87.0)]


def test_without_voltages_rates_are_the_axis():
    record = read(RESULTS / "evaluate_mlperf_tiny_kws_iid.json")
    plain = record.to_dict()
    for point in plain["points"]:
        point.pop("voltage", None)
    chart = chart_of(msgspec.convert(plain, Evaluation))
    assert chart.x.title == "bit error rate (%)"
    assert [m.x for m in series(chart, "base with errors").marks] == sorted(
        [0.0, *(100 * p.ber for p in record.points)]
    )
    wide = dict(plain, points=[dict(plain["points"][0], ber=ber) for ber in (1e-4, 0.05)])
    chart = chart_of(msgspec.convert(wide, Evaluation))
    assert chart.x.logarithmic
    assert len(series(chart, "base with errors").marks) == 2


def test_a_rate_beyond_the_curve_stands_in_the_table_of_voltages(measured):
    first, *others = measured.points
    unplaced = msgspec.structs.replace(first, voltage=None)
    chart = chart_of(msgspec.structs.replace(measured, points=[unplaced, *others]))
    assert chart.title == "Accuracy over supply voltage"
    assert f"bit error rate {100 * first.ber:.3g} %" in chart.caption
    protected = series(chart, "protected model")
    assert [m.x for m in chart.drawn(protected)] == sorted([*(p.voltage.volts_over_vmin for p in others), 1.0])
    assert [row[2:4] for row in chart.rows() if row[0] == "protected model" and row[2] == "–"] == [
        ("–", f"{100 * first.protected.mean:.4g}")
    ]
    half = [msgspec.structs.replace(p, voltage=None) for p in others]
    assert chart_of(msgspec.structs.replace(measured, points=[first, *half])).x.title == "bit error rate (%)"


def test_cells_that_flip_and_that_change_nothing_are_all_faulty_cells(measured):
    bars = pictures_of(measured)[2]
    assert [sum(values) for _, values in bars.amounts] == pytest.approx(
        sorted((p.faulty_cells for p in measured.points), reverse=True)
    )


def test_a_search_joins_its_front_only():
    def found(name, saving, accuracy, on_front):
        spread = Spread(accuracy, 0.01, (accuracy - 0.02, accuracy + 0.02))
        return Found(
            generator=name, output="x", overhead=0.1, saving=saving, clean=0.9, base=Spread(0.3), protected=spread,
            recovery=Spread(0.4), on_front=on_front,
        )  # fmt: skip

    points = (found("a", 0.1, 0.8, True), found("b", 0.2, 0.7, True), found("c", 0.1, 0.5, False))
    record = Search(ber=0.01, voltage=Voltage(0.86, 0.01, 0.73), points=points)
    chart = chart_of(record)
    assert [(m.name, m.x, m.y) for m in series(chart, "on the front").marks] == [("a", 10.0, 80.0), ("b", 20.0, 70.0)]
    assert not series(chart, "beaten by another").joined
    assert series(chart, "base with errors").marks[0].x == pytest.approx(27.0)


def option(name, outcome, energy):
    return Option(
        name=name, sentence="s", needs=(), outcome=outcome, volts_over_vmin=0.9, ber=0.01, flips=0.005, energy=energy,
        accuracy=Spread(0.9, 0.01, (0.88, 0.92)), loss=Spread(0.01), chosen_volts=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plan():
    """A plan of one remedy within the tolerance, whose time was measured, and one beyond it."""
    part = Part((1, 2), 10, "0", Share(0.92))
    times = {"base": {"p50_ms": 2.0, "p95_ms": 3.0}, "protected": {"p50_ms": 1.0, "p95_ms": 4.0, "mean_ms": 1.5}}
    return Plan(
        sentence="s", tolerance=0.01, best=0, options=(option("a", "within", 0.8), option("b", "beyond", 0.7)),
        untried=(), can=(), choosing=part, confirming=part, grid=(0.9,), curve=CurveFacts("c"), kind="stuck",
        set_share=0.5, layout="iid", seed=0, model=ModelFacts("m", "0", None, False), data=DataFacts("d", 10, "0"),
        versions={}, latency={"1": times},
    )  # fmt: skip


def test_a_planned_protection_shows_remedies_and_times(plan):
    record = read(RESULTS / "protect_resnet20_auto.json")
    found = pictures_of(msgspec.structs.replace(record, plan=plan))
    assert [p.title for p in found[:2]] == ["Accuracy over supply voltage", "Accuracy over energy saved"]
    remedies, latency = (p for p in found if p.title in ("Remedies: accuracy over energy saved", "Latency"))
    assert sorted(m.name for s in remedies.series for m in s.marks) == ["a", "b"]
    assert latency.amounts == (("batch 1, base", (2.0, 1.0)), ("batch 1, protected, mean 1.5 ms", (1.0, 3.0)))


def test_a_search_within_a_tolerance_shows_its_plans():
    def found(name, made):
        return Found(
            generator=name, output="x", overhead=0.1, saving=0.1, clean=0.9, base=Spread(0.3), protected=Spread(0.8),
            recovery=Spread(0.4), on_front=True, plan=made,
        )  # fmt: skip

    points = (found("a", option("bare", "within", 0.8)), found("b", option("early:b", "within", 0.3)), found("c", None))
    record = Search(ber=0.01, voltage=Voltage(0.86, 0.01, 0.73), points=points, max_loss=0.01)
    chart, front = pictures_of(record)
    assert [(s.name, s.marks[0].name, s.marks[0].x) for s in chart.series] == [
        ("plan without a generator", "a: bare at 0.900 Vmin", pytest.approx(20)),
        ("plan with the generator", "b: early:b at 0.900 Vmin", pytest.approx(70)),
    ]
    assert front.title == "Generators: accuracy over energy saved"


def test_a_plan_shows_outcomes_and_what_may_be_lost(plan):
    chart = chart_of(plan)
    assert [(s.name, s.marks[0].x) for s in chart.series] == [
        ("not chosen", pytest.approx(30)),
        ("within the tolerance", pytest.approx(20)),
    ]
    assert [line.y for line in chart.lines] == pytest.approx([92, 91])


def test_a_campaign_has_a_series_for_what_was_varied():
    def result(remedy, rate, accuracy):
        cell = Cell("m", "d", remedy, "stuck", 0.5, "iid", "as-stored", rate)
        spread = None if accuracy is None else Spread(accuracy, 0.1, (accuracy - 0.1, accuracy + 0.1))
        return CellResult(cell=cell, chips=5, images=100, clean=0.9, accuracy=spread)

    def again(results, layout, kind):
        replace = msgspec.structs.replace
        return [replace(r, cell=replace(r.cell, layout=layout, kind=kind)) for r in results]

    cells = [result(r, b, a) for r in ("bare", "ecc") for b, a in ((0.001, 0.8), (0.01, 0.6), (0.02, None))]
    chart = chart_of(Campaign(folder="f", cells=tuple(cells)))
    assert [s.name for s in chart.series] == ["bare", "ecc"]
    assert [(m.x, round(m.y, 6), round(m.low, 6)) for m in chart.series[0].marks] == [(0.1, 80, 70), (1, 60, 50)]
    assert [line.y for line in chart.lines] == [90]
    cells.append(result("gray", 0.01, 0.7))
    assert Campaign(folder="f", cells=tuple(cells)).overview().first == (
        "f: 35 measurements in 7 cells; at a bit error rate of 1 % most accurate gray (70.0 %), "
        "least accurate ecc (60.0 %)"
    )
    both = [
        c
        for layout in ("iid", "array")
        for kind in ("stuck", "flip")
        for c in again([r for r in cells if r.accuracy][:4], layout, kind)
    ]
    charts = pictures_of(Campaign(folder="f", cells=tuple(both)))
    assert [c.title.partition(": ")[2] for c in charts] == ["stuck, iid", "flip, iid", "stuck, array", "flip, array"]
    assert {tuple((s.name, s.role) for s in c.series) for c in charts} == {(("bare", "base"), ("ecc", "protected"))}
    assert [len(s.marks) for c in charts for s in c.series] == [2] * 8
    many = Campaign(folder="f", cells=tuple(result(f"r{i}", 0.01, 0.5) for i in range(8)))
    assert "3 further series" in chart_of(many).caption
    assert chart_of(Campaign(folder="f", cells=(result("bare", 0.01, None),))) is None


def test_a_notebook_gets_picture_and_table_and_markup_stays_text(measured):
    shown = measured._repr_html_()
    assert shown.count("<svg") > 1
    assert "<table>" in shown
    hostile = msgspec.structs.replace(measured, warnings=("<script>alert(1)</script>",))
    assert "<script" not in hostile._repr_html_()


def test_matplotlib_draws_the_same_figures(measured):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    assert measured.plot(axes) is axes
    drawn = {line.get_label(): line for line in axes.lines}
    chart = chart_of(measured)
    assert list(drawn["protected model"].get_ydata()) == [m.y for m in series(chart, "protected model").marks]
    assert drawn["base without errors"].get_ydata()[0] == 100 * measured.clean_base
    assert axes.get_xlabel() == "supply voltage over Vmin"
    with pytest.raises(OptionError, match="a record of energycount has no chart"):
        read(RESULTS / "energy_resnet18_hint-96_paper.json").plot()


def test_several_protected_models_are_compared_by_what_they_save(measured):
    milder = msgspec.structs.replace(
        measured, points=tuple(msgspec.structs.replace(p, protected=Spread(0.5)) for p in measured.points)
    )
    protected = read(RESULTS / "protect_resnet20_auto.json")
    chart = over_energy([("a", protected), ("b", milder), ("c", read(RESULTS / "bits_resnet20.nf.json"))])
    assert [s.name for s in chart.series] == ["bases with errors", "a", "b"]
    assert {m.x: m.y for m in series(chart, "b").marks} == {100 * p.saving.by_accesses: 50.0 for p in measured.points}
    assert len(series(chart, "bases with errors").marks) == len(measured.points)  # the same base, once
    assert "Not all" not in chart.caption
    other = msgspec.structs.replace(milder, data=DataFacts("d", 10, "another digest"))
    assert "Not all were measured on the same samples" in over_energy([("a", protected), ("b", other)]).caption
    assert over_energy([("a", protected)]) is None
    assert "2 further files are not drawn" in over_energy([(str(i), measured) for i in range(MOST + 2)]).caption
