"""What a target does not take is named by node or tensor, with a way out."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.deploy.targets.findings import findings
from nfkit.deploy.targets.known import TARGETS, find_target
from nfkit.errors import OptionError


def kinds(model, name, **settings):
    return {finding.kind: str(finding) for finding in findings(model, TARGETS[name], **settings)}


def test_a_plain_model(convnet):
    model = convnet(21)
    for name in ("onnxruntime", "ort-format", "onnxruntime-web", "openvino", "reference"):
        assert findings(model, TARGETS[name]) == ()
    assert kinds(model, "tract") == {"batch": "input 'image': a batch of any size; fixed to one sample"}


@pytest.mark.parametrize(("written", "says"), [(13, "version 13; lifted to 21"), (18, "version 18; lifted to 21")])
def test_versions_of_the_operators(convnet, written, says):
    assert says in kinds(convnet(written), "reference")["opset"]
    assert "opset" not in kinds(convnet(written), "openvino")
    assert "lowered to 13" in kinds(convnet(18), "openvino", opset=13)["opset"]


CONTRIBUTED = """
<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
codes (float[N, 4] x) => (float[N, 4] y)
<float s = {0.5}, uint8 z = {128}>
{
    q = QuantizeLinear (x, s, z)
    [sum] a = com.microsoft.QLinearAdd (q, s, z, q, s, z, s, z)
    [next] b = com.microsoft.QLinearAdd (a, s, z, q, s, z, s, z)
    [mean] m = com.microsoft.QLinearSigmoid (b, s, z, s, z)
    y = DequantizeLinear (m, s, z)
}
"""


def test_operators_of_onnx_runtime_s_own():
    model = ir.from_proto(onnx.parser.parse_model(CONTRIBUTED))
    assert kinds(model, "onnxruntime") == {}
    (finding,) = findings(model, TARGETS["openvino"])  # which has QLinearAdd
    assert (finding.where, finding.refused) == ("node 'mean'", True)
    assert "export the model as QDQ" in str(finding)
    refused = [finding.where for finding in findings(model, TARGETS["tract"]) if finding.refused]
    assert refused == ["node 'sum'", "node 'mean'"]  # one for each operator


def test_packed_types_and_blocks(parse):
    text = """
    <ir_version: 10, opset_import: ["" : 21]>
    g (float[1, 4] x) => (float[1, 2] y)
    <int4[4, 2] w = {1, 2, 3, -4, 5, 6, 7, -8}, float[2, 2] s = {0.5, 0.25, 0.5, 0.25}>
    {
        [unpack] f = DequantizeLinear <axis = 0, block_size = 2> (w, s)
        y = MatMul (x, f)
    }
    """
    model = ir.from_proto(onnx.parser.parse_model(text))
    found = {finding.kind: finding for finding in findings(model, TARGETS["tract"])}
    assert found["type"].where == "tensor 'w'"
    assert "int4" in found["type"].what
    assert found["operator"].where == "node 'unpack'"
    assert all(finding.refused for finding in found.values())
    assert findings(model, TARGETS["openvino"]) == ()


def test_openvino_and_convolutions_of_codes(parse):
    text = """
    <ir_version: 8, opset_import: ["" : 18]>
    g (uint8[1, 1, 2, 2] x) => (uint8[1, 2, 1, 1] y)
    <float s = {0.5}, uint8 z = {128}>
    { [conv] y = QLinearConv (x, s, z, w, ws, wz, s, z) }
    """
    for scales, refused in ((2, True), (1, False)):
        model = parse(
            text, w=np.ones((2, 1, 2, 2), np.int8), ws=np.ones(scales, np.float32), wz=np.zeros(scales, np.int8)
        )
        assert [finding.where for finding in findings(model, TARGETS["openvino"])] == ["node 'conv'"] * refused


def test_a_softmax_matters_to_tract(parse):
    text = """
    <ir_version: 8, opset_import: ["" : 18]>
    g (float[1, 4] x) => (float[1, 4] y)
    { [shares] y = Softmax (x) }
    """
    assert "node 'shares'" in kinds(parse(text), "tract")["softmax"]
    assert kinds(parse(text), "openvino") == {}


def test_a_name_that_is_no_target():
    with pytest.raises(OptionError, match="unknown target 'mnn': choose one of onnxruntime, ort-format"):
        find_target("mnn")
