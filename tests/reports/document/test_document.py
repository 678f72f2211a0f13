"""A report as a file: everything in it, nothing of it active, small, and refused where a record is not whole."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from nfkit.errors import DataError, OptionError
from nfkit.outputs import REPORT_MARK
from nfkit.reports.document.sections import Section, section_of
from nfkit.reports.document.writing import LARGEST, render
from nfkit.reports.reading import decode, read
from nfkit.reports.rendering import Table

RESULTS = Path(__file__).parents[3] / "docs" / "results"
KINDS = ("nfkit.evaluate/", "nfkit.evaluate-bits/", "nfkit.protect/", "nfkit.energy/")
FILES = [path for path in sorted(RESULTS.glob("*.json")) if json.loads(path.read_text())["schema"].startswith(KINDS)]


class Elements(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(content.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)


def page(*paths):
    return Elements(render([section_of(read(path), path.name) for path in paths]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_published_records_become_small_pages_that_say_what_they_say(path):
    content = render([section_of(read(path), path.name)])
    assert content.startswith(REPORT_MARK)
    assert len(content) < 200_000
    overview = read(path).overview()
    text = Elements(content).text
    for cell in {cell for row in overview.table.rows for cell in row}:
        assert str(cell) in text
    assert overview.first[1:] in text
    identifiers = re.findall(r'\bid="([^"]+)"', content.decode())
    assert len(identifiers) == len(set(identifiers))


def test_nothing_in_a_page_is_active_or_elsewhere(records):
    found = page(*vars(records).values())
    assert {tag for tag, _ in found.tags} & {
        "script",
        "iframe",
        "object",
        "embed",
        "link",
        "img",
        "form",
        "base",
    } == set()
    policy = next(a for tag, a in found.tags if tag == "meta" and a.get("http-equiv"))
    assert policy["content"].startswith("default-src 'none'")
    for _, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert all(attributes[name].startswith("#") for name in ("href", "src") if name in attributes)


def test_hostile_texts_are_shown_as_text_and_bounded(records):
    content = render([section_of(read(records.hostile), "</title><script>x</script>.json")])
    assert len(content) < 300_000
    found = Elements(content)
    assert "<script>window.hit=1</script>" in found.text
    assert "{{ 7*7 }}" in found.text
    assert "\u202e" not in content.decode()
    assert "\x00" not in content.decode()
    assert max(map(len, found.text.split())) < 5000


def test_every_picture_has_its_table(records):
    content = render([section_of(read(records.protect), "a")]).decode()
    figures = re.findall(r"<figure.*?</figure>", content, re.S)
    assert len(figures) >= 3
    for figure in figures:
        assert '<details><summary>The numbers</summary><div class="nf-table"' in figure
        assert "<title id=" in figure
        assert "<desc id=" in figure


def test_verdict_first_then_provenance_and_command(records):
    text = page(records.protect).text
    record = read(records.protect)
    order = [record.verdict.sentence[1:], "The numbers", record.command.split()[-1], record.evaluation.model.sha256]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert record.evaluation.data.sha256 in text


def test_several_records_are_listed_first_and_linked(records):
    found = page(records.protect, records.evaluate)
    links = [a["href"] for tag, a in found.tags if tag == "a"]
    sections = [a["id"] for tag, a in found.tags if tag == "section" and "id" in a]
    assert links[1:] == [f"#{name}" for name in sections] == ["#s1", "#s2"]


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["evaluate"].update(points=[]),
        lambda r: r["evaluate"]["points"][0].update(rows=[]),
        lambda r: r["evaluate"].update(coverage={"sentence": "s"}),
        lambda r: r["evaluate"].update(latency={"1": {"threads": 1}}),
        lambda r: r["evaluate"].update(early={"share": "much"}),
    ],
    ids=["no points", "no rows", "coverage", "latency", "early"],
)
def test_a_record_that_is_not_whole_is_refused_by_name(records, change):
    plain = msgspec.to_builtins(read(records.protect))
    change(plain)
    with pytest.raises(DataError, match=r"'a\.json' is no whole record"):
        section_of(decode(json.dumps(plain).encode(), "a.json"), "a.json")


@pytest.mark.parametrize("accuracy", [1e308, -1e308, 5e-324, -3.0])
def test_numbers_that_no_accuracy_has_are_survived(records, accuracy):
    plain = msgspec.to_builtins(read(records.protect))
    plain["evaluate"]["points"][0]["base"].update(mean=accuracy, ci95=[-accuracy, accuracy])
    plain["evaluate"]["clean"]["base"]["accuracy"] = accuracy
    content = render([section_of(decode(json.dumps(plain).encode(), "a"), "a")])
    assert b'="nan' not in content


def test_a_page_that_would_be_too_large_is_refused():
    rows = tuple(("x" * 200,) * 60 for _ in range(200))
    with pytest.raises(OptionError, match="MB at most: give fewer files"):
        render([Section("a", "b", table=Table(("c",) * 60, rows))] * 2)
    assert LARGEST == 2_000_000
