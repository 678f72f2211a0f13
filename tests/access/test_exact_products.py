import numpy as np
import onnx
import onnxruntime
import pytest

from nfkit.access.runtime import Runner
from nfkit.model import load

PRODUCT = """
<ir_version: 10, opset_import: ["" : 18]>
product ({left}[N, 256] a) => (int32[N, 16] y) {{ y = MatMulInteger (a, b) }}
"""


@pytest.mark.skipif(
    onnxruntime.__version__.split(".")[:2] < ["1", "32"], reason="the option is not trusted in older versions"
)
@pytest.mark.parametrize(("left", "right"), [("uint8", "int8"), ("int8", "int8"), ("uint8", "uint8")])
def test_products_of_extreme_codes_do_not_saturate(left, right):
    b = np.full((256, 16), np.iinfo(right).max, right)
    a = np.full((4, 256), np.iinfo(left).max, left)
    proto = onnx.parser.parse_model(PRODUCT.format(left=left, right=right))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(b, "b"))
    expected = a.astype(np.int32) @ b.astype(np.int32)
    assert np.array_equal(Runner(load(proto), level="all")(a), expected)
