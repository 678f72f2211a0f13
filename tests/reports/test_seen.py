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
    bare = msgspec.structs.replace(cells[0], cell=msgspec.structs.replace(cells[0].cell, remedy="bare"))
    assert not isinstance(pictures_of(Campaign(folder="f", cells=(*cells, bare)))[0], Heat)


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
