"""Every constant tensor has a role or a reason."""

import numpy as np

from nfkit.graph.memory.inventory import inventory

MIXED = """
<ir_version: 10, opset_import: ["" : 21]>
g (float[N, 4] x) => (float[N, 3] y) <float t = {0.5}, int8 z = {0}> {
    f = DequantizeLinear <axis = 1> (w, s, zs)
    h = MatMul (x, f)
    b_f = DequantizeLinear (b, t)
    i = Add (h, b_f)
    q = QuantizeLinear (v, t)
    v_f = DequantizeLinear (q, t)
    m = MatMul (i, v_f)
    a = Add (m, c)
    k = Constant <value = float[3] {1.0, 2.0, 3.0}> ()
    o = Mul (a, k)
    y = Reshape (o, shape)
}
"""


def test_all_tensors_are_listed_with_role_and_reason(parse):
    model = parse(
        MIXED,
        w=np.ones((4, 3), np.int8),
        s=np.ones(3, np.float32),
        zs=np.zeros(3, np.int8),
        b=np.ones(3, np.int32),
        v=np.eye(3, dtype=np.float32),
        c=np.ones(3, np.float32),
        shape=np.array([-1, 3], np.int64),
        spare=np.ones(3, np.float32),
        odd=np.ones(5, np.uint8),
    )
    found = {entry.name: (entry.role, entry.reason) for entry in inventory(model)}
    assert found == {
        "w": ("weight", None),
        "s": (None, "quantisation scales: registers, not memory"),
        "zs": ("zero_point", "zero points: registers, not memory"),
        "b": ("bias", "biases: hit on request (--biases)"),
        "v": (None, "floats that the graph quantises: no integers are stored, make them so with nfkit fold"),
        "c": (None, "floats: not stored as integers"),
        "shape": (None, "shapes, axes, indices and other data of the graph itself"),
        "spare": (None, "nothing reads them"),
        "odd": (None, "nothing reads them"),
        "k": (None, "floats: not stored as integers"),
    }


def test_integers_that_are_never_dequantised_name_their_reader(parse):
    model = parse(
        """
        <ir_version: 10, opset_import: ["" : 21]>
        g (uint8[N, 4] x) => (uint8[N, 4] y) { [mask] y = BitwiseAnd (x, bits) }
        """,
        bits=np.arange(4, dtype=np.uint8),
    )
    (entry,) = inventory(model)
    assert (entry.role, entry.reason) == (None, "integers that are never dequantised: read by mask (BitwiseAnd)")
    assert entry.to_dict()["shape"] == [4]
