"""A trained generator as an ONNX graph at the base's opset, in float or with int8 weights and activations.

The graph computes F(x) = clip(x + G(x), -1, 1) from images [N, C, H, W] in [-1, 1]. Only G is quantised: x itself
passes untouched, since rounding it to 8 bits would cost the base accuracy for nothing.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes.common import LiftConstantsToInitializersPass
from torch import Tensor, nn

from nfkit.errors import UnsupportedError
from nfkit.graph.fusion.build import spell_out_softmax
from nfkit.graph.fusion.fused import EVIDENCE
from nfkit.graph.fusion.padding import spell_out_padding
from nfkit.graph.memory.bits import BITS_KEY
from nfkit.graph.quantised.from_float import quantize_static
from nfkit.learn.objective import protect
from nfkit.models.generators import build
from nfkit.models.generators.base import Generator
from nfkit.models.generators.folding import fold_batch_norm

_EXPORTER_MIN, _EXPORTER_MAX = 18, 23  # opsets that torch's exporter writes without a converter
_ALMOST = 0.97  # of the range: what reaches so far at both ends is an image
_WEIGHT_BITS = 7
"""Bits of an int8 generator's weights. x86 processors without VNNI add two products of codes in 16 bits, where
2 x 255 x 63 fits and 2 x 255 x 127 saturates. What this saves there, and costs elsewhere: docs/targets.md."""
_LOWEST = 13  # per-axis quantisation, which int8 generators need, begins here


def export_generator(
    generator: Generator,
    image_shape: tuple[int, int, int],
    *,
    opset: int,
    batch: int | str,
    calibration: npt.NDArray[np.float32] | None = None,
    residual: bool = True,
    bits: int = _WEIGHT_BITS,
) -> ir.Model:
    """Exports F(x) = clip(x + G(x), -1, 1), or the evidence alone.

    Args:
        generator: A trained generator.
        image_shape: (channels, height, width).
        opset: Opset of the base.
        batch: Fixed batch size, or the name of the free batch axis.
        calibration: Images [M, C, H, W] in [-1, 1] to choose the ranges of an int8 generator; float without.
        residual: Whether to export F(x); else the generator only looks at the image.
        bits: Bits of an int8 generator's weights; they are stored in int8 all the same.

    Returns:
        A model with one input `image` and one output `protected`. Where the generator tells classes apart by itself,
        the value `EVIDENCE` of the graph holds its scores; without the residual that is the output.

    Raises:
        UnsupportedError: When the generator cannot be expressed at the opset.
    """
    check_opset(opset)
    folded, written = fold_batch_norm(generator), min(max(opset, _EXPORTER_MIN), _EXPORTER_MAX)
    model = _export(folded, image_shape, written, batch, residual=residual)
    if calibration is not None and _has_weights(model):
        within = off_the_ties(calibration)
        model = quantize_static(model, within, per_channel=True, exclude_ops=("Softmax",), bits=bits)
        model.metadata_props.pop(BITS_KEY, None)  # what is recorded there is a base's: its cells err
    del model.graph.outputs[1:]
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    if residual:
        _close(model)
    model = _at_opset(model, opset)
    spell_out_softmax(model)
    spell_out_padding(model)
    return model


def off_the_ties(calibration: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Calibration images that give the input a scale of 1/128 in place of 2/255, where they span its whole range.

    At 2/255 and zero point 128 every pixel p of 0 to 255 lies half way between two codes: which one it becomes is
    decided by the last bit of the normalisation, which differs between float32 and float64, and so between clients.
    """
    if not (calibration.min() <= -_ALMOST and calibration.max() >= _ALMOST):
        return calibration
    within = np.minimum(calibration, np.float32(127 / 128))
    within.flat[0], within.flat[1] = -1.0, 127 / 128
    return within


def export_untrained(
    name: str, image_shape: tuple[int, int, int], *, opset: int, classes: int = 10, seed: int = 0
) -> ir.Model:
    """Exports F(x) with the weights that a generator starts from, to count and to look at.

    Torch's own random state is left as it was. Batch norms are folded, as in a trained generator.

    Args:
        name: One of `nfkit.models.generators.GENERATORS`.
        image_shape: (channels, height, width).
        opset: Opset of the graph.
        classes: Number of classes, for generators that tell them apart.
        seed: Seed of the weights.

    Raises:
        OptionError: When there is no such generator.
        UnsupportedError: When the generator cannot be expressed at the opset.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = build(name, image_shape[0], image_shape[1:], classes)
    return export_generator(generator, image_shape, opset=opset, batch="N")


def export_as_designed(generator: Generator, image_shape: tuple[int, int, int], *, residual: bool = True) -> ir.Model:
    """Exports the residual G(x) layer by layer, batch normalisation included: what published operation counts describe.

    Args:
        generator: A generator, trained or not.
        image_shape: (channels, height, width).
        residual: Whether to export G(x); else the evidence of a generator that only looks at the image.

    Returns:
        A model for counting, at batch 1; `export_generator` makes the one that runs.
    """
    model = _export(generator, image_shape, _EXPORTER_MIN, 1, optimize=False, residual=residual)
    del model.graph.outputs[1:]
    return model


def check_opset(opset: int) -> None:
    """Refuses an opset at which no generator can be expressed.

    Raises:
        UnsupportedError: When it is too low.
    """
    if opset < _LOWEST:
        raise UnsupportedError(
            f"the model has opset {opset}, a generator needs at least {_LOWEST}: lift the model with "
            "onnx.version_converter, and check that its accuracy stays"
        )


@torch.no_grad()
def transform(generator: Generator, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """F(x) as torch computes it, for images [N, C, H, W] in [-1, 1]: what an exported graph must agree with."""
    result: npt.NDArray[np.float32] = protect(generator.eval(), torch.from_numpy(x)).numpy()
    return result


@torch.no_grad()
def look(generator: Generator, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The evidence [N, classes] as torch computes it, for images [N, C, H, W] in [-1, 1]."""
    result: npt.NDArray[np.float32] = generator.eval().look(torch.from_numpy(x)).numpy()
    return result


