"""Where the codes lie in a serialised model: other codes put in there are other codes in the model."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.graph.injection.inject import with_codes
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.model import load
from nfkit.pages.patchable import Patchable


def put_together(patchable, stored):
    content = bytearray(patchable.content)
    for offset, held in zip(patchable.offsets, stored, strict=True):
        assert not any(content[offset : offset + len(held)])
        content[offset : offset + len(held)] = held
    return ir.from_proto(onnx.load_from_string(bytes(content)))


def check(model):
    sites = fault_sites(model)
    before = {site.name: codes(model, site) for site in sites}
    patchable = Patchable.of(model, sites)
    again = put_together(patchable, patchable.codes)
    assert {n: a.tolist() for n, a in before.items()} == {s.name: codes(again, s).tolist() for s in fault_sites(again)}
    random = np.random.default_rng(0)
    other = {name: random.permutation(a.ravel()).reshape(a.shape) for name, a in before.items()}
    wanted = with_codes(model, other)
    patched = put_together(patchable, Patchable.of(wanted, sites).codes)
    assert all(codes(patched, s).tolist() == other[s.name].tolist() for s in fault_sites(patched))
    # All but the codes is as it was.
    assert Patchable.of(wanted, sites).content == patchable.content
    assert all(np.array_equal(codes(model, site), before[site.name]) for site in sites)


@pytest.mark.parametrize("opset", [13, 21])
def test_initializers(convnet, opset):
    check(convnet(opset))


def test_the_model_of_the_zoo(zoo):
    check(zoo.model)


CONSTANT = """
<ir_version: 10, opset_import: ["" : 21]>
constant (float[N, 6] x) => (float[N, 3] y)
<float s = {0.5}>
{
    w = Constant <value = int8[6, 3] {1, -2, 3, 4, -5, 6, 7, 8, 9, 10, 11, -12, 13, 14, 15, 16, 17, -18}> ()
    w_f = DequantizeLinear (w, s)
    y = MatMul (x, w_f)
}
"""


def test_constants_and_entries_instead_of_bytes():
    # The parser stores the codes as a list of int32 entries, in which no code is a piece of memory.
    proto = onnx.parser.parse_model(CONSTANT)
    assert not proto.graph.node[0].attribute[0].t.raw_data
    check(ir.from_proto(proto))


def test_packed_codes_of_odd_number():
    proto = onnx.parser.parse_model(CONSTANT)
    values = onnx.numpy_helper.to_array(proto.graph.node[0].attribute[0].t)[:5] % 7
    packed = onnx.helper.make_tensor("w", onnx.TensorProto.INT4, values.shape, values.ravel().tolist())
    proto.graph.node[0].attribute[0].t.CopyFrom(packed)
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5
    check(ir.from_proto(proto))


def test_external_data_comes_into_the_page(convnet, tmp_path):
    proto = ir.to_proto(convnet())
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0)
    check(load(tmp_path / "m.onnx"))
