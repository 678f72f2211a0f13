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


STATED = {"accuracy": {"mean": 0.8125, "ci95": [0.75, 0.875]}, "clean": 0.875, "energy": 0.25, "volts_over_vmin": 0.9}
MODE_NAMES = ("nominal", HOSTILE, "deep")


@pytest.fixture(scope="module")
def modes_page(convnet, parse, web_runtime, tmp_path_factory):
    """A page of a file with modes, the last of which nothing is stated of."""
    folder = tmp_path_factory.mktemp("modes")
    base, random = convnet(18), np.random.default_rng(3)
    x = random.uniform(-1, 0.99, (SAMPLES, 2, 4, 4)).astype(np.float32)
    data = nfkit.Dataset("noise", x, random.integers(0, 3, SAMPLES), classes=("cat", "owl", "dog"))
    generator = parse(EVIDENCE, k=random.integers(-99, 100, (32, 3), np.int8))
    trust = Trust(0.7, 0.3, 0.6, 1.5)
    answer = Answer(find_form(base, Runner(base)(x)), trust)
    levels = [Mode(MODE_NAMES[1], 0.002, trust, facts=STATED), Mode("deep", 0.05, Trust(0.2, 0.9, 0.6, 1.5))]
    switched = with_modes(
        fuse(generator, base, find_input(base), {}, answer), levels, nominal=STATED | {"accuracy": 1, "energy": 1.0}
    )
    save(switched, folder / "m.nf.onnx")
    written = nfkit.page(folder / "m.nf.onnx", data, folder / "m.html", runtime=web_runtime)
    assert written.modes == MODE_NAMES
    return SimpleNamespace(path=folder / "m.html", x=x, y=data.y, model=switched)


IN_MODE = """async ([chip, stop, mode]) => {
    const { codes } = nfkit.readChip(chip, nfkit.contents.stops[stop]);
    const answers = {}, never = () => false;
    for (const model of nfkit.contents.models) answers[model.name] = await nfkit.classify(model, codes, never, mode);
    return answers;
}"""


def test_each_mode_answers_as_onnx_runtime_does(open_page, modes_page):
    page, sites = open_page(modes_page.path), fault_sites(modes_page.model)
    known, base, told = rates(page), split(modes_page.model)[1], {}
    for rate in (0.0, 0.002, 0.05):
        errors = BitErrors(rate)
        reads = {s.name: Chip(50_000).faults(s, errors).read(codes(modes_page.model, s)) for s in sites}
        faulty = {name: np.ascontiguousarray(read.codes) for name, read in reads.items()}
        here = nfkit.Switched(with_codes(modes_page.model, faulty))
        for number, mode in enumerate(MODE_NAMES):
            answers = page.evaluate(IN_MODE, [50_000, known.index(rate), number])
            here.mode = mode
            assert answers[PROTECTED] == here(modes_page.x).argmax(axis=1).tolist()
            alone = Runner(set_mode(with_codes(modes_page.model, faulty), mode)).classify(modes_page.x)
            assert answers[PROTECTED] == alone.tolist()
            assert answers[BASE] == Runner(with_codes(base, faulty)).classify(modes_page.x).tolist()
            told[mode, rate] = answers[PROTECTED]
        assert told["nominal", rate] == answers[BASE]
    assert told["nominal", 0.0] == Runner(base).classify(modes_page.x).tolist()
    assert len({tuple(told[mode, 0.05]) for mode in MODE_NAMES}) > 1  # or nothing was switched
    stated = agree(page, 50_000, known.index(0.05), BitErrors(0.05), modes_page)
    assert stated[PROTECTED] == told[MODE_NAMES[1], 0.05]
    assert page.complaints == []


def test_a_keyboard_chooses_the_mode_and_finds_its_figures(open_page, modes_page):
    page = open_page(modes_page.path)
    chosen = page.get_by_role("radio", checked=True)
    assert page.get_by_role("group", name="Mode of the protected model").get_by_role("radio").count() == 3
    assert page.get_by_role("radio", name=HOSTILE).is_checked()
    assert page.evaluate("nfkit.contents.stops[nfkit.contents.start].rate") == 0.002
    cells = page.locator("#mode-rows tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.split(/\\s*\\n\\s*/)))"
    )
    assert cells[0][1:] == [["no errors", "0.900 Vmin"], ["100.0 %"], ["87.5 %"], ["100.0 %"]]
    assert cells[1][1:] == [["0.2 %", "0.900 Vmin"], ["81.3 %", "75.0 to 87.5"], ["87.5 %"], ["25.0 %"]]
    assert cells[2][1:] == [["5 %"], ["–"], ["–"], ["–"]]
    chosen.focus()
    page.keyboard.press("ArrowUp")
    said = settled(page, "mode nominal")
    assert chosen.get_attribute("value") == "0"
    right = page.locator("#tallies b").all_inner_texts()
    assert right[0] == right[1]
    assert said.count(right[0]) == 2
    saving = page.locator("#saving").inner_text()
    stop = page.evaluate("nfkit.contents.start")
    assert saving == page.evaluate(
        "stop => `${Number((100 * nfkit.contents.modes.modes[0].savings[stop]).toPrecision(3))} %`", stop
    )
    page.get_by_role("button", name="To the voltage of this mode").press("Enter")
    settled(page, "1.000 Vmin, mode nominal")
    clean = Runner(split(modes_page.model)[1]).classify(modes_page.x)
    assert page.locator("#tallies b").first.inner_text() == f"{int((clean == modes_page.y).sum())} of {SAMPLES}"
    assert page.locator("#mode-voltage").is_disabled()
    assert page.locator("#visited tr").count() == 3
    assert page.locator("img").count() == 0


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
@pytest.mark.parametrize("made", ["fused_page", "modes_page"])
def test_on_a_phone_and_by_axe(open_page, request, made, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    path = request.getfixturevalue(made).path
    page = open_page(path, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    table = page.locator("#modes .scroll").evaluate("part => [part.scrollWidth, part.clientWidth]")
    assert table[0] == table[1]  # no figure of a mode is beyond the edge
    found = axe.Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
