"""A base behind its front answers as the fused file does, and is asked only where it has to be."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from nfkit.access.base import Description, FunctionBase, GraphBase, Tensor
from nfkit.access.guarded import Guarded
from nfkit.access.server import Server
from nfkit.errors import ModelError
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.front import build_front, front_of
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.scores import form_of
from nfkit.graph.fusion.trust import Trust
from nfkit.graph.input.discovery import find_input
from nfkit.model import save
from nfkit.pages.web_runtime import SCRIPT, WASM

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "guarded.mjs"

TRUST = Trust(sharpness=0.7, doubt=0.3, weight=0.6, temperature=1.5)
PUSHES = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 2, 4, 4] image) => (float[N, 2, 4, 4] protected)
<float s = {0.015625}, float low = {-1}, float high = {1}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
    pushed = Add (image, image)
    protected = Clip (pushed, low, high)
}
"""
RUN = """
import { readFileSync } from "node:fs";
import * as ort from "./ort.mjs";
import { Guarded } from "./guarded.mjs";
ort.env.wasm.wasmBinary = readFileSync("ort.wasm").buffer;
ort.env.wasm.numThreads = 1;
const load = (name) => ort.InferenceSession.create(Uint8Array.from(readFileSync(name)));
const [front, base] = [await load("front.onnx"), await load("base.onnx")];
const ask = async (x) => {
  const scores = (await base.run({ [base.inputNames[0]]: x }))[base.outputNames[0]];
  return SHARES ? scores.data.map(Math.exp).map((e, i, all) => e / sum(all, i, scores.dims[1])) : scores.data;
};
const sum = (all, i, size) => all.slice(i - (i % size), i - (i % size) + size).reduce((a, b) => a + b);
const images = JSON.parse(readFileSync("images.json"));
const x = new ort.Tensor("float32", Float32Array.from(images.data), images.dims);
const answer = JSON.parse(readFileSync("answer.json"));
console.log(JSON.stringify(await new Guarded(ort, front, ask, answer).classify(x)));
"""
IMAGES = np.random.default_rng(2).uniform(-1, 1, (40, 2, 4, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def generator(parse):
    return parse(PUSHES, k=np.random.default_rng(4).integers(-90, 91, (32, 3), np.int8))


class Counting:
    """A base that remembers what it was asked."""

    def __init__(self, base):
        self.base, self.about, self.graph, self.questions = base, base.about, None, []

    def __call__(self, x):
        self.questions.append(x)
        return self.base(x)


@pytest.fixture
def setting(convnet, generator):
    """setting(threshold): base, its front, and the fused model."""

    def build(threshold=None):
        model = convnet()
        spec, base = find_input(model), Counting(GraphBase(model, threads=1))
        answer = Answer(form_of(base.base(IMAGES)), TRUST, threshold)
        return base, build_front(generator, spec, {}, answer), fuse(generator, model, spec, {}, answer), spec

    return build


@pytest.mark.parametrize("threshold", [None, 0.5, 0.9])
def test_it_answers_as_the_fused_file(setting, threshold):
    base, front, fused, _ = setting(threshold)
    guarded, whole = Guarded(front, base), GraphBase(fused, threads=1)
    ours, theirs = guarded(IMAGES), whole(IMAGES)
    assert np.array_equal(ours.argmax(1), theirs.argmax(1))
    np.testing.assert_allclose(ours - ours.max(1, keepdims=True), theirs - theirs.max(1, keepdims=True), atol=1e-4)
    asked = sum(map(len, base.questions))
    assert (guarded.asked, guarded.spared) == (asked, len(IMAGES) - asked)
    assert (0 < asked < len(IMAGES)) == (threshold is not None)


def test_an_answer_does_not_depend_on_its_company(setting):
    base, front, _, _ = setting(0.5)
    guarded = Guarded(front, base)
    together = guarded(IMAGES)
    alone = np.concatenate([guarded(IMAGES[i : i + 1]) for i in range(len(IMAGES))])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_a_base_behind_an_address(setting, connect, tmp_path):
    base, front, _, _ = setting(0.5)
    path = save(front, tmp_path / "front.onnx")
    with Server(base.base, "net") as server:
        endpoint = connect(server.address, batch=64)
        guarded = Guarded(path, endpoint)
        np.testing.assert_allclose(guarded(IMAGES), Guarded(front, base)(IMAGES), atol=1e-5)
        assert endpoint.budget.queries == guarded.asked < len(IMAGES)
    assert guarded.about.classes == 3
    assert guarded.about.identity != endpoint.about.identity
    assert guarded(IMAGES[:0]).shape == (0, 3)


def test_a_base_that_names_its_best_class(setting, generator):
    base, _, _, spec = setting()
    named = FunctionBase(lambda x: base(x).argmax(1), Description("named", "1", base.about.input, 3, "top-1"))
    front = build_front(generator, spec, {}, Answer(form_of(named(IMAGES)), TRUST))
    answers = Guarded(front, named)(IMAGES)
    assert np.isfinite(answers).all()
    assert len(np.unique(answers.argmax(1))) > 1


def test_a_base_alone_and_a_transform_alone(setting, generator, residual_generator, convnet):
    base, _, _, spec = setting()
    only = build_front(generator, spec, {}, Answer(form_of(base(IMAGES)), Trust(weight=0.0)), transform=False)
    assert np.array_equal(Guarded(only, base)(IMAGES), base(IMAGES))
    fused = fuse(residual_generator(2, 4, 4), convnet(), spec, {})
    expected = GraphBase(fused, threads=1)(IMAGES)
    ours = Guarded(front_of(fused, spec), base)(IMAGES)
    assert np.array_equal(ours.argmax(1), expected.argmax(1))


def test_fronts_of_other_bases(setting):
    base, front, fused, _ = setting()
    for changed, said in (
        (Description("d", "1", Tensor("x", "uint8", (-1, 2, 4, 4)), 3), "takes float32 .* another base"),
        (Description("d", "1", Tensor("x", "float32", (-1, 2, 5, 5)), 3), "another base"),
        (Description("d", "1", base.about.input, 4), "tells 3 classes apart, d 4"),
    ):
        with pytest.raises(ModelError, match=said):
            Guarded(front, FunctionBase(lambda x: x, changed))
    with pytest.raises(ModelError, match="this model is no front"):
        Guarded(fused, base)


def test_no_torch_is_needed():
    import sys

    script = "import sys, nfkit\nnfkit.Guarded, nfkit.open_endpoint\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_at_the_nominal_voltage_the_base_answers_alone(setting):
    base, front, _, _ = setting(0.4)
    guarded = Guarded(front, base, nominal=True)
    assert guarded(IMAGES).tobytes() == base.base(IMAGES).tobytes()
    assert (guarded.asked, guarded.spared) == (len(IMAGES), 0)
    assert base.questions[0] is IMAGES
    guarded.nominal = False
    assert guarded(IMAGES).tobytes() == Guarded(front, base)(IMAGES).tobytes()


@pytest.mark.parametrize(("transform", "threshold", "shares"), [(True, 0.5, False), (False, None, True)])
def test_javascript_answers_alike(convnet, generator, web_runtime, tmp_path, transform, threshold, shares):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    model = convnet()
    open_base = GraphBase(model, threads=1)
    base = FunctionBase(lambda images: softmax(open_base(images), axis=1), open_base.about) if shares else open_base
    answer = Answer(form_of(base(IMAGES)), TRUST, threshold)
    front = build_front(generator, find_input(model), {}, answer, transform=transform)
    guarded = Guarded(front, base)
    expected = guarded(IMAGES).argmax(1)
    save(front, tmp_path / "front.onnx")
    save(model, tmp_path / "base.onnx")
    shutil.copy(web_runtime / SCRIPT, tmp_path / "ort.mjs")
    shutil.copy(web_runtime / WASM, tmp_path / "ort.wasm")
    shutil.copy(EXAMPLE, tmp_path)
    (tmp_path / "run.mjs").write_text(RUN.replace("SHARES", json.dumps(shares)))
    (tmp_path / "answer.json").write_text(front.metadata_props["nfkit.answer"])
    (tmp_path / "images.json").write_text(json.dumps({"dims": IMAGES.shape, "data": IMAGES.ravel().tolist()}))
    done = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    found = json.loads(done.stdout)
    assert found["classes"] == expected.tolist()
    assert found["asked"] == guarded.asked
    assert (0 < guarded.asked < len(IMAGES)) == (threshold is not None)
