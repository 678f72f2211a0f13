"""ONNX's own node tests against the differentiable operators: right, or refused by name, and none raises anything else.

`onnx` carries them (onnx.backend.test). A case is run as nfkit runs a model: the first input goes in, as floats, all
others are constants, and the first output is compared. Left out by rule are cases with operators that have no kernel,
with inputs that are no tensors, and without input.
"""

import warnings
from collections import Counter, defaultdict
from types import SimpleNamespace

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients import supported
from nfkit.learn.gradients.frozen import FrozenGraph
from nfkit.learn.gradients.obstacles import find_unsupported

OPERATORS = supported()
SEVERAL = "several operators"

RTOL, ATOL = 1e-3, 1e-5  # those of onnx.backend.test; float32 sums near 0 differ by their order
HALF_RTOL, HALF_ATOL = 2**-6, 2**-7  # two bits of a bfloat16: cases in 16-bit floats are computed in float32 here

# ONNX Runtime takes the length of a resized axis as a whole number where ONNX does not. What protects a model has to
# follow the runtime; these are compared with it instead.
AS_RUNTIME = {"test_resize_downsample_scales_linear_align_corners", "test_resize_downsample_scales_cubic_align_corners"}


def as_array(value):
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def as_tensor(value, name):
    tensor = onnx.TensorProto()
    tensor.CopyFrom(value if isinstance(value, onnx.TensorProto) else onnx.numpy_helper.from_array(np.asarray(value)))
    tensor.name = name
    return tensor


@pytest.fixture(scope="module")
def cases():
    """All cases that the rule admits, by operator: frozen model, input, first output, and whether in 16-bit floats."""
    with warnings.catch_warnings():  # some cases overflow on purpose
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        everything = load_model_tests(kind="node")
    found = defaultdict(list)
    for case in everything:
        used = {f"{n.domain}::{n.op_type}" if n.domain else n.op_type for n in case.model.graph.node}
        if not used <= set(OPERATORS):
            continue
        given, expected = case.data_sets[0]
        tensors = all(isinstance(v, (np.ndarray, np.generic, onnx.TensorProto)) for v in (*given, *expected))
        if not given or not tensors:
            continue
        model = onnx.ModelProto()
        model.CopyFrom(case.model)
        model.graph.initializer.extend(
            as_tensor(value, info.name) for info, value in zip(model.graph.input[1:], given[1:], strict=True)
        )
        del model.graph.input[1:]
        types = {v.type.tensor_type.elem_type for v in (*case.model.graph.input, *case.model.graph.output)}
        found[next(iter(used)) if len(used) == 1 else SEVERAL].append(
            SimpleNamespace(
                name=case.name,
                model=model,
                x=as_array(given[0]),
                y=as_array(expected[0]),
                half=bool(types & {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}),
            )
        )
    return found


def outcome(case):
    """ "right", "as runtime", "refused", "refused late", or what went wrong."""
    model = ir.from_proto(case.model)
    early = bool(find_unsupported(model))
    try:
        with torch.no_grad():
            y = FrozenGraph(model)(torch.from_numpy(np.array(case.x).astype(np.float32))).numpy()
    except UnsupportedError as error:
        named = any(f"'{node.name or node.output[0]}'" in str(error) for node in case.model.graph.node)
        return ("refused" if early else "refused late") if named else f"no node is named: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if early:  # a report that refuses what runs would be as wrong as the reverse
        return "it is reported as unsupported, and runs"
    expected, (rtol, atol) = case.y, (HALF_RTOL, HALF_ATOL) if case.half else (RTOL, ATOL)
    if case.name in AS_RUNTIME:
        session = onnxruntime.InferenceSession(case.model.SerializeToString(), providers=["CPUExecutionProvider"])
        expected = session.run(None, {case.model.graph.input[0].name: case.x})[0]
        if np.allclose(expected, case.y, rtol, atol):
            return "the runtime follows ONNX by now"
    same = y.shape == expected.shape and np.allclose(
        y.astype(np.float64), np.asarray(expected).astype(np.float64), rtol, atol, equal_nan=True
    )
    return ("as runtime" if case.name in AS_RUNTIME else "right") if same else f"wrong: {y.ravel()[:8]}"


@pytest.fixture(scope="module")
def outcomes(cases):
    """Outcome of every case, by operator and name."""
    return {operator: {case.name: outcome(case) for case in group} for operator, group in cases.items()}


@pytest.mark.parametrize("operator", [*OPERATORS, SEVERAL])
def test_every_case_is_right_or_refused_by_name(outcomes, operator):
    good = ("right", "as runtime", "refused", "refused late")
    assert {name: found for name, found in outcomes.get(operator, {}).items() if found not in good} == {}


def test_how_many_are_which(outcomes):
    counts = Counter(found for group in outcomes.values() for found in group.values())
    # The onnx package adds cases with every version: floors, and a share of what it has.
    assert counts.total() >= 1200
    assert counts["right"] >= 0.85 * counts.total()
    assert counts["as runtime"] == len(AS_RUNTIME)
    assert len(set(outcomes) & set(OPERATORS)) >= 100


def test_what_a_report_cannot_foresee_depends_on_values(outcomes):
    late = {op for op, group in outcomes.items() if op != SEVERAL and "refused late" in group.values()}
    # Unsigned 64-bit arithmetic, training modes, and resampling that torch has no form of.
    assert late <= {"Resize", "BatchNormalization", "Dropout", "Add", "Sub", "Mul", "Div", "Mod", "Max", "Min",
                    "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"}  # fmt: skip
