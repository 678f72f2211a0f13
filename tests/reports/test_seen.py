"""Pictures of records show what the records hold."""

import msgspec

from nfkit.pictures.charts import Chart
from nfkit.pictures.heat import Heat
from nfkit.reports.campaign import Campaign, Cell, CellResult
from nfkit.reports.figures import Spread
from nfkit.reports.protection import CourseMark, HeldOut, Training
from nfkit.reports.provenance import DataFacts, ModelFacts
from nfkit.reports.seen import pictures_of
from nfkit.reports.training_charts import held_out, loss
from nfkit.reports.vulnerability import BitLoss, Vulnerability, only_in

DATA = DataFacts(name="d", n=4, sha256="0")


def test_a_vulnerability_is_a_grid_with_the_worst_site_first():
    none = Spread(0.0)
    cells = tuple(
        BitLoss(site, bit, Spread(loss), none, 2, 1.0)
        for site, bit, loss in (("a", 0, 0.0), ("a", 1, 0.01), ("b", 1, 0.2))
    )
    record = Vulnerability(
        cells=cells, rate=0.1, kind="stuck", layout="iid", storage="as-stored", clean=0.9, images=4,
        model=ModelFacts("m.onnx", "0", None, False), data=DATA, versions={},
    )  # fmt: skip
    (heat,) = pictures_of(record)
    assert isinstance(heat, Heat)
    assert (heat.names, heat.over) == (("b", "a"), ("1", "0"))
    assert heat.rows() == (("b", "20", ""), ("a", "1", "0"))


def training(course):
    return Training({}, DATA, 9, "float32", HeldOut(0.5, 0.4), course=course)


def test_the_folder_of_a_map_is_drawn_as_the_map():
    def result(site, bit, loss):
        cell = Cell("m", "d", only_in(site, bit), "stuck", 0.5, "iid", "as-stored", 0.05)
        return CellResult(cell=cell, chips=2, images=10, clean=0.9, accuracy=Spread(0.9 - loss), loss=Spread(loss))

    cells = (result("a", 0, 0.0), result("a", 1, 0.1), result("b", 0, 0.02))
    (grid,) = pictures_of(Campaign(folder="f", cells=cells))
    assert grid.columns() == ("site \\ bit", "1", "0")
    assert grid.rows() == (("a", "10", "0"), ("b", "", "2"))
    shown = Campaign(folder="f", cells=cells).overview()
    assert shown.table.columns == ("site", "BER", "bit 1", "bit 0")
    assert shown.table.rows == (("a", "5 %", "10.0", "0.0"), ("b", "5 %", "–", "2.0"))
    assert "errors in bit 1 of 'a' cost most: 10.0 points" in shown.first
    assert "kind stuck" in shown.title


def test_a_map_beside_the_cells_of_a_campaign_is_drawn_besides():
    def result(remedy, loss, rate=0.05, kind="stuck"):
        cell = Cell("m", "d", remedy, kind, 0.5, "iid", "as-stored", rate)
        return CellResult(cell=cell, chips=2, images=10, clean=0.9, accuracy=Spread(0.9 - loss), loss=Spread(loss))

    cells = (
        result("bare", 0.1, 0.01), result("bare", 0.4, 0.02),
        result(only_in("a", 0), 0.2), result(only_in("a", 1), 0.3),
        result(only_in("a", 0), 0.25, kind="flip"), result(only_in("b", 2), 0.5, kind="flip"),
    )  # fmt: skip
    record = Campaign(folder="f", cells=cells)
    chart, stuck, flip = pictures_of(record)
    assert [mark.y for series in chart.series for mark in series.marks] == [80, 50]
    assert (stuck.title, stuck.rows()) == ("Where it hurts: stuck", (("a", "30", "20"),))
    assert (flip.title, flip.rows()) == ("Where it hurts: flip", (("b", "50", "", ""), ("a", "", "", "25")))
    shown = record.overview()
    assert [row[1] for row in shown.table.rows] == ["1 %", "2 %"]
    assert "4 cells map where errors hurt" in shown.notes[0]
    assert "bit 2 of 'b' (flip) cost most: 50.0 points" in shown.notes[0]
    both = Campaign(folder="f", cells=cells[2:]).overview()
    assert both.table.columns == ("of", "site", "BER", "bit 2", "bit 1", "bit 0")
    assert [row[:2] for row in both.table.rows] == [("stuck", "a"), ("flip", "a"), ("flip", "b")]


def test_a_course_is_a_line_a_phase_and_accuracies_where_they_were_measured():
    course = [
        CourseMark("labels", 1, 0.1, 2.0), CourseMark("labels", 2, 0.5, 1.0),
        CourseMark("eopm", 3, 0.6, 4.0, 0.5, 0.25), CourseMark("eopm", 4, 1.0, 3.0, 0.75, 0.5),
    ]  # fmt: skip
    drawn = loss(training(course))
    assert isinstance(drawn, Chart)
    assert [(s.name, [(m.x, m.y) for m in s.marks]) for s in drawn.series] == [
        ("labels", [(10.0, 2.0), (50.0, 1.0)]),
        ("eopm", [(60.0, 4.0), (100.0, 3.0)]),
    ]
    accuracies = held_out(training(course))
    assert [[(m.x, m.y) for m in s.marks] for s in accuracies.series] == [
        [(60.0, 50.0), (100.0, 75.0)], [(60.0, 25.0), (100.0, 50.0)],
    ]  # fmt: skip
    assert held_out(training(course[:3])) is None
    assert loss(training([])) is None
    assert "course" not in msgspec.to_builtins(training([])), "records of before had none"
