"""The exported graph computes F(x) = clip(x + G(x), -1, 1), at the base's opset, and carries nothing else."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from nfkit.errors import UnsupportedError
from nfkit.learn.export import export_generator
from nfkit.learn.objective import protect
from nfkit.measure.session import Runner
from nfkit.model import to_bytes
from nfkit.models.generators import GENERATORS, build

# The smallest of each way to up-sample: repeated pixels, transposed convolutions, skips with concatenation.
SMALL = ("conv-s", "deconv-s", "unet-s")


@pytest.fixture(scope="module")
def trained():
    """trained(name, channels, size): a generator in evaluation mode whose batch norms have seen images."""

    def make(name, channels, size):
        torch.manual_seed(3)
        generator = build(name, channels, size).train()
        if name == "pattern":
            nn.init.normal_(generator.pattern)
        with torch.no_grad():
            for _ in range(3):
                generator(torch.rand(8, channels, *size) * 2 - 1)
        return generator.eval()

    return make


def assert_computes(model, generator, x):
    with torch.no_grad():
        expected = protect(generator, x).numpy()
    computed = Runner(model, level="basic")(x.numpy())
    assert computed.dtype == np.float32
    assert np.abs(computed).max() <= 1
    assert np.abs(computed - x.numpy()).mean() > 0.01  # a generator that does something
    # float32 sums of up to 1,152 terms in another order, through up to 15 layers.
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [28, 32])
@pytest.mark.parametrize("name", GENERATORS)
def test_exported_generator_computes_the_same(name, side, trained, images):
    generator = trained(name, 3, (side, side))
    model = export_generator(generator, (3, side, side), opset=18, batch="N")
    assert_computes(model, generator, images(5, 3, side, side))
    assert model.opset_imports == {"": 18}
    assert model.ir_version == 8  # the lowest that knows opset 18
    assert not [node for node in model.graph if node.op_type in ("QuantizeLinear", "BatchNormalization", "Constant")]


@pytest.mark.parametrize("name", SMALL)
def test_lowest_opset_and_a_size_to_pad(name, trained, images):
    generator = trained(name, 1, (20, 13))
    model = export_generator(generator, (1, 20, 13), opset=13, batch="N")
    assert_computes(model, generator, images(5, 1, 20, 13))
    assert model.opset_imports == {"": 13}
    assert model.ir_version == 7
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


@pytest.mark.parametrize("opset", [15, 21, 23])
def test_other_opsets(opset, trained, images):
    generator = trained("conv-s", 1, (8, 8))
    model = export_generator(generator, (1, 8, 8), opset=opset, batch="N")
    assert model.opset_imports == {"": opset}
    assert model.ir_version == onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert_computes(model, generator, images(5, 1, 8, 8))


@pytest.mark.parametrize("name", GENERATORS)
def test_int8_generator_is_close_and_stores_int8(name, trained, images):
    generator, x = trained(name, 3, (28, 28)), images(16, 3, 28, 28)
    model = export_generator(generator, (3, 28, 28), opset=18, batch="N", calibration=x.numpy())
    with torch.no_grad():
        expected = protect(generator, x).numpy()
    difference = np.abs(Runner(model, level="basic")(x.numpy()) - expected)
    # The residual spans about 2: a step of 8 bits is 0.008. Some fifteen layers each round to half a step of their
    # own, which adds up to a few steps on average and, where many coincide, to some ten.
    assert difference.mean() <= 0.03
    assert difference.max() <= 0.3
    assert (model.ir_version, dict(model.opset_imports)) == (8, {"": 18})

    weights = [n.inputs[1] for n in model.graph if n.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
    assert bool(weights) == (name != "pattern")
    for weight in weights:
        dequantize = weight.producer()
        assert dequantize.op_type == "DequantizeLinear"
        assert dequantize.inputs[0].is_initializer()
        assert dequantize.inputs[0].dtype == ir.DataType.INT8
    assert max((v.const_value.size for v in floats(model)), default=0) <= 3 * 28 * 28  # scales; or the pattern


def floats(model):
    return [v for v in model.graph.initializers.values() if v.dtype == ir.DataType.FLOAT]


def test_int8_at_the_lowest_opset(trained, images):
    generator, x = trained("unet-s", 1, (20, 13)), images(16, 1, 20, 13)
    model = export_generator(generator, (1, 20, 13), opset=13, batch=4, calibration=x.numpy())
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    with torch.no_grad():
        expected = protect(generator, x).numpy()
    computed = Runner(model, level="basic")(x.numpy())
    assert np.abs(computed).max() <= 1
    assert np.abs(computed - expected).mean() <= 0.03  # see above
    assert model.opset_imports == {"": 13}


@pytest.mark.parametrize(("batch", "rows"), [(4, 4), ("samples", "samples")])
def test_batch_axis_is_that_of_the_base(trained, images, batch, rows):
    generator = trained("conv-s", 1, (8, 8))
    model = export_generator(generator, (1, 8, 8), opset=18, batch=batch)
    (source,), (result,) = model.graph.inputs, model.graph.outputs
    assert (source.name, result.name) == ("image", "protected")
    for value in (source, result):
        assert value.dtype == ir.DataType.FLOAT
        assert list(value.shape) == [rows, 1, 8, 8]
    assert_computes(model, generator, images(7, 1, 8, 8))


@pytest.mark.parametrize("quantised", [False, True])
def test_file_holds_no_paths_and_no_comments(trained, images, quantised):
    x = images(8, 1, 8, 8).numpy() if quantised else None
    model = export_generator(trained("unet-s", 1, (8, 8)), (1, 8, 8), opset=18, batch="N", calibration=x)
    content = to_bytes(model)
    for path in (Path.home(), Path.cwd(), Path(torch.__file__).parent, Path(__file__).parents[2]):
        assert str(path).encode() not in content
    assert b".py" not in content
    assert not model.metadata_props
    assert not [node for node in model.graph if node.metadata_props or node.doc_string]


def test_generator_stays_as_it_is(trained):
    generator = trained("conv-s", 1, (8, 8)).train()
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    export_generator(generator, (1, 8, 8), opset=18, batch="N")
    assert generator.training
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())


def test_the_same_generator_gives_the_same_bytes(trained):
    first, second = (
        to_bytes(export_generator(trained("conv-s", 1, (8, 8)), (1, 8, 8), opset=18, batch="N")) for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("opset", [7, 11, 12])
def test_opset_below_the_lowest_is_refused_with_a_reason(trained, opset):
    with pytest.raises(UnsupportedError, match=rf"opset {opset}, a generator needs at least 13: lift the model"):
        export_generator(trained("conv-s", 1, (8, 8)), (1, 8, 8), opset=opset, batch="N")


def test_export_says_nothing(trained, capfd):
    export_generator(trained("conv-s", 1, (8, 8)), (1, 8, 8), opset=18, batch="N")
    assert capfd.readouterr() == ("", "")
