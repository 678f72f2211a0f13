"""Small protected files of every form: published, both ends, early answers in one file and in two."""

import numpy as np
import pytest

from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.modes.giving import with_modes
from nfkit.graph.fusion.modes.record import Mode
from nfkit.graph.fusion.scores import find_form
from nfkit.graph.fusion.trust import Trust
from nfkit.graph.fusion.two_files import front_and_back
from nfkit.graph.input.discovery import find_input

# A base with whatever files bring: codes, a function, a body, attributes of several kinds, metadata of its own.
BASE = """
<ir_version: 9, opset_import: ["" : 18, "own" : 1], metadata_props: ["owner" : "someone"], producer_name: "someone">
base (float[N, 2, 4, 4] image) => (float[N, 3] scores)
<float s = {0.0078125}, int8 z = {0}, float[3] s_w = {0.01, 0.02, 0.03}, int8[3] z_w = {0, 0, 0},
 float limit = {1000000}, int64[1] classes = {1}>
{
    image_q = QuantizeLinear (image, s, z)
    image_f = DequantizeLinear (image_q, s, z)
    w_f = DequantizeLinear <axis = 0> (w, s_w, z_w)
    c = Conv <pads = [1, 1, 1, 1]> (image_f, w_f)
    r = own.Bounded <least = 0.0> (c)
    p = GlobalAveragePool (r)
    f = Flatten (p)
    d_f = DequantizeLinear (d, s, z)
    l = MatMul (f, d_f)
    largest = ReduceMax <keepdims = 0> (l)
    high = Greater (largest, limit)
    bound = If (high) <
        then_branch = huge () => (float[N, 3] t) { t = Mul (l, s) },
        else_branch = usual () => (float[N, 3] e) { e = Identity (l) }
    >
    scores = Softmax <axis = 1> (bound)
}
<domain: "own", opset_import: ["" : 18]>
Bounded <least: float = 0.0> (x) => (y) { low = Constant <value_float: float = @least> () y = Max (x, low) }
"""

GENERATOR = """
<ir_version: 8, opset_import: ["" : 18]>
generator (float[N, 2, 4, 4] image) => (OUTPUT)
<float s = {0.015625}, float low = {-1}, float high = {1}>
{
    flat = Flatten (image)
    k_f = DequantizeLinear (k, s)
    evidence = MatMul (flat, k_f)
    TAIL
}
"""
PUSHES = ("float[N, 2, 4, 4] protected", "pushed = Add (image, image) protected = Clip (pushed, low, high)")
LOOKS = ("float[N, 3] evidence", "")

METADATA = {"nfkit.format": "1", "nfkit.generator": "hint-64"}


@pytest.fixture(scope="session")
def small_base(parse):
    """The base, which is not to be changed."""
    random = np.random.default_rng(11)
    return parse(BASE, w=random.integers(-128, 128, (3, 2, 3, 3), np.int8), d=random.integers(-99, 99, (3, 3), np.int8))


@pytest.fixture(scope="session")
def small_images():
    """60 images in [-1, 1]."""
    return np.random.default_rng(12).uniform(-1, 1, (60, 2, 4, 4)).astype(np.float32)


@pytest.fixture(scope="session")
def protected(parse, small_base, small_images, execute):
    """protected(form): a file of that form, as nfkit finishes it."""

    def build(form):
        output, tail = PUSHES if form in ("published", "pushing", "modes") else LOOKS
        kernel = np.random.default_rng(13).integers(-127, 128, (32, 3), np.int8)
        generator = parse(GENERATOR.replace("OUTPUT", output).replace("TAIL", tail), k=kernel)
        spec = find_input(small_base, layout="NCHW", value_range=(-1, 1))
        answer = None
        if form != "published":
            stated = find_form(small_base, execute(small_base, {"image": small_images})[0])
            threshold = 0.9 if form in ("early", "front", "back", "modes") else None
            answer = Answer(stated, Trust(0.7, 0.3, 0.6, 1.5), threshold)
        fused = fuse(generator, small_base, spec, METADATA, answer)
        if form == "modes":
            return with_modes(fused, [Mode("low", 0.01, answer.trust), Mode("lower", 0.02, Trust(0.5, 0.4, 0.9, 1.5))])
        return front_and_back(fused)[form == "back"] if form in ("front", "back") else fused

    return build
