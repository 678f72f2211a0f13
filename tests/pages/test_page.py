"""A page in a real browser: it runs, computes what the library computes, and asks nobody for anything."""

from types import SimpleNamespace

import numpy as np
import pytest

import nfkit
from nfkit.access.runtime import Runner
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.modes.giving import with_modes
from nfkit.graph.fusion.modes.record import Mode, set_mode
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.split import split
from nfkit.graph.fusion.trust import Trust
from nfkit.graph.injection.inject import with_codes
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.model import save

SAMPLES = 12
BASE, PROTECTED = "base", "protected"
HOSTILE = '</script><img src="x" onerror="document.title=1">'


@pytest.fixture(scope="module")
def zoo_page(zoo, web_runtime, tmp_path_factory):
    """A page of the zoo's base."""
    path = tmp_path_factory.mktemp("pages") / "zoo.html"
    nfkit.page(zoo.path, zoo.images, path, samples=SAMPLES, ber=[0.01, 0.03], runtime=web_runtime)
    return SimpleNamespace(path=path, x=zoo.spec.encode(zoo.test.x[:SAMPLES]), y=zoo.test.y[:SAMPLES], model=zoo.model)


@pytest.fixture(scope="module")
def fused_page(convnet, residual_generator, web_runtime, tmp_path_factory):
    """A page of a small protected model, whose classes bear names that would like to be markup."""
    folder = tmp_path_factory.mktemp("pages")
    base = convnet(18)
    spec = find_input(base)
    fused = fuse(residual_generator(2, 4, 4), base, spec, {})
    save(fused, folder / "<b>bold.nf.onnx")
    random = np.random.default_rng(0)
    x = random.uniform(-1, 0.99, (SAMPLES, 2, 4, 4)).astype(np.float32)
    y = random.integers(0, 3, SAMPLES)
    data = nfkit.Dataset("noise", x, y, classes=("cat", HOSTILE, "dog"))
    page = nfkit.page(
        folder / "<b>bold.nf.onnx", data, folder / "fused.html", ber=0.05, kind="flip", chip=60_000, runtime=web_runtime
    )
    assert page.models == (BASE, PROTECTED)
    return SimpleNamespace(path=folder / "fused.html", x=x, y=y, model=fused)


def rates(page):
    return page.evaluate("nfkit.contents.stops.map(({ rate }) => rate)")


COMPUTE = """async ([chip, stop]) => {
    const { codes, flipped } = nfkit.readChip(chip, nfkit.contents.stops[stop]);
    const answers = {};
    for (const model of nfkit.contents.models) answers[model.name] = await nfkit.classify(model, codes);
    return [codes.map((bytes) => Array.from(bytes)), flipped, answers];
}"""


def agree(page, chip, stop, errors, made):
    """Faults and answers of the page are those of the library."""
    got, flipped, answers = page.evaluate(COMPUTE, [chip, stop])
    sites = fault_sites(made.model)
    reads = {site.name: Chip(chip).faults(site, errors).read(codes(made.model, site)) for site in sites}
    assert [bytes(g) for g in got] == [read.codes.tobytes() for read in reads.values()]
    assert flipped == sum(read.flipped for read in reads.values())
    faulty = {name: np.ascontiguousarray(read.codes) for name, read in reads.items()}
    models = {BASE: made.model}
    if PROTECTED in answers:
        models = {BASE: split(made.model)[1], PROTECTED: made.model}
    for name, model in models.items():
        assert answers[name] == Runner(with_codes(model, faulty)).classify(made.x).tolist()
    return answers


def test_faults_and_answers_of_the_zoos_base(open_page, zoo_page):
    page = open_page(zoo_page.path)
    known = rates(page)
    assert known == sorted(known, reverse=True)
    assert {0.0, 0.01, 0.03} <= set(known)
    for chip, rate in ((50_000, 0.0), (50_000, 0.01), (123_456, 0.01), (123_456, 0.03)):
        answers = agree(page, chip, known.index(rate), BitErrors(rate), zoo_page)
    assert answers[BASE] != zoo_page.y.tolist()  # at 3 % something is wrong, or nothing was compared
    assert page.asked[0] == zoo_page.path.as_uri()
    assert all(address.startswith("blob:null/") for address in page.asked[1:])
    assert page.complaints == []


