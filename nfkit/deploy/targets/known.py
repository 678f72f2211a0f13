"""The targets that were tried, in the versions that docs/targets.md names."""

from __future__ import annotations

from nfkit.deploy.targets.target import Limit, Target, is_blocked, is_per_channel
from nfkit.errors import OptionError

_HERE = "run it in ONNX Runtime"
_PACKED = frozenset({"INT2", "UINT2", "INT4", "UINT4"})

_ALL = (
    Target(
        name="onnxruntime",
        sentence="ONNX Runtime, on a processor",
        package="onnxruntime",
        opsets=(7, 26),
    ),
    Target(
        name="ort-format",
        sentence="ONNX Runtime's own format, for its small builds, with the list of operators that they need",
        package="onnxruntime",
        opsets=(7, 26),
        suffix=".ort",
    ),
    Target(
        name="onnxruntime-web",
        sentence="ONNX Runtime in a browser or node, by WebAssembly",
        package="node, and onnxruntime-web in the cache folder, which nfkit page fetches",
        opsets=(7, 26),
    ),
    Target(
        name="openvino",
        sentence="OpenVINO, on a processor",
        package="openvino",
        opsets=(10, 26),
        contributed=frozenset({"QLinearAdd", "QLinearMul"}),
        limits=(
            Limit(
                "QLinearConv",
                "QLinearConv has one weight scale a channel",
                "export the model as QDQ, or with one scale a tensor",
                is_per_channel,
            ),
        ),
        spelt_padding=True,
    ),
    Target(
        name="tract",
        sentence="tract, in Rust",
        package="tract",
        opsets=(10, 26),
        contributed=frozenset(),
        types=_PACKED | {"INT16", "UINT16"},
        limits=(
            Limit(
                "DequantizeLinear",
                "DequantizeLinear has a scale a block",
                f"quantise the model by tensor or by channel, or {_HERE}",
                is_blocked,
            ),
        ),
        one_sample=True,
        spelt_softmax=True,
    ),
    Target(
        name="reference",
        sentence="ONNX's reference evaluator: slow, and what the standard means",
        package="onnx",
        opsets=(21, 26),
        contributed=frozenset(),
    ),
)

TARGETS: dict[str, Target] = {target.name: target for target in _ALL}
"""All targets by name."""


def find_target(name: str) -> Target:
    """The target of a name.

    Raises:
        OptionError: When there is none.
    """
    if name not in TARGETS:
        raise OptionError(f"unknown target {name!r}: choose one of {', '.join(TARGETS)}")
    return TARGETS[name]