def _export(
    generator: Generator,
    image_shape: tuple[int, int, int],
    opset: int,
    batch: int | str,
    *,
    optimize: bool = True,
    residual: bool = True,
) -> ir.Model:
    module: nn.Module = _WithEvidence(generator) if generator.classes else generator
    names = ["residual", EVIDENCE][: 1 + bool(generator.classes)]
    if not residual:
        module, names = _Looking(generator), [EVIDENCE]
    example = torch.zeros(batch if isinstance(batch, int) else 2, *image_shape)
    free = None if isinstance(batch, int) else ({0: torch.export.Dim("batch")},)
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            (example,), dynamo=True, external_data=False, opset_version=opset,
            input_names=["image"], output_names=names,
            dynamic_shapes=free, verbose=False, optimize=optimize,
        )  # fmt: skip
    assert program is not None
    model: ir.Model = ir.from_proto(program.model_proto)
    if not isinstance(batch, int):
        model.graph.inputs[0].shape = ir.Shape([batch, *image_shape])
        model.graph.outputs[0].shape = ir.Shape([batch, *(image_shape if residual else (generator.classes,))])
    for node in model.graph:  # the exporter writes the user's file paths into every node
        node.metadata_props.clear()
        node.doc_string = None
    for value in (*model.graph.inputs, *model.graph.outputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()
    return model


class _WithEvidence(nn.Module):
    """x -> (residual, evidence), so that the exporter names both."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        residual, evidence = self.generator.explain(x)
        return residual, evidence


class _Looking(nn.Module):
    """x -> evidence."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        return self.generator.look(x)


def _close(model: ir.Model) -> None:
    """Appends the float half of F: protected = clip(image + residual, -1, 1)."""
    graph = model.graph
    image, residual = graph.inputs[0], graph.outputs[0]
    bounds = []
    for name, number in (("clip_low", -1.0), ("clip_high", 1.0)):
        tensor = ir.tensor(np.array(number, np.float32), name=name)
        bound = ir.Value(name=name, shape=ir.Shape([]), type=ir.TensorType(tensor.dtype), const_value=tensor)
        graph.register_initializer(bound)
        bounds.append(bound)
    total = ir.node("Add", [image, residual], name="add_residual")
    clip = ir.node("Clip", [total.outputs[0], *bounds], name="clip_to_range")
    total.outputs[0].name, clip.outputs[0].name = "unclipped", "protected"
    clip.outputs[0].shape, clip.outputs[0].type = image.shape, image.type
    graph.extend([total, clip])
    graph.outputs[0] = clip.outputs[0]


def _at_opset(model: ir.Model, opset: int) -> ir.Model:
    """States the base's opset, where every operator of the generator means the same there.

    What generators use (convolutions, pooling, resizing, concatenation, Q/DQ) has only gained attributes since
    opset 13; those that have their default value are dropped, anything else is refused.
    """
    written = model.opset_imports[""]
    for node in model.graph:
        known = onnx.defs.get_schema(node.op_type, opset, "").attributes
        latest = onnx.defs.get_schema(node.op_type, written, "").attributes
        for name in [n for n in node.attributes if n not in known]:
            default = onnx.helper.get_attribute_value(latest[name].default_value)
            default = default.decode() if isinstance(default, bytes) else default
            if node.attributes[name].value != default and not _is_idle(node, name):
                raise UnsupportedError(
                    f"{node.op_type} with {name}={node.attributes[name].value} does not exist at opset {opset}: "
                    f"lift the model to opset {written} with onnx.version_converter"
                )
            del node.attributes[name]
    model.opset_imports[""] = opset
    imports = [onnx.helper.make_opsetid("", opset)]
    model.ir_version = onnx.helper.find_min_ir_version_for(imports)
    return model


def _is_idle(node: ir.Node, attribute: str) -> bool:
    """Whether an attribute makes no difference: what Reshape does with zeros, where its shape has none."""
    if (node.op_type, attribute) != ("Reshape", "allowzero") or node.inputs[1] is None:
        return False
    shape = node.inputs[1].const_value
    return shape is not None and bool(shape.numpy().all())


def _has_weights(model: ir.Model) -> bool:
    """Whether there is anything to quantise; the universal pattern has no weights."""
    return any(node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul") for node in model.graph)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter's progress and advice, which speak to its developers, off the user's terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
