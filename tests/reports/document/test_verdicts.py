"""What stands first: one verdict a model, wherever they come from."""

import re

from nfkit.reports.campaign import Campaign, Cell, CellResult
from nfkit.reports.document.sections import Section, section_of
from nfkit.reports.document.verdicts import by_model
from nfkit.reports.document.writing import render
from nfkit.reports.figures import Spread
from nfkit.reports.reading import read


def section(name, subject, verdict="v"):
    return Section(name, "measurement", verdict=verdict, subject=subject)


def named(sections):
    return [(model, [entry.name for entry in entries]) for model, entries in by_model(sections)]


def test_records_of_one_model_stand_together_and_bear_its_name():
    found = [section("1", "x/a.onnx"), section("2", "x/b.onnx"), section("3", "x/a.onnx"), section("4", "y/b.onnx")]
    assert named(found) == [("a.onnx", ["1", "3"]), ("x/b.onnx", ["2"]), ("y/b.onnx", ["4"])]
    assert named(found[:1]) == [("", ["1"])]
    assert named([section("1", ""), section("2", "a.onnx")]) == [("", ["1"]), ("", ["2"])]


def campaign():
    return Campaign(
        folder="results",
        cells=tuple(
            CellResult(
                cell=Cell(f"models/{model}.onnx", "d", remedy, "stuck", 0.5, "iid", "as-stored", 0.01),
                chips=2, images=10, clean=0.9, accuracy=Spread(mean, ci95=(mean - 0.01, mean + 0.01)),
            )
            for model, means in (("one", (0.4, 0.8)), ("two", (0.5, 0.6)))
            for remedy, mean in zip(("bare", "ecc"), means, strict=True)
        ),
    )  # fmt: skip


def test_a_campaign_over_models_has_one_each_before_anything_else():
    made = section_of(campaign(), "results", ["nfkit campaign 'my plan.toml' -o again"])
    page = render([made]).decode()
    box = page[page.index('id="verdicts"') : page.index('id="s1"')]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", box))
    assert re.findall(r"<h3>(.*?)</h3>", box) == ["one.onnx", "two.onnx"]
    assert "'ecc' is the most accurate: 80.0 % (79.0 to 81.0)" in text.replace("&#39;", "'")
    assert "60.0 % (59.0 to 61.0)" in text
    assert "in 4 cells" in page[page.index('id="s1"') :]
    assert "<span>plan.toml&#39;</span>" in page[page.index("To do it again") :]


def test_records_of_several_models_have_one_each(records):
    sections = [section_of(read(path), path.name) for path in (records.protect, records.pair, records.evaluate)]
    page = render(sections).decode()
    box = page[page.index('id="verdicts"') : page.index('id="s1"')]
    headings = re.findall(r"<h3>(.*?)</h3>", box)
    assert len(headings) == 3
    assert [name.endswith(".onnx") for name in headings] == [True] * 3
    assert box.count('class="verdict"') == 3


def test_a_bare_base_says_its_accuracies_and_recommends_nothing(records):
    record = read(records.evaluate)
    point = max(record.points, key=lambda point: point.ber)
    said = section_of(record, "a").verdict
    assert said.startswith(
        f"at a bit error rate of {100 * point.ber:.4g} % accuracy is {100 * point.base.mean:.1f} % ("
    )
    assert said.endswith(f"; {100 * record.clean_base:.1f} % without errors")
