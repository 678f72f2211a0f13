"""Quantisers that no runtime here has: named with their nodes and the way out, wherever a model comes in."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.access.runtime import Runner
from nfkit.energy import count
from nfkit.errors import UnsupportedError
from nfkit.graph.memory.foreign import vendor_operators
from nfkit.graph.memory.inventory import inventory
from nfkit.graph.memory.sites import fault_sites
from nfkit.graph.quantised.preparation import refuse_quantised
from nfkit.learn.gradients.obstacles import refuse_unsupported

# One layer of AMD Quark's, one in standard form: faults in the second alone would be half a chip.
MIXED = """
<ir_version: 8, opset_import: ["" : 18, "com.amd.quark" : 1]>
g (float[N, 6] x) => (float[N, 4] y) <float s = {0.5}, int8 z = {0}>
{
    [first] w_f = com.amd.quark.ExtendedDequantizeLinear <axis = 0> (w, s, z)
    h = MatMul (x, w_f)
    v_f = DequantizeLinear (v, s, z)
    y = MatMul (h, v_f)
}
"""


@pytest.fixture(scope="module")
def mixed():
    """The model, whose file the parser of other tests would check."""
    proto = onnx.parser.parse_model(MIXED)
    for name, shape in (("w", (6, 6)), ("v", (6, 4))):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(shape, np.int8), name))
    return ir.from_proto(proto)


@pytest.mark.parametrize(
    "use", [fault_sites, Runner, count, refuse_quantised, refuse_unsupported], ids=lambda use: use.__name__
)
def test_every_way_in_names_nodes_and_way_out(mixed, use):
    match = r"com\.amd\.quark::ExtendedDequantizeLinear in node 'first'.*quant_format=QuantFormat\.QDQ"
    with pytest.raises(UnsupportedError, match=match):
        use(mixed)


def test_the_inventory_says_why_the_weight_is_no_site(mixed):
    reasons = {entry.name: entry.reason for entry in inventory(mixed)}
    assert reasons["w"] == "integers behind operators of another maker (com.amd.quark::ExtendedDequantizeLinear)"
    assert reasons["v"] is None


def test_functions_of_the_model_are_no_makers(parse):
    model = parse(
        """
        <ir_version: 8, opset_import: ["" : 18, "mine" : 1]>
        g (float[N, 6] x) => (float[N, 4] y) <float s = {0.5}> {
            f = mine.QuantiseBack (w, s)
            y = MatMul (x, f)
        }
        <domain: "mine", opset_import: ["" : 18]>
        QuantiseBack (c, s) => (f) { f = DequantizeLinear (c, s) }
        """,
        w=np.ones((6, 4), np.int8),
    )
    assert vendor_operators(model) == []
    assert [site.name for site in fault_sites(model)] == ["w"]
