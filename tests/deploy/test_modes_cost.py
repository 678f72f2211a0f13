"""What a file with modes costs is what it costs in the mode that it states."""

import numpy as np
import onnxruntime as ort
import pytest

import nfkit
from nfkit.energy import count_fused, load_curve
from nfkit.graph.fusion.fused import MODE
from nfkit.graph.fusion.modes.record import set_mode
from nfkit.plans.energy_analysis import Costs, analyse


@pytest.fixture(scope="module")
def switched(protected):
    """A file of three modes, with early answers; without a host's choice it is in the first level."""
    return protected("modes")


def test_an_idle_generator_reads_nothing(switched):
    curve = load_curve("stutz-2021")
    point = curve.at_rate(0.01)
    base, generator = count_fused(switched)
    low, nominal = (analyse(file, point, curve) for file in (switched, set_mode(switched, "nominal")))
    assert low.savings[0].by_accesses == pytest.approx(1 - point.energy - generator.accesses / base.accesses)
    assert nominal.savings[0].by_accesses == pytest.approx(1 - point.energy)
    assert nominal.savings[0].generator.accesses == 0 < generator.accesses
    assert nominal.savings[0].generator.parameters == low.savings[0].generator.parameters
    assert nominal.savings[0].verdict.startswith("hint-64, idle in the nominal mode, saves")


def test_an_idle_generator_spares_no_image(switched):
    curve = load_curve("stutz-2021")
    at_vmin = curve.at_rate(0.0)
    low, nominal = (Costs.of(file, curve, 0.75) for file in (switched, set_mode(switched, "nominal")))
    assert low.saving(at_vmin).by_accesses == pytest.approx(0.75 - low.generator.accesses / low.base.accesses)
    assert nominal.saving(at_vmin).by_accesses == 0


@pytest.mark.parametrize("target", ["onnxruntime", "ort-format"])
def test_exports_keep_the_mode(switched, small_images, tmp_path, target):
    data = nfkit.Dataset("noise", small_images, np.zeros(len(small_images), np.int64))
    path = tmp_path / f"nominal.{'ort' if target == 'ort-format' else 'onnx'}"
    parity = nfkit.export(set_mode(switched, "nominal"), target, path, data).checked.parity
    assert parity.equal == parity.samples == len(small_images)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"image": small_images})
    (wanted,) = session.run(None, {"image": small_images, MODE: np.array(0)})
    (low,) = session.run(None, {"image": small_images, MODE: np.array(1)})
    assert scores.tobytes() == wanted.tobytes() != low.tobytes()
