"""Reports as a desk and a phone show them: screenshots to be looked at, and what of them a machine can judge."""

import io

import numpy as np
import pytest

import nfkit
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.input.discovery import find_input
from nfkit.model import save

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

PICTURES = """() => [...document.querySelectorAll("figure svg[role=img], .gallery img")].map((picture) => {
    const box = picture.getBoundingClientRect();
    return [box.x + scrollX, box.y + scrollY, box.width, box.height];
})"""
CUT = """() => [...document.querySelectorAll("figure svg[role=img]")].flatMap((picture) => {
    const whole = picture.getBoundingClientRect();
    return [...picture.querySelectorAll("text")].filter((text) => {
        const box = text.getBoundingClientRect();
        const across = box.left < whole.left - 1 || box.right > whole.right + 1;
        return across || box.top < whole.top - 1 || box.bottom > whole.bottom + 1;
    }).map((text) => `${picture.querySelector("title").textContent}: ${text.textContent}`);
})"""


@pytest.fixture(scope="module")
def shown(records, convnet, residual_generator, tmp_path_factory):
    """A report of records of several kinds, and of a protected model on single samples."""
    folder = tmp_path_factory.mktemp("screens")
    base = convnet()
    save(fuse(residual_generator(2, 4, 4), base, find_input(base, value_range=(-1, 1)), {}), folder / "m.nf.onnx")
    random = np.random.default_rng(0)
    x = random.uniform(-0.9, 0.9, (80, 2, 4, 4)).astype(np.float32)
    data = nfkit.Dataset("noise", x, random.integers(0, 3, 80), classes=("cat", "dog", "owl"))
    sources = [folder / "m.nf.onnx", records.pair, records.bits, records.energy, records.protect]
    return nfkit.report(sources, folder / "report.html", data=data, ber=0.05, value_range=(-1, 1))


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (390, "dark")])
def test_every_picture_is_within_the_screen_and_has_something_in_it(visit, shown, tmp_path, width, scheme):
    page, _, said = visit(shown, width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = false)")
    shot = page.screenshot(path=tmp_path / f"report-{width}-{scheme}.png", full_page=True)
    pixels = np.asarray(image.open(io.BytesIO(shot)).convert("RGB"))
    assert pixels.shape[1] == width  # nothing scrolls sideways
    pictures = page.evaluate(PICTURES)
    assert len(pictures) > 20
    within = [box for box in pictures if box[2] > 100]
    assert len(within) >= 12
    assert all(left >= 0 and left + wide <= width for left, _, wide, _ in within)
    for left, top, wide, high in within:
        inside = pixels[int(top) : int(top + high), int(left) : int(left + wide)].reshape(-1, 3)
        background = inside[0]
        assert (np.abs(inside.astype(int) - background).max(axis=1) > 60).mean() > 0.005
    assert page.evaluate(CUT) == []
    assert said == []