def test_base_and_protected_side_by_side(open_page, fused_page):
    page = open_page(fused_page.path)
    agree(page, 60_000, rates(page).index(0.05), BitErrors(0.05, "flip"), fused_page)
    assert page.title() == "<b>bold.nf.onnx at low voltage"
    assert page.locator("h1").inner_text() == "<b>bold.nf.onnx"
    assert HOSTILE in page.locator("#samples").inner_text()
    assert page.locator("img").count() == 0


EVIDENCE = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 2, 4, 4] image) => (float[N, 3] evidence)
<float s = {0.015625}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
}
"""


def test_a_file_with_modes_runs_in_the_mode_that_it_states(open_page, convnet, parse, web_runtime, tmp_path):
    base = convnet(18)
    random = np.random.default_rng(3)
    x = random.uniform(-1, 0.99, (SAMPLES, 2, 4, 4)).astype(np.float32)
    data = nfkit.Dataset("noise", x, random.integers(0, 3, SAMPLES), classes=("cat", "owl", "dog"))
    generator = parse(EVIDENCE, k=random.integers(-99, 100, (32, 3), np.int8))
    answer = Answer(find_form(base, Runner(base)(x)), Trust(0.7, 0.3, 0.6, 1.5))
    switched = with_modes(fuse(generator, base, find_input(base), {}, answer), [Mode("low", 0.05, answer.trust)])
    told = {}
    for mode in ("nominal", "low"):
        made = SimpleNamespace(model=set_mode(switched, mode), x=x)
        save(made.model, tmp_path / f"{mode}.nf.onnx")
        nfkit.page(tmp_path / f"{mode}.nf.onnx", data, tmp_path / f"{mode}.html", ber=0.05, runtime=web_runtime)
        page = open_page(tmp_path / f"{mode}.html")
        known = rates(page)
        for rate in (0.0, 0.05):
            told[mode, rate] = agree(page, 50_000, known.index(rate), BitErrors(rate), made)
        assert page.complaints == []
    for rate in (0.0, 0.05):
        assert told["nominal", rate][PROTECTED] == told["nominal", rate][BASE] == told["low", rate][BASE]
        assert told["low", rate][PROTECTED] != told["low", rate][BASE]


def test_the_page_may_ask_nobody(open_page, fused_page):
    page = open_page(fused_page.path)
    for attempt in (
        "fetch('https://example.com/')",
        "import('https://example.com/x.js')",
        "fetch('data:text/plain,x')",
    ):
        assert page.evaluate(f"{attempt}.then(() => 'came', () => 'refused')") == "refused"


def settled(page, text):
    """What the page says once it says something of that voltage."""
    page.locator("#status", has_text=text).wait_for(timeout=60_000)
    return page.locator("#status").inner_text()


def test_slider_keys_and_another_chip(open_page, fused_page):
    page = open_page(fused_page.path)
    volts = page.evaluate("nfkit.contents.stops.map(({ volts }) => volts)")
    start = page.evaluate("nfkit.contents.start")
    slider = page.get_by_role("slider", name="Supply voltage")
    assert slider.input_value() == str(start)
    slider.focus()
    page.keyboard.press("End")
    said = settled(page, "1.000 Vmin")
    clean = split(fused_page.model)[1]
    right = int((Runner(clean).classify(fused_page.x) == fused_page.y).sum())
    assert f"base {right} of {SAMPLES} right" in said
    assert page.locator("#flipped").inner_text() == "0"
    assert slider.get_attribute("aria-valuetext") == "1.000 Vmin, bit error rate 0 %, energy 100.0 % of Vmin"
    page.keyboard.press("Home")
    settled(page, f"{volts[0]:.3f} Vmin")
    wrong = int(page.locator("#flipped").inner_text().replace(",", ""))
    assert wrong == page.evaluate("nfkit.readChip(60000, nfkit.contents.stops[0]).flipped") > 0
    assert page.locator("#visited tr").count() == 1 + len({start, 0, len(volts) - 1})
    page.get_by_role("button", name="Another chip").press("Enter")
    page.locator("#chip", has_text="chip 60001").wait_for()
    page.locator("#visited tr:nth-child(3)").wait_for(state="detached")
    marks = page.locator("#samples li").first.inner_text()
    assert "base: " in marks
    assert "protected: " in marks
    assert ("✓" in marks) or ("✗" in marks)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_and_by_axe(open_page, fused_page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = open_page(fused_page.path, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    found = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
