"""Modes in one file: nominal is the base bit for bit, levels are the files that they were made of."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.dial import with_trust
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.fused import MODE, SEAL_KEY
from nfkit.graph.fusion.modes.giving import with_modes
from nfkit.graph.fusion.modes.record import Mode, mode_of, read_modes, set_mode
from nfkit.graph.fusion.modes.taking import plain
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.split import split
from nfkit.graph.fusion.trust import Trust
from nfkit.graph.identity import identify
from nfkit.graph.input.discovery import find_input
from nfkit.model import load, save, to_bytes

FORMS = (
    "logits", "probabilities", "log-probabilities", "spelt-out", "dequantised", "int8-probabilities", "uint8-logits",
    "int8-log", "qlinear", "deep", "deep-codes", "float16", "two-outputs",
)  # fmt: skip
LOW, LOWER = Trust(0.7, 0.3, 0.6, 1.5), Trust(0.4, 0.6, 1.2, 1.5)
LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


def session(model, level="ORT_ENABLE_BASIC"):
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(to_bytes(model), options, providers=["CPUExecutionProvider"])


def levels(threshold=None):
    return [Mode("low", 0.01, LOW, threshold), Mode("lower", 0.02, LOWER, threshold)]


@pytest.fixture(scope="module")
def fused_of(base_of, looker, images, execute):
    """fused_of(form, pushes, early): a fused model and its base; `pushes` is None where the base answers."""

    def build(form, pushes=False, early=False):
        base = base_of(form)
        spec = find_input(base, layout="NCHW", value_range=(-1, 1))
        stated = find_form(base, execute(base, {"image": images})[0])
        answer = None if pushes is None else Answer(stated, LOW, 0.9 if early else None)
        return fuse(looker(18, pushes is None or pushes), base, spec, {}, answer), base

    return build


CASES = [(form, pushes, False) for form in FORMS for pushes in (False, True)]
CASES += [(form, pushes, True) for form in FORMS if form != "two-outputs" for pushes in (False, True)]
CASES += [(form, None, False) for form in ("logits", "int8-probabilities", "float16", "two-outputs")]


@pytest.mark.parametrize(("form", "pushes", "early"), CASES)
def test_nominal_is_the_base_bit_for_bit(fused_of, images, form, pushes, early):
    fused, base = fused_of(form, pushes, early)
    modes = [Mode("low", 0.01)] if pushes is None else levels(0.9 if early else None)
    switched = with_modes(fused, modes)
    onnx.checker.check_model(ir.to_proto(switched), full_check=True)
    x = np.concatenate([images, np.random.default_rng(6).normal(0, 9, images.shape).astype(np.float32)])
    for level in LEVELS:
        wanted = session(base, level).run(None, {"image": x})
        got = session(switched, level).run(None, {"image": x, MODE: np.array(0)})
        for ours, theirs in zip(got, wanted, strict=True):
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            assert ours.tobytes() == theirs.tobytes(), level


@pytest.mark.parametrize(("form", "pushes", "early"), CASES)
def test_levels_are_the_files_that_they_were_made_of(fused_of, images, form, pushes, early):
    fused, _ = fused_of(form, pushes, early)
    if pushes is None:
        switched, alone = with_modes(fused, [Mode("low", 0.01)]), {1: fused}
    else:
        switched = with_modes(fused, levels(0.9 if early else None))
        alone = {1: with_trust(fused, LOW), 2: with_trust(fused, LOWER)}
    run = session(switched)
    for number, model in alone.items():
        wanted = session(model).run(None, {"image": images})
        got = run.run(None, {"image": images, MODE: np.array(number)})
        assert [v.tobytes() for v in got] == [v.tobytes() for v in wanted]
    default = run.run(None, {"image": images})
    assert default[0].tobytes() == run.run(None, {"image": images, MODE: np.array(1)})[0].tobytes()


@pytest.mark.parametrize(("form", "pushes", "early"), CASES[::5])
def test_modes_come_out_again(fused_of, tmp_path, form, pushes, early):
    fused, base = fused_of(form, pushes, early)
    modes = [Mode("low", 0.01)] if pushes is None else levels(0.9 if early else None)
    switched = load(save(with_modes(fused, modes), tmp_path / "p.onnx"))
    restored = plain(switched)
    assert identify(restored, lambda k: k != SEAL_KEY).differences(identify(fused, lambda k: k != SEAL_KEY)) == []
    assert to_bytes(split(switched)[1]) == to_bytes(base)
    assert to_bytes(split(switched)[0]) == to_bytes(split(fused)[0])


def test_the_default_is_part_of_the_file(fused_of, images, tmp_path):
    fused, base = fused_of("probabilities")
    switched = with_modes(fused, levels(), default="lower")
    assert mode_of(switched).name == "lower"
    nominal = load(save(set_mode(switched, "nominal"), tmp_path / "n.onnx"))
    assert [mode.name for mode in read_modes(nominal)] == ["nominal", "low", "lower"]
    assert read_modes(nominal)[2].trust == LOWER
    wanted = session(base).run(None, {"image": images})[0]
    assert session(nominal).run(None, {"image": images})[0].tobytes() == wanted.tobytes()
    with pytest.raises(OptionError, match="no mode 'high': choose from nominal, low, lower"):
        set_mode(switched, "high")


def test_what_cannot_be(fused_of, base_of):
    fused, base = fused_of("logits")
    with pytest.raises(ModelError, match="no generator"):
        with_modes(base, levels())
    with pytest.raises(ModelError, match="modes already"):
        with_modes(with_modes(fused, levels()), levels())
    with pytest.raises(OptionError, match="one level"):
        with_modes(fused, [])
    with pytest.raises(OptionError, match="one name"):
        with_modes(fused, [Mode("low", 0.01, LOW), Mode("low", 0.02, LOW)])
    with pytest.raises(OptionError, match="trust is given"):
        with_modes(fused, [Mode("low", 0.01)])
    assert read_modes(fused) == []
    with pytest.raises(ModelError, match="has no modes"):
        set_mode(fused, "nominal")
