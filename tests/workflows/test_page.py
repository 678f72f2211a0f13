"""`nfkit.page` without a browser: what the file holds, and what is refused."""

import base64
import gzip
import json
import re

import numpy as np
import pytest
from scipy.special import softmax

import nfkit
from nfkit.access.runtime import Runner
from nfkit.energy import load_curve
from nfkit.errors import DataError, OptionError, UnsupportedError
from nfkit.faults.kinds import KINDS, Flip
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.trust import Trust
from nfkit.pages.contents import Stop
from nfkit.pages.web_runtime import SCRIPT, WASM
from nfkit.reports.reading import decode, encode


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """A folder that looks like the runtime's."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in (SCRIPT, WASM):
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def write(zoo, runtime, tmp_path):
    """write(**settings): the record of a page of the zoo's base, what it says, and its pieces by name."""

    def run(model=None, data=None, **settings):
        path = tmp_path / "page.html"
        record = nfkit.page(model or zoo.path, data or zoo.images, path, runtime=runtime, **settings)
        text = path.read_text()
        contents = json.loads(re.search(r'<script type="application/json" id="contents">(.*?)</script>', text)[1])
        pieces = {
            name: gzip.decompress(base64.b64decode(packed))
            for name, packed in re.findall(r'<script type="text/plain" id="piece-(\w+)">(.*?)</script>', text)
        }
        assert record.bytes == path.stat().st_size
        return record, contents, pieces

    return run


def test_it_holds_the_first_samples_and_the_runtime(write, zoo):
    record, contents, pieces = write(samples=7)
    assert pieces["images"] == zoo.spec.encode(zoo.test.x[:7]).tobytes()
    assert contents["samples"]["labels"] == zoo.test.y[:7].tolist()
    assert (pieces["runtime"], pieces["wasm"]) == (SCRIPT.encode(), WASM.encode())
    assert [site["name"] for site in contents["sites"]] == [site.name for site in zoo.sites]
    assert len(pieces["codes"]) == sum(site["size"] for site in contents["sites"])
    assert (record.models, record.samples, record.chip) == (("base",), 7, 50_000)
    assert record.cells == sum(site.count * site.bits for site in zoo.sites)
    assert decode(encode(record), "it") == record


def test_stops_lie_on_the_curve(write):
    _, contents, _ = write(ber=[0.01, 0.005])
    stops, curve = contents["stops"], load_curve("stutz-2021")
    volts = [stop["volts"] for stop in stops]
    assert volts == sorted(volts)
    assert stops[-1] == {"volts": 1.0, "rate": 0.0, "taus": [0.0, 0.0], "energy": 1.0, "saving": None}
    assert stops[contents["start"]]["rate"] == 0.01
    assert 0.005 in [stop["rate"] for stop in stops]
    assert max(stop["rate"] for stop in stops) <= 0.05
    for stop in stops[:-1]:  # half of the stuck cells hold the right bit
        point = curve.at_volts(stop["volts"])
        assert (stop["rate"], stop["energy"]) == (pytest.approx(2 * point.rate), pytest.approx(point.energy))
        assert stop["taus"][0] == pytest.approx(-np.log1p(-stop["rate"]), rel=1e-15)


def test_a_curve_of_one_point_has_two_stops(write):
    _, contents, _ = write(curve="neuralfuse")
    assert [(stop["volts"], stop["rate"]) for stop in contents["stops"]] == [(0.833, 0.01), (1.0, 0.0)]


def test_rates_that_the_curve_does_not_know(write):
    _, contents, _ = write(ber=[0.5], kind="flip")
    assert contents["stops"][0] == {
        "volts": None, "rate": 0.5, "taus": [float(np.log(2))] * 2, "energy": None, "saving": None,
    }  # fmt: skip
    assert contents["start"] == 0


def test_robust_bits(write, zoo):
    _, contents, _ = write(protected_top=2, protected_sites=(zoo.sites[0].name,))
    first, *others = (site["exposed"] for site in contents["sites"])
    assert first == []
    assert all(exposed == list(range(6)) for exposed in others)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"samples": 0}, "0 samples: give how many to show"),
        ({"chip": 2**53}, "a page counts chips from 0 to"),
        ({"ber": 0.01, "vdd": 0.9}, "give one of them"),
        ({"protected_sites": ("none*",)}, r"the pattern 'none\*' of protected sites"),
        ({"vdd": 0.5}, "beyond the voltage curve"),
    ],
)
def test_what_makes_no_sense(write, settings, says):
    with pytest.raises(OptionError, match=says):
        write(**settings)


def test_a_runtime_that_is_none(zoo, tmp_path):
    with pytest.raises(DataError, match="holds no ONNX Runtime for browsers"):
        nfkit.page(zoo.path, zoo.images, tmp_path / "page.html", runtime=tmp_path)
    assert not (tmp_path / "page.html").exists()


def test_a_kind_that_the_page_does_not_draw(write, monkeypatch):
    class Other(Flip):
        name = "other"

    monkeypatch.setitem(KINDS, "other", Other())
    with pytest.raises(UnsupportedError, match=r"kinds stuck, flip, asymmetric, not 'other'"):
        write(kind="other")


def test_top_bits_with_a_rate_of_their_own_are_not_drawn():
    with pytest.raises(UnsupportedError, match="a page draws errors of one rate"):
        Stop.of(nfkit.BitErrors(0.01, top_rates=(0.1,)), None, None, None)


def test_a_file_with_faults_in_it(write, zoo, tmp_path):
    faulty = nfkit.inject(zoo.model, zoo.sites, nfkit.Chip(1), nfkit.BitErrors(0.01), "baked")
    with pytest.raises(nfkit.NfkitError, match="--remove"):
        write(model=faulty)


LOOKS = """
<ir_version: 10, opset_import: ["" : OPSET]>
generator (float[N, C, H, W] image) => (float[N, 10] evidence)
<float s = {0.001}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
}
"""


def test_what_early_answers_save_counts_on_the_images_shown(write, zoo, parse):
    channels, height, width = zoo.spec.image_shape
    text = LOOKS.replace("OPSET", str(zoo.model.opset_imports[""]))
    text = text.replace("[N, C, H, W]", f"[N, {channels}, {height}, {width}]")
    k = np.random.default_rng(2).integers(-127, 128, (channels * height * width, 10), np.int8)
    form = find_form(zoo.model, Runner(zoo.model)(zoo.spec.encode(zoo.test.x[:8])))
    saved = {}
    for threshold in (None, 0.5):
        answer = Answer(form, Trust(weight=0.5), threshold)
        fused = fuse(parse(text, k=k), zoo.model, zoo.spec, {}, answer)
        _, contents, _ = write(fused, (zoo.test.x, zoo.test.y), samples=20)
        saved[threshold] = contents["stops"][contents["start"]]
    levels = zoo.spec.normalise(zoo.spec.encode(zoo.test.x[:20])).reshape(20, -1)
    evidence = levels @ (k * np.float32(0.001))
    sure = softmax(evidence, axis=1).max(1) >= 0.5
    assert 0 < sure.mean() < 1
    gained = saved[0.5]["saving"] - saved[None]["saving"]
    assert gained == pytest.approx(sure.mean() * saved[0.5]["energy"], abs=1e-12)
