"""Charts as text: within their width, every series by its own sign, colours only where they are wanted."""

import itertools

import pytest

from nfkit.pictures.charts import Axis, Chart, Line, Mark, Series
from nfkit.pictures.terminal import HEIGHT, draw

pytest.importorskip("plotext", reason="plotext is not installed")


@pytest.fixture
def chart():
    return Chart(
        "Accuracy over supply voltage", "", Axis("voltage"), Axis("accuracy (%)", low=0.0, high=100.0),
        (
            Series("base", tuple(Mark(x, y) for x, y in ((0.8, 10), (0.9, 40), (1.0, 65))), "base", joined=False),
            Series("protected", (Mark(0.8, 80), Mark(0.9, 85), Mark(1.0, 92)), "protected"),
            Series("chips", (Mark(0.8, 5),), "alone", faint=True),
        ),
        (Line("without errors", 95, "clean"),),
    )  # fmt: skip


@pytest.mark.parametrize("width", [40, 80, 100])
def test_no_line_is_wider_and_signs_tell_series_apart(chart, width):
    lines = draw(chart, width, colour=False).splitlines()
    assert max(map(len, lines)) <= width
    plot = "\n".join(line for line in lines if "│" in line or "┤" in line)
    assert plot.count("■") == 3
    assert plot.count("●") == 3
    assert "▲" not in plot
    assert "■ base   ● protected   ┈ without errors 95.0" in "   ".join(lines[HEIGHT:])


def test_higher_is_further_up_and_axes_are_named(chart):
    lines = draw(chart, 60, colour=False).splitlines()
    rows = [index for index, line in enumerate(lines) if "■" in line][:3]
    columns = [lines[index].index("■") for index in rows]
    assert columns == sorted(columns, reverse=True)
    assert lines[0] == "Accuracy over supply voltage"
    assert any("accuracy (%)" in line and "voltage" in line for line in lines)


def test_equal_factors_are_equal_distances(chart):
    rates = (Series("base", tuple(Mark(x, 50) for x in (0.01, 0.1, 1, 10)), "base", joined=False),)
    drawn = draw(Chart("", "", Axis("rate", logarithmic=True), Axis("y"), rates), 80, colour=False)
    (row,) = [line for line in drawn.splitlines()[:-1] if "■" in line]
    at = [index for index, sign in enumerate(row) if sign == "■"]
    assert len(at) == 4
    apart = [after - before for before, after in itertools.pairwise(at)]
    assert max(apart) - min(apart) <= 1


def test_colours_are_only_added(chart):
    painted = draw(chart, 60, colour=True)
    assert "\x1b[" in painted
    assert "48;5;15" not in painted  # the terminal's own background stays
    assert "\x1b" not in draw(chart, 60, colour=False)
    assert draw(chart, 60, colour=True) == painted


def test_nothing_to_draw_is_nothing():
    empty = Chart("t", "", Axis("x"), Axis("y"), (Series("a", (Mark(float("nan"), 1),), "base"),))
    assert draw(empty, 60, colour=False) == ""
