"""Charts as SVG: each mark at its place, names escaped, and what is no number in the table alone."""

from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from nfkit.pictures.bars import Bars
from nfkit.pictures.charts import MOST_MARKS, Axis, Chart, Line, Mark, Series
from nfkit.pictures.figures import MOST_ROWS, draw, figure, legend, sketch
from nfkit.pictures.heat import Heat
from nfkit.pictures.styles import STYLES, stylesheet
from nfkit.pictures.svg import HEIGHT, WIDTH
from nfkit.pictures.text import LONGEST, shown

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</script></svg><img src=x onerror=alert(1)>\"'&\u202e\x00"


def parsed(markup):
    return ET.fromstring(markup)


@pytest.fixture
def chart():
    return Chart(
        "Accuracy", "How it falls.", Axis("voltage"), Axis("accuracy (%)", low=0.0, high=100.0),
        (
            Series("base", (Mark(0.8, 20, 10, 30, "1 %"), Mark(0.9, 60, 50, 70), Mark(1.0, 90)), "base"),
            Series("protected", (Mark(0.8, 80, 70, 90),), "protected"),
            Series("chips", tuple(Mark(0.8, y) for y in (18, 22)), "base", joined=False, faint=True),
        ),
        (Line("clean", 92, "clean"),),
    )  # fmt: skip


def test_marks_stand_where_linear_interpolation_puts_them(chart):
    drawing = parsed(draw(chart, "a"))
    line = next(p for p in drawing.iter(f"{SVG}polyline") if len(p.get("points").split()) == 3)
    places = [tuple(map(float, place.split(","))) for place in line.get("points").split()]
    (x1, y1), (x2, y2), (x3, y3) = places
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.11)  # coordinates have one decimal
    assert (y1 - y2) / (y2 - y3) == pytest.approx(40 / 30, abs=0.01)
    (clean,) = [p for p in drawing.iter(f"{SVG}polyline") if STYLES["clean"].light in p.get("style")]
    level = float(clean.get("points").split()[0].split(",")[1])
    assert (y3 - level) / (y2 - y3) == pytest.approx(2 / 30, abs=0.01)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)


def test_bands_and_whiskers_are_the_intervals(chart):
    drawing = parsed(draw(chart, "a"))
    (band,) = [p for p in drawing.iter(f"{SVG}polygon") if p.get("fill-opacity")]
    assert len(band.get("points").split()) == 4  # two of the three marks have an interval
    (whisker,) = [e for e in drawing.iter(f"{SVG}line") if STYLES["protected"].light in e.get("style", "")]
    (dot,) = drawing.iter(f"{SVG}circle")
    assert float(whisker.get("y1")) < float(dot.get("cy")) < float(whisker.get("y2"))


def test_a_screen_reader_is_told_title_and_numbers(chart):
    drawing = parsed(draw(chart, "a"))
    assert drawing.get("role") == "img"
    told = {e.get("id"): e.text for e in drawing if e.get("id")}
    assert drawing.get("aria-labelledby").split() == list(told)
    assert told["a-t"] == "Accuracy"
    assert "base: 20 at 0.8, 90 at 1." in told["a-d"]
    assert "clean: 92 throughout." in told["a-d"]


def test_what_is_no_number_is_not_drawn_but_stands_in_the_table(chart):
    bad = (Mark(float("nan"), 1), Mark(0.85, float("inf")), Mark(0.85, 1e300), Mark(0.85, 50, float("nan"), 60))
    broken = replace(chart, series=(Series("bad", bad, "base"),), lines=(Line("none", float("nan"), "clean"),))
    drawing = parsed(draw(broken, "a"))
    assert "nan" not in ET.tostring(drawing, encoding="unicode")
    assert len(list(drawing.iter(f"{SVG}rect"))) == 1
    assert [row[1:3] for row in broken.rows()] == [
        ("–", "1"),
        ("0.85", "–"),
        ("0.85", "1e+300"),
        ("0.85", "50"),
        ("any", "–"),
    ]
    nothing = replace(broken, series=(Series("bad", bad[:3], "base"),))
    assert nothing.empty
    assert draw(nothing, "a") == ""
    assert "<svg" not in figure(nothing, "a").split("<ul")[0]


def test_names_of_places_stand_apart_and_within_the_drawing(chart):
    upper = tuple((x, f"0.00{x} %") for x in (10, 10.5, 11, 12, 14, 20))
    marks = tuple(Mark(x, 50) for x, _ in upper)
    axis = Axis("voltage", high=20.0, upper=upper, upper_title="rate")
    drawing = parsed(draw(replace(chart, x=axis, series=(Series("base", marks, "base"),)), "c"))
    lines = {}
    for text in drawing.iter(f"{SVG}text"):
        if text.get("text-anchor") == "middle" and text.get("transform") is None:
            half = 3.2 * len(text.text)  # digits are about 0.53 em wide
            lines.setdefault(text.get("y"), []).append((float(text.get("x")) - half, float(text.get("x")) + half))
    assert max(map(len, lines.values())) >= 3
    for places in lines.values():
        assert all(0 <= left < right <= WIDTH for left, right in places)
        assert all(before[1] < after[0] for before, after in pairwise(places))


def test_rates_of_zero_are_left_out_of_factors(chart):
    series = (Series("base", (Mark(0, 90), Mark(0.1, 80), Mark(10, 20)), "base"),)
    drawn = draw(replace(chart, x=Axis("rate", logarithmic=True), series=series), "a")
    assert len(list(parsed(drawn).iter(f"{SVG}rect"))) == 2


