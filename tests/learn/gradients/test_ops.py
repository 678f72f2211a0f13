"""Kernels against ONNX's own node cases: every single-node case of an operator that has a kernel."""

from __future__ import annotations

import itertools
import re
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from nfkit.errors import UnsupportedError
from nfkit.learn.gradients import find, registry, supported

with warnings.catch_warnings():
    # onnx overflows and divides by zero on purpose while it makes its cases
    warnings.simplefilter("ignore", RuntimeWarning)
    from onnx.backend.test.loader import load_model_tests

    _LOADED = load_model_tests(kind="node")

# Which cases are not run, and why. Each entry must match a case, and each matched case must fail.
UNSUPPORTED = {
    r"test_cast(like)?_.*(FLOAT8|FLOAT4|INT4|INT2).*": "element types below 8 bits and 8-bit floats",
    r"test_(de)?quantizelinear_(e4m3fn.*|e5m2|u?int4|u?int2|float4e2m1)": "codes below 8 bits, 8-bit floats",
    r"test_equal_string.*": "strings",
    r"test_(add|sub|mul|div|mod|min|max)_uint64": "arithmetic in uint64",
    r"test_(equal|greater|less|greater_equal|less_equal)_uint64": "arithmetic in uint64",
    r"test_bitwise_(and|or|xor)_ui64_.*": "arithmetic in uint64",
    r"test_batchnorm_.*_training_mode": "training",
    r"test_training_dropout(_default)?(_mask)?": "training",
    r"test_maxpool_with_argmax_.*": "the Indices output",
    r"test_resize_tf_crop_and_resize.*": "cropping by a region of interest",
    r"test_resize_.*_antialias": "antialiasing",
    r"test_resize_downsample_scales_(linear|cubic)_align_corners": "ONNX Runtime rounds the length first",
}

# Operators without a single-node case of their own.
COVERED_ELSEWHERE: dict[str, str] = dict.fromkeys(
    ("com.microsoft::FusedMatMul", "nfkit::DequantizeNBits", "nfkit::FlatSoftmax"),
    "tests/conformance, against ONNX Runtime",
) | {"nfkit::IntegerDiv": "tests/learn/gradients/test_frozen.py, against ONNX Runtime"}

# Expected values that onnx holds only to four digits.
_FOUR_DIGITS = {"test_averagepool_2d_ceil_last_window_starts_on_pad"}


def _tensor(array: Any) -> torch.Tensor:
    if isinstance(array, onnx.TensorProto):
        array = numpy_helper.to_array(array)
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).bfloat16()
    return torch.from_numpy(array.copy())


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return _tensor(value) if isinstance(value, onnx.TensorProto) else value


def _entry(case: Any) -> registry.Entry | None:
    (node,) = case.model.graph.node
    versions = {opset.domain: opset.version for opset in case.model.opset_import}
    return find(node.op_type, versions[node.domain], node.domain)


_CASES = [case for case in _LOADED if len(case.model.graph.node) == 1 and _entry(case) is not None]
_EXCLUDED = [case for case in _CASES if any(re.fullmatch(pattern, case.name) for pattern in UNSUPPORTED)]
_RUN = [case for case in _CASES if not any(case is other for other in _EXCLUDED)]


def _check(case: Any) -> None:
    graph = case.model.graph
    (node,) = graph.node
    entry = _entry(case)
    assert entry is not None
    attributes = {attribute.name: _attribute(attribute) for attribute in node.attribute}
    assert set(attributes) <= entry.attributes
    if node.op_type == "Split":
        attributes.setdefault("num_outputs", len(node.output))
    for inputs, expected in case.data_sets:
        values = dict(zip([value.name for value in graph.input], map(_tensor, inputs), strict=True))
        before = {name: value.clone() for name, value in values.items()}
        results = entry.kernel(*[values[name] if name else None for name in node.input], **attributes)
        results = results if isinstance(results, tuple) else (results,)
        assert len(results) >= len(node.output)
        named = [result for name, result in zip(node.output, results, strict=False) if name]
        for result, wanted in zip(named, map(_tensor, expected), strict=True):
            if node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear") and not wanted.is_floating_point():
                result = result.to(wanted.dtype)  # codes are kept floating
            # float32 sums in another order: a few units in the last place, over up to a thousand terms
            rtol, atol = (1e-5, 1e-6) if wanted.dtype in (torch.float32, torch.float64) else (0, 0)
            if case.name in _FOUR_DIGITS:
                atol = 1e-4
            torch.testing.assert_close(result, wanted, rtol=rtol, atol=atol, equal_nan=True)
        for name, value in before.items():  # kernels leave their inputs alone
            torch.testing.assert_close(values[name], value, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("case", _RUN, ids=lambda case: case.name)
def test_kernel_matches_onnx(case: Any) -> None:
    _check(case)


def test_number_of_cases() -> None:
    assert len(_RUN) >= 740


@pytest.mark.parametrize("pattern", UNSUPPORTED)
def test_unsupported_cases_exist_and_fail(pattern: str) -> None:
    matched = [case for case in _EXCLUDED if re.fullmatch(pattern, case.name)]
    assert matched
    for case in matched:
        with pytest.raises((UnsupportedError, AssertionError, TypeError)):
            _check(case)


def test_every_operator_has_a_case() -> None:
    seen = {case.model.graph.node[0].op_type for case in _RUN}
    assert set(supported()) - seen == set(COVERED_ELSEWHERE)


def test_versions_of_an_operator_do_not_overlap() -> None:
    for name, entries in registry._KERNELS.items():
        spans = sorted((entry.since, entry.until) for entry in entries)
        for (_, until), (since, _) in itertools.pairwise(spans):
            assert until < since, name
