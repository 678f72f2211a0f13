"""The exported graph computes F(x) = clip(x + G(x), -1, 1), at the base's opset, and carries nothing else."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from nfkit.access.runtime import Runner
from nfkit.energy import count_macs
from nfkit.errors import UnsupportedError
from nfkit.graph.fusion.padding import windows_in_padding
from nfkit.learn.export import export_generator
from nfkit.learn.objective import protect
from nfkit.model import to_bytes
from nfkit.models.generators import PUBLISHED, build

GENERATORS = (*PUBLISHED, "hint-16", "pattern")

# Multiplications of the convolutions for one image of 3x32x32.
MACS = {
    "conv-l": 79_626_240,
    "conv-s": 10_036_224,
    "deconv-l": 50_298_880,
    "deconv-s": 11_501_568,
    "unet-l": 36_274_176,
    "unet-s": 9_191_424,
    "hint-16": 370_080,
    "pattern": 0,
}


def trained(name, channels, size):
    """A generator in evaluation mode whose batch norms have seen images."""
    torch.manual_seed(3)
    generator = build(name, channels, size, 5).train()
    if hasattr(generator, "pattern"):
        nn.init.normal_(generator.pattern)
    if hasattr(generator, "head"):
        nn.init.normal_(generator.head.weight)  # evidence that tells classes apart, as after training
    with torch.no_grad():
        for _ in range(3):
            generator(torch.rand(8, channels, *size) * 2 - 1)
    return generator.eval()


@pytest.fixture(scope="module")
def exported(images):
    """exported(name, channels, height, width, ...): generator and graph, each made once."""
    made = {}

    def export(name, *shape, opset=18, batch="N", int8=False):
        key = (name, shape, opset, batch, int8)
        if key not in made:
            generator = trained(name, shape[0], shape[1:])
            calibration = images(16, *shape).numpy() if int8 else None
            model = export_generator(generator, shape, opset=opset, batch=batch, calibration=calibration)
            made[key] = generator, model
        return made[key]

    return export


def assert_computes(model, generator, x):
    with torch.no_grad():
        expected = protect(generator, x).numpy()
    computed = Runner(model, level="basic")(x.numpy())
    assert computed.dtype == np.float32
    assert np.abs(computed).max() <= 1
    assert np.abs(computed - x.numpy()).mean() > 0.002  # a generator that does something
    # float32 sums of up to 1,152 terms in another order, through up to 15 layers.
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [28, 32])
@pytest.mark.parametrize("name", GENERATORS)
def test_exported_generator_computes_the_same(name, side, exported, images):
    generator, model = exported(name, 3, side, side)
    assert_computes(model, generator, images(5, 3, side, side))
    assert model.opset_imports == {"": 18}
    assert model.ir_version == 8  # the lowest that knows opset 18
    assert not [node for node in model.graph if node.op_type in ("QuantizeLinear", "BatchNormalization", "Constant")]


@pytest.mark.parametrize("name", GENERATORS)
def test_exported_generator_has_the_known_number_of_operations(name, exported):
    assert count_macs(exported(name, 3, 32, 32)[1]) == MACS[name]


@pytest.mark.parametrize("name", ["conv-s", "deconv-s"])
def test_lowest_opset_and_a_size_to_pad(name, exported, images):
    generator, model = exported(name, 1, 20, 13, opset=13)
    assert_computes(model, generator, images(5, 1, 20, 13))
    assert model.opset_imports == {"": 13}
    assert model.ir_version == 7
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


@pytest.mark.parametrize("opset", [15, 23])
def test_other_opsets(opset, exported, images):
    generator, model = exported("conv-s", 1, 8, 8, opset=opset)
    assert model.opset_imports == {"": opset}
    assert model.ir_version == onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert_computes(model, generator, images(5, 1, 8, 8))


@pytest.mark.parametrize("name", ["conv-s", "deconv-s", "unet-s", "unet-l", "hint-32", "pattern"])
def test_int8_generator_is_close_and_stores_int8(name, exported, images):
    generator, model = exported(name, 3, 28, 28, int8=True)
    x = images(16, 3, 28, 28)
    with torch.no_grad():
        expected = protect(generator, x).numpy()
    computed = Runner(model, level="basic")(x.numpy())
    assert np.abs(computed).max() <= 1
    # The residual spans about 2: a step of 8 bits is 0.008. Some fifteen layers each round to half a step of their
    # own, which adds up to a few steps on average and, where many coincide, to some ten.
    assert np.abs(computed - expected).mean() <= 0.03
    assert np.abs(computed - expected).max() <= 0.3
    assert (model.ir_version, dict(model.opset_imports)) == (8, {"": 18})

    weights = [n.inputs[1] for n in model.graph if n.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
    assert bool(weights) == (name != "pattern")
    for weight in weights:
        dequantize = weight.producer()
        assert dequantize.op_type == "DequantizeLinear"
        assert dequantize.inputs[0].is_initializer()
        assert dequantize.inputs[0].dtype == ir.DataType.INT8
        codes = dequantize.inputs[0].const_value.numpy().astype(int)
        assert np.abs(codes).max() == 63
        assert 2 * 255 * np.abs(codes).max() < 2**15  # two products never saturate in 16 bits


def test_int8_at_the_lowest_opset_in_batches_of_fixed_size(exported, images):
    generator, model = exported("unet-s", 1, 20, 13, opset=13, batch=4, int8=True)
    x = images(14, 1, 20, 13)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert model.opset_imports == {"": 13}
    with torch.no_grad():
        expected = protect(generator, x).numpy()
    assert np.abs(Runner(model, level="basic")(x.numpy()) - expected).mean() <= 0.03  # see above


@pytest.mark.parametrize(("batch", "opset"), [(4, 18), ("N", 15)])
def test_batch_axis_is_that_of_the_base(exported, images, batch, opset):
    generator, model = exported("conv-s", 1, 8, 8, batch=batch, opset=opset)
    (source,), (result,) = model.graph.inputs, model.graph.outputs
    assert (source.name, result.name) == ("image", "protected")
    for value in (source, result):
        assert value.dtype == ir.DataType.FLOAT
        assert list(value.shape) == [batch, 1, 8, 8]
    assert_computes(model, generator, images(7, 1, 8, 8))


@pytest.mark.parametrize("int8", [False, True])
def test_file_holds_no_paths_and_no_comments(exported, int8):
    _, model = exported("unet-s", 3, 28, 28, int8=int8)
    content = to_bytes(model)
    for path in (Path.home(), Path.cwd(), Path(torch.__file__).parent, Path(__file__).parents[2]):
        assert path == Path("/") or str(path).encode() not in content
    assert b".py" not in content
    assert not model.metadata_props
    assert not [node for node in model.graph if node.metadata_props or node.doc_string]


def test_exporting_again_gives_the_same_bytes_says_nothing_and_changes_no_generator(exported, capfd):
    _, first = exported("conv-s", 1, 8, 8, opset=15)
    generator = trained("conv-s", 1, (8, 8)).train()
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    capfd.readouterr()
    assert to_bytes(export_generator(generator, (1, 8, 8), opset=15, batch="N")) == to_bytes(first)
    assert capfd.readouterr() == ("", "")
    assert generator.training
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())


@pytest.mark.parametrize("opset", [7, 11, 12])
def test_opset_below_the_lowest_is_refused_with_a_reason(opset):
    with pytest.raises(UnsupportedError, match=rf"opset {opset}, a generator needs at least 13: lift the model"):
        export_generator(trained("conv-s", 1, (8, 8)), (1, 8, 8), opset=opset, batch="N")


def test_an_image_made_larger_is_padded_before_its_codes_are_convolved(exported, images):
    generator, model = exported("hint-8", 1, 28, 28, int8=True)
    assert [node.op_type for node in model.graph].count("Pad") == 1
    assert windows_in_padding(model) == []
    x = images(8, 1, 28, 28)
    with torch.no_grad():
        expected = protect(generator, x).numpy()
    assert np.abs(Runner(model, level="basic")(x.numpy()) - expected).mean() <= 0.03  # see above
