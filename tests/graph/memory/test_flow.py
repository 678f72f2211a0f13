"""Weights behind whatever exporters put between the stored codes and the layer that reads them.

Each model multiplies x by a matrix that the graph makes of stored codes. NumPy makes the same matrix in the test, so
that sites, faults, gradients and energy are compared with what was computed without nfkit.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest

from nfkit.access.runtime import Runner
from nfkit.energy import count
from nfkit.faults import BitErrors, Chip
from nfkit.graph.injection.inject import inject
from nfkit.graph.memory.coverage import coverage
from nfkit.graph.memory.sites import codes, fault_sites, find_sites
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.learn.gradients.obstacles import find_unsupported

HEADER = '<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1, "own" : 1]>\n'
S = np.float32(0.5)


def drawn(*shape, dtype=np.int8, seed=0, low=None, high=None):
    info = np.iinfo(dtype)
    low, high = info.min if low is None else low, info.max + 1 if high is None else high
    return np.random.default_rng(seed).integers(low, high, shape, dtype)


@dataclass(frozen=True)
class Case:
    """A graph from `float[N, 4] x` to `y`, and the matrix [4, M] that it multiplies by.

    Attributes:
        body: Nodes that make `m` of stored codes; the product is added.
        matrix: The matrix, made of the codes by name.
        arrays: Initializers.
        constants: Initializers in ONNX text.
        sites: Weight sites.
        tail: Functions.
    """

    body: str
    matrix: object
    arrays: dict = field(default_factory=lambda: {"w": drawn(4, 3)})
    constants: str = ""
    sites: tuple = ("w",)
    tail: str = ""

    def build(self, parse):
        constants = f"<float s = {{0.5}}{', ' + self.constants if self.constants else ''}>"
        nodes = f"{{ {self.body} [layer] y = MatMul (x, m) }} {self.tail}"
        return parse(f"{HEADER}g (float[N, 4] x) => (float[N, M] y) {constants} {nodes}", **self.arrays)


def f32(array):
    return array.astype(np.float32)


MASK = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 1], [1, 1, 1]], bool)

CASES = {
    # What Brevitas exports: the codes are read within bounds, whatever the memory returns.
    "Clip": Case(
        "c = Clip (w, low, high) m = DequantizeLinear (c, s)",
        lambda c: f32(np.clip(c["w"], -7, 7)) * S,
        constants="int8 low = {-7}, int8 high = {7}",
    ),
    "Clip of one bound, in a function": Case(
        "m = own.Read (w, s)",
        lambda c: f32(np.minimum(c["w"], 7)) * S,
        tail='<domain: "own", opset_import: ["" : 18]> Read (q, t) => (f) '
        "{ h = Constant <value = int8 {7}> () c = Clip (q, , h) f = DequantizeLinear (c, t) }",
    ),
    "Min and Max": Case(
        "a = Max (w, low) c = Min (high, a) m = DequantizeLinear (c, s)",
        lambda c: f32(np.clip(c["w"], -7, 7)) * S,
        constants="int8 low = {-7}, int8 high = {7}",
    ),
    # Hardware wants multiples: what is filled in is no memory.
    "Pad of codes, the filler not 0": Case(
        "p = Pad (w, pads, code) m = DequantizeLinear (p, s, z)",
        lambda c: (f32(np.pad(c["w"], ((0, 1), (0, 2)), constant_values=9)) - 9) * S,
        {"w": drawn(3, 3, dtype=np.uint8)},
        "int64[4] pads = {0, 0, 1, 2}, uint8 code = {9}, uint8 z = {9}",
    ),
    "Pad of one axis, then Reshape with -1": Case(
        "p = Pad (w, pads, code) r = Reshape (p, shape) m = DequantizeLinear (r, s)",
        lambda c: f32(np.pad(c["w"], (1, 1), constant_values=5).reshape(4, 3)) * S,
        {"w": drawn(10)},
        "int64[2] pads = {1, 1}, int8 code = {5}, int64[2] shape = {4, -1}",
    ),
    "Pad of values": Case(
        "f = DequantizeLinear (w, s) m = Pad (f, pads)",
        lambda c: np.pad(f32(c["w"]) * S, ((0, 0), (1, 0))),
        constants="int64[4] pads = {0, 1, 0, 0}",
    ),
    # Pruning masks.
    "Where over values": Case(
        "f = DequantizeLinear (w, s) m = Where (mask, f, zero)",
        lambda c: np.where(MASK, f32(c["w"]) * S, 0),
        {"w": drawn(4, 3), "mask": MASK},
        "float zero = {0.0}",
    ),
    "Where over codes, the zero point elsewhere": Case(
        "c = Where (mask, w, z) m = DequantizeLinear (c, s, z)",
        lambda c: (f32(np.where(MASK, c["w"], 128)) - 128) * S,
        {"w": drawn(4, 3, dtype=np.uint8), "mask": MASK},
        "uint8 z = {128}",
    ),
    "Where, the filler first and as large": Case(
        "f = com.microsoft.DequantizeLinear (w, s) m = Where (mask, none, f)",
        lambda c: np.where(MASK, 0, f32(c["w"]) * S),
        {"w": drawn(4, 3), "mask": MASK, "none": np.zeros((4, 3), np.float32)},
    ),
    "Where of two weights": Case(
        "a = DequantizeLinear (w, s) b = DequantizeLinear (v, s) m = Where (mask, a, b)",
        lambda c: np.where(MASK, f32(c["w"]), f32(c["v"])) * S,
        {"w": drawn(4, 3), "v": drawn(4, 3, seed=5), "mask": MASK},
        sites=("w", "v"),
    ),
    "Mul by a mask of floats": Case(
        "f = DequantizeLinear (w, s) m = Mul (f, mask)",
        lambda c: f32(c["w"]) * S * MASK,
        {"w": drawn(4, 3), "mask": f32(MASK)},
    ),
    "Mul by a mask of bytes": Case(
        "f = DequantizeLinear (w, s) k = Cast <to = 1> (mask) m = Mul (k, f)",
        lambda c: f32(c["w"]) * S * MASK,
        {"w": drawn(4, 3), "mask": MASK.astype(np.uint8)},
    ),
    # Several of one, one of several.
    "Tile": Case(
        "f = DequantizeLinear (w, s) m = Tile (f, times)",
        lambda c: np.tile(f32(c["w"]) * S, (2, 2)),
        {"w": drawn(2, 3)},
        "int64[2] times = {2, 2}",
    ),
    "Expand": Case(
        "e = Expand (w, shape) m = DequantizeLinear (e, s)",
        lambda c: np.broadcast_to(f32(c["w"]) * S, (4, 3)),
        {"w": drawn(4, 1)},
        "int64[2] shape = {4, 3}",
    ),
    "Gather of constant indices": Case(
        "g = Gather (w, rows) m = DequantizeLinear (g, s)",
        lambda c: f32(c["w"])[[2, 0, 0, 1]] * S,
        {"w": drawn(3, 3)},
        "int64[4] rows = {2, 0, 0, 1}",
    ),
    "Slice and Concat": Case(
        "a = Slice (w, one, two) b = Slice (w, none, one) j = Concat <axis = 0> (a, b, v) m = DequantizeLinear (j, s)",
        lambda c: f32(np.concatenate([c["w"][1:2], c["w"][:1], c["v"]])) * S,
        {"w": drawn(2, 3), "v": drawn(2, 3, seed=4)},
        "int64[1] none = {0}, int64[1] one = {1}, int64[1] two = {2}",
        sites=("w", "v"),
    ),
    "Split": Case(
        "a, b = Split <axis = 1> (w, sizes) f = DequantizeLinear (b, s) m = Transpose (f)",
        lambda c: f32(c["w"])[:, 2:].T * S,
        {"w": drawn(3, 6)},
        "int64[2] sizes = {2, 4}",
    ),
    "DepthToSpace": Case(
        "d = DepthToSpace <blocksize = 2> (w) r = Reshape (d, shape) m = DequantizeLinear (r, s)",
        lambda c: f32(c["w"].reshape(2, 2, 3, 1).transpose(2, 0, 3, 1).reshape(6, 2).reshape(4, 3)) * S,
        {"w": drawn(1, 4, 3, 1)},
        "int64[2] shape = {4, 3}",
    ),
    "ScatterND into zeros": Case(
        "f = DequantizeLinear (w, s) m = ScatterND (none, rows, f)",
        lambda c: np.stack([np.zeros(3), f32(c["w"][1]) * S, np.zeros(3), f32(c["w"][0]) * S]).astype(np.float32),
        {"w": drawn(2, 3), "none": np.zeros((4, 3), np.float32), "rows": np.array([[3], [1]])},
    ),
    "Trilu": Case(
        "f = DequantizeLinear (w, s) m = Trilu <upper = 0> (f)",
        lambda c: np.tril(f32(c["w"]) * S),
    ),
    # Dequantised by arithmetic, the operands in any order.
    "Mul, the scale first": Case(
        "f = Cast <to = 1> (w) m = Mul (t, f)",
        lambda c: f32(c["w"]) * np.array([0.5, 0.25, 2], np.float32),
        constants="float[3] t = {0.5, 0.25, 2.0}",
    ),
    "Sub, then Mul with the scale first": Case(
        "f = Cast <to = 1> (w) k = Cast <to = 1> (z) d = Sub (f, k) m = Mul (s, d)",
        lambda c: (f32(c["w"]) - 7) * S,
        {"w": drawn(4, 3, dtype=np.uint8), "z": np.array([7, 7, 7], np.uint8)},
    ),
    "the zero point minus the codes": Case(
        "f = Cast <to = 1> (w) d = Sub (z, f) m = Mul (d, t)",
        lambda c: (7 - f32(c["w"])) * -S,
        {"w": drawn(4, 3, dtype=np.uint8)},
        "float z = {7.0}, float t = {-0.5}",
    ),
    "Add, then Div": Case(
        "f = Cast <to = 1> (w) d = Add (z, f) m = Div (d, t)",
        lambda c: (f32(c["w"]) + 3) / np.float32(4),
        constants="float z = {3.0}, float t = {4.0}",
    ),
    "two scales": Case(
        "f = Cast <to = 1> (w) d = Mul (f, s) m = Mul (t, d)",
        lambda c: f32(c["w"]) * S * np.float32(0.25),
        constants="float t = {0.25}",
    ),
    # Computed with in other ways.
    "Neg and Abs": Case("f = DequantizeLinear (w, s) a = Abs (f) m = Neg (a)", lambda c: -np.abs(f32(c["w"]) * S)),
    "two halves of a byte": Case(
        'l = BitwiseAnd (w, low) h = BitShift <direction = "RIGHT"> (w, four) j = Concat <axis = 0> (l, h) '
        "f = Cast <to = 1> (j) d = Sub (f, z) m = Mul (d, s)",
        lambda c: (f32(np.concatenate([c["w"] & 15, c["w"] >> 4])) - 8) * S,
        {"w": drawn(2, 3, dtype=np.uint8)},
        "uint8 low = {15}, uint8 four = {4}, float z = {8.0}",
    ),
    "a product of two weights": Case(
        "a = DequantizeLinear (w, s) b = DequantizeLinear (v, s) m = MatMul (a, b)",
        lambda c: (f32(c["w"]) * S) @ (f32(c["v"]) * S),
        {"w": drawn(4, 2), "v": drawn(2, 3, seed=4)},
        sites=("w", "v"),
    ),
    # Stored elsewhere.
    "Constant nodes": Case(
        "w = Constant <value = int8[2, 3] {1, -2, 3, -40, 50, 60}> () p = Pad (w, pads) m = DequantizeLinear (p, s)",
        lambda c: f32(np.pad(c["w"], ((1, 1), (0, 0)))) * S,
        {},
        "int64[4] pads = {1, 0, 1, 0}",
    ),
    "the body of a constant If": Case(
        "[fork] m = If (yes) <then_branch = t () => (float[4, 3] o) "
        "<int8[2, 3] w = {1, -2, 3, -40, 50, 60}> { d = DequantizeLinear (w, s) o = Tile (d, times) }, "
        "else_branch = e () => (float[4, 3] p) { p = Identity (other) }>",
        lambda c: np.tile(f32(c["fork.then_branch/w"]) * S, (2, 1)),
        {"other": drawn(4, 3).astype(np.float32)},
        "bool yes = {1}, int64[2] times = {2, 1}",
        sites=("fork.then_branch/w",),
    ),
}
EVERY = [pytest.param(case, id=name) for name, case in CASES.items()]
X = np.random.default_rng(3).integers(-4, 5, (5, 4)).astype(np.float32) / 4


@pytest.mark.parametrize("case", EVERY)
def test_the_codes_are_found_and_their_faults_reach_the_layer(parse, case):
    model = case.build(parse)
    sites = [site for site in find_sites(model) if site.role == "weight"]
    assert {site.name for site in sites} == set(case.sites)
    assert all(site.consumers == ("layer",) for site in sites)
    stored = {site.name: codes(model, site) for site in sites}
    np.testing.assert_allclose(Runner(model, level="basic")(X), X @ case.matrix(stored), rtol=1e-6, atol=1e-6)
    chip, errors = Chip(50_000), BitErrors(0.3, "flip")
    faulty = inject(model, fault_sites(model), chip, errors, "baked")
    read = {site.name: chip.faults(site, errors).apply(stored[site.name]) for site in sites}
    expected = X @ case.matrix(read)
    assert not np.allclose(expected, X @ case.matrix(stored))
    np.testing.assert_allclose(Runner(faulty, level="basic")(X), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", EVERY)
def test_coverage_is_complete_and_energy_counts_the_bits_of_the_codes(parse, case):
    model = case.build(parse)
    held = sum(site.count for site in find_sites(model) if site.role == "weight")
    covered = coverage(model)
    if "fork" in case.body:  # the other branch holds floats, and energy names branches it does not look into
        return
    assert (covered.reached, covered.left_out) == (held, ())
    (layer,) = count(model).layers
    assert (layer.bits, layer.storage in case.sites, layer.depth) == (8, True, 4)


@pytest.mark.parametrize("case", EVERY)
def test_the_gradient_is_the_matrix_of_the_given_codes(parse, case):
    import torch

    model = case.build(parse)
    sites = fault_sites(model)
    assert find_unsupported(model) == []
    frozen = FrozenGraph(model, sites)
    chip, errors = Chip(7), BitErrors(0.2, "flip")
    read = {site.name: chip.faults(site, errors).apply(codes(model, site)) for site in sites}
    matrix = case.matrix(read)
    x = torch.from_numpy(X).requires_grad_()
    y = frozen(x, frozen.weights(read))
    np.testing.assert_allclose(y.detach(), X @ matrix, rtol=1e-5, atol=1e-5)
    y.sum().backward()
    np.testing.assert_allclose(x.grad, np.broadcast_to(matrix.sum(1), X.shape), rtol=1e-5, atol=1e-5)
