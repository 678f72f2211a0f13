"""The class patterns of a fused hint: a few hundred numbers of the file, which can be changed without the rest.

A hint adds to an image the patterns of the classes that it sees, each by its share: x + enlarge(shares @ patterns).
Everything before the shares is the encoder; what follows them only moves and enlarges numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from nfkit.errors import ModelError
from nfkit.graph.fusion.caution import OUTDATED
from nfkit.graph.fusion.fused import GENERATOR_PREFIX, is_fused, refuse_modes
from nfkit.graph.fusion.seal import seal
from nfkit.graph.fusion.split import split

_CAUTION = GENERATOR_PREFIX + "generator.caution"
_BITS = 7  # as all weights of a generator: `nfkit.learn.export`
_STEPS = 255  # of the codes of an activation


@dataclass(frozen=True, eq=False)
class ClassPatterns:
    """The patterns of a fused hint.

    Attributes:
        values: [classes, channels, rows, columns], in units of the half range of the input.
        step: Side of the square of pixels that each value stands for.
    """

    values: npt.NDArray[np.float32]
    step: int


def read_patterns(fused: ir.Model) -> ClassPatterns:
    """The patterns of a fused model.

    Raises:
        ModelError: When no hint in front of its base changes the image.
    """
    mix = _mixing(fused)
    stored, scale = mix.stored, mix.scale
    values = stored.astype(np.float32) * (1.0 if scale is None else scale)
    return ClassPatterns(values.reshape(len(stored), *mix.shape), mix.step)


def shares_of(fused: ir.Model) -> ir.Model:
    """The part of a fused model that gives the share of each class's pattern, [N, classes], from the model's input.

    Raises:
        ModelError: As `read_patterns`.
    """
    name = str(_mixing(fused).node.inputs[0].name)  # type: ignore[union-attr]
    prefix, _ = split(fused)
    graph = prefix.graph
    shares = next(value for node in graph for value in node.outputs if value.name == name)
    graph.outputs.clear()
    graph.outputs.append(shares)
    RemoveUnusedNodesPass()(prefix)
    return prefix


def with_patterns(fused: ir.Model, values: npt.NDArray[np.float32], stated: dict[str, str]) -> ir.Model:
    """A copy of a fused model with other patterns.

    Args:
        fused: A model behind a hint; it stays as it is.
        values: The patterns, of the shape that `read_patterns` gives.
        stated: Metadata to add.

    Returns:
        The copy. What the model recorded of its own results is left behind.

    Raises:
        ModelError: As `read_patterns`.
    """
    refuse_modes(fused)
    changed = fused.clone()
    mix = _mixing(changed)
    flat = values.reshape(mix.stored.shape)
    initializers = changed.graph.initializers
    if mix.scale is None:
        _put(initializers, mix.weight, flat)
    else:
        reach = np.abs(flat).max(axis=0) / (2 ** (_BITS - 1) - 1)
        scale = np.where(reach > 0, reach, 1.0).astype(mix.scale.dtype)
        _put(initializers, mix.weight, np.rint(flat / scale).astype(mix.stored.dtype))
        _put(initializers, mix.scale_name, scale)
    # Of shares that sum to 1 at most, no mixture is beyond the patterns themselves.
    low, high = min(0.0, float(flat.min())), max(0.0, float(flat.max()))
    step = max(high - low, 1e-6) / _STEPS
    for scale_name, zero_name in mix.activations:
        zero = initializers[zero_name].const_value
        assert zero is not None
        lowest = int(np.iinfo(zero.numpy().dtype).min)
        _put(initializers, scale_name, np.float32(step))
        _put(initializers, zero_name, np.asarray(round(lowest - low / step)).astype(zero.numpy().dtype))
    for key in OUTDATED:
        changed.metadata_props.pop(key, None)
    changed.metadata_props.update(stated)
    seal(changed)
    return changed


@dataclass(frozen=True, eq=False)
class _Mixing:
    """The product in which shares mix patterns, and what it reads.

    Attributes:
        node: The product.
        weight: Name of the stored patterns.
        stored: They, [classes, channels x rows x columns]: integers, or floats.
        scale_name: Name of their scale, one a column.
        scale: It; None where floats are stored.
        shape: (channels, rows, columns).
        step: Pixels a row.
        activations: Names of scale and zero point of each quantiser between the product and the image.
    """

    node: ir.Node
    weight: str
    stored: npt.NDArray[Any]
    scale_name: str
    scale: npt.NDArray[Any] | None
    shape: tuple[int, ...]
    step: int
    activations: tuple[tuple[str, str], ...]


def _mixing(fused: ir.Model) -> _Mixing:
    graph = fused.graph
    caution = graph.initializers.get(_CAUTION)
    node = None if caution is None or not is_fused(fused) else _first(_after(caution), "MatMul")
    if node is None:
        raise ModelError(
            "no hint changes the image in front of this base, so there are no patterns: protect the base with "
            "--generator hint-64 --answer base, say; what only looks is fitted to a device by nfkit plan FILE --chip"
        )
    following = list(_after(node.outputs[0]))
    reshape, resize = _first(following, "Reshape"), _first(following, "Resize")
    assert reshape is not None
    assert resize is not None
    source = node.inputs[1]
    assert source is not None
    maker, scale_name, scale = source.producer(), "", None
    if maker is not None:
        source, given = maker.inputs[0], maker.inputs[1]
        assert source is not None
        assert given is not None
        scale_name, scale = str(given.name), _constant(given)
    quantisers = dict.fromkeys(
        (str(step.inputs[1].name), str(step.inputs[2].name))  # type: ignore[union-attr]
        for step in following
        if step.op_type == "QuantizeLinear"
    )
    return _Mixing(
        node, str(source.name), _constant(source), scale_name, scale, tuple(map(int, _constant(reshape.inputs[1])[1:])),
        int(_constant(resize.inputs[2])[-1]), tuple(quantisers),
    )  # fmt: skip


def _after(value: ir.Value) -> Iterator[ir.Node]:
    """The chain of nodes from a value to the image, each the first that reads the one before."""
    while (users := [use.node for use in value.uses()]) and users[0].op_type != "Add":
        yield users[0]
        value = users[0].outputs[0]


def _first(nodes: Iterator[ir.Node] | list[ir.Node], kind: str) -> ir.Node | None:
    return next((node for node in nodes if node.op_type == kind), None)


def _constant(value: ir.Value | None) -> npt.NDArray[Any]:
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()


def _put(initializers: Any, name: str, array: npt.NDArray[Any] | np.generic) -> None:
    initializers[name].const_value = ir.tensor(np.asarray(array), name=name)
