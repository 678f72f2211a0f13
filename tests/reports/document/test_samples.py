"""Single samples in a report: the right images, the right counts, and names of others as text."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest

from nfkit.pictures.cloud import Cloud
from nfkit.pictures.heat import Heat, draw
from nfkit.pictures.images import LARGEST, data_uri
from nfkit.reports.document.samples import MOST_CLASSES, MOST_WRONG, section_of_looks
from nfkit.reports.document.writing import LARGEST as PAGE
from nfkit.reports.document.writing import render
from nfkit.reports.single_samples import Answers, Bin, Calibration, FlippedBits, Looks, ScoreMap

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def sure(classes, count):
    shares = np.full((len(classes), count), 0.1 / (count - 1))
    shares[np.arange(len(classes)), classes] = 0.9
    return shares


def looks(count=4, size=6, channels=3, names=None):
    """Three samples a class; the faulty base takes every class for the next one, the protected model class 0 only."""
    y = np.repeat(np.arange(count), 3)
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (len(y), channels, size, size)).astype(np.float32)
    faulty = Answers("base with errors", "base", sure((y + 1) % count, count))
    wrong = np.where(y == 0, 1, y)
    return Looks(
        model="m.nf.onnx", data="d.npz", errors="stuck errors, chip 1", y=y,
        names=names or tuple(f"class {i}" for i in range(count)), images=images,
        transformed=np.clip(images + 0.1, -1, 1), base=Answers("base without errors", "clean", sure(y, count)),
        faulty=faulty, protected=Answers("protected model", "protected", sure(wrong, count)),
        calibrations=(Calibration(faulty, (Bin(0.9, 0.0, len(y)),), 0.9),),
        score_map=ScoreMap(np.arange(len(y)), random.normal(size=(3, len(y), 2))), notes=("a note",),
    )  # fmt: skip


def decoded(uri):
    return np.asarray(image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_images_are_the_pixels():
    levels = np.arange(12, dtype=np.float32).reshape(3, 2, 2) / 5.5 - 1
    expected = np.rint((levels + 1) * 127.5).transpose(1, 2, 0)
    np.testing.assert_array_equal(decoded(data_uri(levels)), expected)
    np.testing.assert_array_equal(decoded(data_uri(levels[:1])), expected[..., 0])
    np.testing.assert_array_equal(decoded(data_uri(levels[:2])), expected[..., 0])
    odd = np.array([[[np.nan, 7.0], [-7.0, 0.0]]], np.float32)
    np.testing.assert_array_equal(decoded(data_uri(odd)), [[128, 255], [0, 128]])
    assert decoded(data_uri(np.zeros((1, 300, 150), np.float32))).shape == (LARGEST, LARGEST // 2)


def test_the_verdict_and_the_table_count():
    section = section_of_looks(looks())
    assert "75.0 % of 12 samples are answered rightly by the protected model" in section.verdict
    assert "0.0 % by the base with them" in section.verdict
    assert section.table.rows[0] == ("class 0", "3", "100.0 %", "0.0 %", "0.0 %")
    assert section.table.rows[1] == ("class 1", "3", "100.0 %", "0.0 %", "100.0 %")


def test_pictures_are_confusion_reliability_and_one_map_a_model():
    heat, chart, *clouds = section_of_looks(looks()).pictures
    assert isinstance(heat, Heat)
    assert heat.values[0] == (0, 100, 0, 0)
    assert heat.values[1] == (0, 100, 0, 0)
    assert chart.series[1].marks[0].x == pytest.approx(90)
    assert [isinstance(c, Cloud) for c in clouds] == [True] * 3
    assert [c.right.count(False) for c in clouds] == [0, 12, 3]
    assert len({c.frame for c in clouds}) == 1
    assert clouds[0].rows()[0] == ("0", "class 0", "3", "3")


def test_flipped_bits_are_a_grid_with_the_highest_bit_first():
    counts = np.array([[3, 0, 2000], [5, 1, -1]])
    grid = section_of_looks(replace(looks(), flipped=FlippedBits(("a", "b"), counts))).pictures[-1]
    assert grid.columns() == ("site \\ bit", "2", "1", "0")
    assert grid.rows() == (("a", "2000", "0", "3"), ("b", "", "1", "5"))
    assert ">2.0k</text>" in draw(grid, "g")


def test_one_sample_a_class_with_its_residual_and_what_went_wrong():
    seen = looks()
    changed, wrong = section_of_looks(seen).galleries
    assert [name for name, _ in changed.rows] == list(seen.names)
    cells = changed.rows[2][1]
    at = 6
    np.testing.assert_array_equal(decoded(cells[0].image), np.rint((seen.images[at] + 1) * 127.5).transpose(1, 2, 0))
    residual = seen.transformed[at] - seen.images[at]
    most = np.abs(seen.transformed - seen.images).max()
    assert np.abs(decoded(cells[1].image) - ((residual / most + 1) * 127.5).transpose(1, 2, 0)).max() <= 1
    assert cells[1].text == f"up to {np.abs(residual).max():.2g}"
    assert [cell.text[0] for cell in cells[4:]] == ["✓", "✗", "✓"]
    assert [name for name, _ in wrong.rows] == ["class 0"] * 3


def test_what_is_left_out_is_said():
    section = section_of_looks(looks(count=20, size=LARGEST + 8, channels=2))
    changed = section.galleries[0]
    assert len(changed.rows) == MOST_CLASSES
    for words in (f"The first {MOST_CLASSES} of 20 classes", f"Reduced to {LARGEST} pixels", "The first channel"):
        assert words in changed.caption
    everything = replace(looks(count=20), protected=None, score_map=None)
    assert len(section_of_looks(everything).galleries[1].rows) == MOST_WRONG
    assert f"{MOST_WRONG} of 60" in section_of_looks(everything).galleries[1].caption


def test_nothing_to_show_is_left_out():
    bare = replace(looks(), images=None, transformed=None, protected=None, score_map=None, calibrations=())
    section = section_of_looks(bare)
    assert section.galleries == ()
    assert len(section.pictures) == 1
    still = replace(looks(), transformed=looks().images)
    assert "all of them 0" in section_of_looks(still).galleries[0].caption


def test_a_page_of_large_images_stays_small_and_names_stay_text():
    names = tuple(f"<img src=x onerror=alert({i})>" for i in range(12))
    content = render([section_of_looks(looks(count=12, size=224, names=names))])
    assert len(content) < PAGE / 2
    assert b"<img src=x" not in content
    assert len(re.findall(rb'<img src="data:image/png;base64,[^"]+" alt="[^"]+">', content)) == 12 * 4 + 3
