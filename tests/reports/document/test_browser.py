"""A report in a real browser: nothing runs, nothing is fetched, nothing sticks out, and axe finds no serious fault."""

import pytest

from nfkit.workflows.reporting import report


@pytest.fixture(scope="module")
def reports(records, tmp_path_factory):
    """A report of everything, and one of a hostile record."""
    folder = tmp_path_factory.mktemp("reports")
    harmless = [path for name, path in vars(records).items() if name != "hostile"]
    return {
        "some": report([records.pair, records.bits], folder / "some.html"),
        "all": report(harmless, folder / "all.html"),
        "hostile": report(
            records.hostile, folder / "hostile.html", command='nfkit report "</script><script>window.hit=1"'
        ),
    }


@pytest.mark.parametrize("name", ["all", "hostile"])
def test_nothing_runs_and_nothing_is_fetched(visit, reports, name):
    page, asked, said = visit(reports[name])  # without the page's own policy, which forbids scripts in any case
    assert asked == [reports[name].as_uri()]
    assert said == []
    assert page.evaluate("window.hit") is None
    assert page.evaluate("document.scripts.length") == 0


@pytest.mark.parametrize("name", ["all", "hostile"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(visit, reports, name, width):
    page, _, _ = visit(reports[name], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(
        "[...document.querySelectorAll('figure svg[role=img]')].every(e => e.getBoundingClientRect().width > 200)"
    )


def test_letters_of_charts_are_readable_on_a_phone(visit, reports):
    page, _, _ = visit(reports["all"], 390)
    heights = page.evaluate(
        "[...document.querySelectorAll('figure svg text')].map(e => e.getBoundingClientRect().height)"
    )
    assert heights
    assert min(heights) >= 9


@pytest.mark.parametrize(
    ("name", "scheme"), [("all", "light"), ("all", "dark"), ("some", "light"), ("hostile", "dark")]
)
def test_axe_finds_no_serious_fault(visit, reports, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page, _, _ = visit(reports[name], scheme=scheme)
    found = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")] == []


def test_a_keyboard_reaches_every_table_and_the_skip_link_first(visit, reports):
    page, _, _ = visit(reports["hostile"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    regions = page.evaluate(
        "[...document.querySelectorAll('.nf-table')].map(e => [e.tabIndex, e.getAttribute('aria-label')])"
    )
    assert regions
    assert all(index == 0 and label for index, label in regions)


def test_dark_and_light_differ_and_print_is_light(visit, reports):
    colour = "getComputedStyle(document.body).backgroundColor"
    light, _, _ = visit(reports["all"])
    dark, _, _ = visit(reports["all"], scheme="dark")
    assert light.evaluate(colour) == "rgb(255, 255, 255)"
    assert dark.evaluate(colour) == "rgb(20, 22, 26)"
    line = "getComputedStyle(document.querySelector('figure svg polyline')).stroke"
    assert light.evaluate(line) != dark.evaluate(line)
    dark.emulate_media(media="print")
    assert dark.evaluate(colour) == "rgb(255, 255, 255)"
