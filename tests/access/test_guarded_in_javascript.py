"""The example in JavaScript answers as `nfkit.Guarded` does, and asks for the same samples, in node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from nfkit.access.base import FunctionBase, GraphBase
from nfkit.access.guarded import Guarded
from nfkit.data.download import cache_folder
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.front import build_front
from nfkit.graph.fusion.scores import form_of
from nfkit.graph.fusion.trust import Trust
from nfkit.graph.input.discovery import find_input
from nfkit.model import save
from nfkit.pages.web_runtime import PUBLISHED, find_web_runtime

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "guarded.mjs"
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


@pytest.mark.parametrize(("transform", "threshold", "shares"), [(True, 0.5, False), (False, None, True)])
def test_it_answers_as_guarded_does(convnet, parse, tmp_path, transform, threshold, shares):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    archive = cache_folder() / "onnxruntime-web" / PUBLISHED.url.rpartition("/")[2]
    if not archive.exists():
        pytest.skip(f"{archive.name} is not in the cache: nfkit page fetches it once")
    runtime = find_web_runtime()
    x = np.random.default_rng(2).uniform(-1, 1, (40, 2, 4, 4)).astype(np.float32)
    model, generator = convnet(), parse(PUSHES, k=np.random.default_rng(4).integers(-90, 91, (32, 3), np.int8))
    open_base = GraphBase(model, threads=1)
    base = FunctionBase(lambda images: softmax(open_base(images), axis=1), open_base.about) if shares else open_base
    answer = Answer(form_of(base(x)), Trust(sharpness=0.7, doubt=0.3, weight=0.6, temperature=1.5), threshold)
    front = build_front(generator, find_input(model), {}, answer, transform=transform)
    guarded = Guarded(front, base)
    expected = guarded(x).argmax(1)
    save(front, tmp_path / "front.onnx")
    save(model, tmp_path / "base.onnx")
    (tmp_path / "ort.mjs").write_bytes(runtime.script)
    (tmp_path / "ort.wasm").write_bytes(runtime.wasm)
    (tmp_path / "guarded.mjs").write_bytes(EXAMPLE.read_bytes())
    (tmp_path / "run.mjs").write_text(RUN.replace("SHARES", json.dumps(shares)))
    (tmp_path / "answer.json").write_text(front.metadata_props["nfkit.answer"])
    (tmp_path / "images.json").write_text(json.dumps({"dims": x.shape, "data": x.ravel().tolist()}))
    done = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    found = json.loads(done.stdout)
    assert found["classes"] == expected.tolist()
    assert found["asked"] == guarded.asked
    assert (0 < guarded.asked < 40) == (threshold is not None)