def test_many_marks_are_thinned_and_many_rows_are_counted(chart):
    many = replace(chart, series=(Series("base", tuple(Mark(i, i) for i in range(5000)), "base"),), lines=())
    drawn = len(list(parsed(draw(many, "a")).iter(f"{SVG}rect")))
    assert MOST_MARKS / 2 < drawn <= MOST_MARKS
    assert f"{5000 - MOST_ROWS:,} more rows are in the record" in figure(many, "a")


@pytest.mark.parametrize("kind", ["chart", "bars", "heat"])
def test_markup_in_names_stays_text(chart, kind):
    picture = {
        "chart": replace(
            chart, title=HOSTILE, caption=HOSTILE, x=Axis(HOSTILE, upper=((0.8, HOSTILE),), upper_title=HOSTILE),
            series=(Series(HOSTILE, (Mark(0.8, 1, name=HOSTILE), Mark(0.9, 2)), "base"),),
            lines=(Line(HOSTILE, 3, "clean"),),
        ),
        "bars": Bars(HOSTILE, HOSTILE, HOSTILE, ((HOSTILE, "base"), (HOSTILE, "other")), ((HOSTILE, (1.0, 2.0)),)),
        "heat": Heat(HOSTILE, HOSTILE, HOSTILE, HOSTILE, (HOSTILE, "b"), ((1, 0), (2, 3))),
    }[kind]  # fmt: skip
    markup = figure(picture, "a")
    assert "<img" not in markup
    assert "\u202e" not in markup
    assert "\x00" not in markup
    assert markup.count("</svg>") == markup.count("<svg")
    assert parsed(draw(picture, "a")).find(f"{SVG}title").text == shown(HOSTILE)


def test_long_names_keep_their_ends():
    said = shown("a" * 10_000 + "end")
    assert len(said) <= LONGEST + 1
    assert said.endswith("end")
    assert shown("größe ± 5 %\n– 日本") == "größe ± 5 %\n– 日本"


def test_bars_add_up_to_the_longest():
    bars = Bars(
        "t",
        "c",
        "ms",
        (("a", "base"), ("b", "other")),
        (("one", (1.0, 3.0)), ("two", (2.0, 0.0)), ("bad", (-1.0, 0.0))),
    )
    widths = [float(e.get("width")) for e in parsed(draw(bars, "a")).iter(f"{SVG}rect")]
    assert widths == pytest.approx([100, 300, 200, 0])
    assert "the table has 1 more" in draw(bars, "a")
    assert [row[0] for row in bars.rows()] == ["one", "two", "bad"]
    assert draw(replace(bars, amounts=()), "a") == ""
    large = replace(bars, amounts=(("n", (21419.4, 0.7139)), ("o", (float("nan"), 1e12))))
    assert large.rows() == (("n", "21,419", "0.7139"), ("o", "–", "1e+12"))


def test_shades_follow_the_values():
    heat = Heat("t", "c", "said", "true", ("a", "b"), ((8, 0), (4, 8)))
    shades = [float(e.get("fill-opacity")) for e in parsed(draw(heat, "a")).iter(f"{SVG}rect")]
    assert shades[0] == shades[3] == max(shades)
    assert shades[1] < shades[2] < shades[0]
    assert draw(replace(heat, values=((0, 0), (0, 0))), "a") == ""


def test_long_names_of_rows_lose_what_all_of_them_share():
    heat = Heat("t", "c", "bit", "site", ("stem.0.weight", "head.weight"), ((8, 0), (4, 8)), ("1", "0"))
    texts = [e.text for e in parsed(draw(heat, "a")).iter(f"{SVG}text")]
    assert texts[0] == "stem.0"
    assert "head" in texts
    assert "site" not in texts  # it would stand upon the names
    assert [row[0] for row in heat.rows()] == ["stem.0.weight", "head.weight"]


def test_the_legend_names_everything_but_the_background(chart):
    said = legend(chart)
    assert [name in said for name in ("base", "protected", "clean", "chips")] == [True, True, True, False]


def test_a_sketch_has_an_identifier_of_its_own(chart):
    assert sketch(chart) == sketch(chart)
    assert sketch(None) == ""
    first, second = (
        parsed(s[s.index("<svg") : s.index("</svg>") + 6]) for s in (sketch(chart), sketch(replace(chart, title="x")))
    )
    assert first.get("aria-labelledby") != second.get("aria-labelledby")


def luminance(colour):
    """Relative luminance by WCAG 2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("role", [role for role in STYLES if role != "heat"])
def test_colours_stand_out_from_light_and_dark_pages(role):
    look = STYLES[role]
    assert 1.05 / (luminance(look.light) + 0.05) >= 3
    assert (luminance(look.dark) + 0.05) / (luminance("#14161a") + 0.05) >= 3
    assert look.light in stylesheet()
    assert look.dark in stylesheet()


def test_no_two_series_share_marker_and_dash():
    signs = [(look.marker, look.dash) for role, look in STYLES.items() if role != "heat"]
    assert len(signs) == len(set(signs))


def test_a_grid_may_have_columns_of_its_own():
    nan = float("nan")
    heat = Heat("t", "c", "bit", "site", ("first", "second"), ((8, 0, 2), (nan, -1, 4)), ("7", "6", "0"))
    drawn = parsed(draw(heat, "a"))
    shades = [float(e.get("fill-opacity")) for e in drawn.iter(f"{SVG}rect")]
    assert len(shades) == 5, "no cell where a site has no such bit"
    assert shades[0] == max(shades)
    assert shades[3] == shades[1] == min(shades), "a loss below 0 is none"
    assert [e.text for e in drawn.iter(f"{SVG}text")][-4:] == ["7", "6", "0", "bit"]
    assert heat.columns() == ("site \\ bit", "7", "6", "0")
    assert heat.rows() == (("first", "8", "0", "2"), ("second", "", "-1", "4"))
