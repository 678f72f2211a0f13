"""Metadata of a fused file that was lost or changed: one sentence a defect, in all that reads it."""

import json

import numpy as np
import onnx_ir as ir
import pytest

from nfkit.data import Dataset
from nfkit.errors import ModelError, NfkitError
from nfkit.faults import BitErrors
from nfkit.graph.fusion.caution import read_caution
from nfkit.graph.fusion.fuse import fuse, transfer
from nfkit.graph.fusion.fused import BASE_DIGEST_KEY, BASE_HEADER_KEY, INPUT_KEY, RESULTS_KEY, is_fused
from nfkit.graph.fusion.metadata import read_digest, read_header, read_input, read_recoveries
from nfkit.graph.fusion.split import evidence_model, split
from nfkit.graph.input.discovery import find_input
from nfkit.graph.quantised.requantise import requantise
from nfkit.measure.evaluation import evaluate
from nfkit.model import to_bytes


@pytest.fixture(scope="module")
def base(convnet):
    return convnet()


@pytest.fixture
def fused(base, residual_generator):
    return fuse(residual_generator(2, 4, 4), base, find_input(base), {})


def without(model, key):
    del model.metadata_props[key]
    return model


def with_entry(model, **changes):
    record = json.loads(model.metadata_props[INPUT_KEY]) | changes
    model.metadata_props[INPUT_KEY] = json.dumps({k: v for k, v in record.items() if v is not ...})
    return model


def test_what_fusing_writes_is_read_back(base, fused):
    assert read_input(fused) == find_input(base)
    assert read_header(fused).opset_imports == {"": 18}
    assert read_header(fused).ir_version == base.ir_version
    assert len(read_digest(fused)) == 64
    assert read_recoveries(fused) == {}
    fused.metadata_props[RESULTS_KEY] = json.dumps([{"ber": 0.01, "recovery": {"mean": 0.25, "std": 0}}, {"ber": 0.1}])
    assert read_recoveries(fused) == {0.01: 0.25}


@pytest.mark.parametrize("key", [INPUT_KEY, BASE_HEADER_KEY, BASE_DIGEST_KEY])
def test_what_is_lost_is_named(fused, key):
    without(fused, key)
    assert is_fused(fused)
    with pytest.raises(ModelError, match=rf"a protected one that lacks its metadata '{key}': .*protect the base again"):
        split(fused)


def test_fused_file_without_any_metadata_is_no_bare_base(fused, base):
    fused.metadata_props.clear()
    assert is_fused(fused)
    data = Dataset("own", np.zeros((2, 2, 4, 4), np.float32), np.array([0, 1]))
    with pytest.raises(ModelError, match="a protected one that lacks its metadata"):
        evaluate(fused, data, find_input(base), [BitErrors(0.1)], chips=[50_000])


def test_prefix_that_was_split_off_is_no_fused_file(fused):
    prefix, _ = split(fused)
    assert not is_fused(prefix)


@pytest.mark.parametrize("text", ["", "x", "{", "[]", "null", "7", '"a"', "{}", "[" * 5000, '{"name": "image"}'])
@pytest.mark.parametrize("key", [INPUT_KEY, BASE_HEADER_KEY, BASE_DIGEST_KEY, RESULTS_KEY])
def test_what_was_changed_is_named(fused, key, text):
    fused.metadata_props[key] = text
    readers = {
        INPUT_KEY: read_input, BASE_HEADER_KEY: read_header, BASE_DIGEST_KEY: read_digest, RESULTS_KEY: read_recoveries
    }  # fmt: skip
    if (key, text) == (RESULTS_KEY, "[]"):
        return
    with pytest.raises(ModelError, match=rf"metadata '{key}' of the protected file is damaged \(.+\): it was changed"):
        readers[key](fused)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ...}, "missing required field `name`"),
        ({"name": "other"}, "the graph has no input 'other'"),
        ({"name": 3}, "Expected `str`, got `int`"),
        ({"dtype": "float64"}, "not of type float64"),
        ({"dtype": "nonsense"}, "not of type nonsense"),
        ({"layout": "NC"}, r"NC is no layout of \[2, 4, 4\]"),
        ({"layout": "NQRS"}, "NQRS is no layout"),
        ({"shape": [2, 4]}, r"NCHW is no layout of \[2, 4\]"),
        ({"shape": [2, 4, 5]}, r"another shape than \[2, 4, 5\]"),
        ({"shape": [2, 4, -4]}, "no layout"),
        ({"shape": [2, 4, 2**40]}, "another shape"),
        ({"shape": "abc"}, r"Expected `array`, got `str`|Expected `array`"),
        ({"batch": 2.5}, "batch"),
        ({"low": None}, "a range has two ends"),
        ({"low": [], "high": []}, "one number, or one for each of 2 channels"),
        ({"low": [1, 1, 1], "high": [2, 2, 2]}, "one number, or one for each of 2 channels"),
        ({"low": [1], "high": [2, 2]}, "one number, or one for each of 2 channels"),
        ({"low": [1], "high": [-1]}, "is no range"),
        ({"low": [1], "high": [1]}, "is no range"),
        ({"low": ["a"]}, "Expected `float`, got `str`"),
    ],
)
def test_what_contradicts_the_graph_is_named(fused, changes, words):
    with_entry(fused, **changes)
    for read in (read_input, split, evidence_model, lambda m: requantise(m, 4)):
        with pytest.raises(ModelError, match=rf"metadata 'nfkit.input' of the protected file is damaged \(.*{words}"):
            read(fused)


@pytest.mark.parametrize(
    "header",
    [
        {"ir_version": 0, "opset_imports": {"": 18}},
        {"ir_version": 8, "opset_imports": {"": -1}},
        {"ir_version": 8, "opset_imports": {"": "18"}},
        {"ir_version": 8},
        {"ir_version": 8, "opset_imports": {"": 18}, "more": 1},
    ],
)
def test_headers_that_cannot_be_are_named(fused, header):
    fused.metadata_props[BASE_HEADER_KEY] = json.dumps(header)
    with pytest.raises(ModelError, match=r"metadata 'nfkit.base.header' of the protected file is damaged"):
        split(fused)


def test_other_opsets_in_the_header_are_another_base(fused):
    fused.metadata_props[BASE_HEADER_KEY] = json.dumps({"ir_version": 9, "opset_imports": {"": 18}})
    with pytest.raises(ModelError, match="differs from the one that was fused"):
        split(fused)


def test_changes_of_any_entry_end_in_a_sentence_or_in_the_same_base(fused, base):
    """Each key dropped, emptied, swapped with each other, and each byte of its JSON removed in turn."""
    wanted, done = to_bytes(base), 0
    original = dict(fused.metadata_props)
    texts = list(original.values())
    for key, text in original.items():
        variants = [None, "", *texts, *(text[:i] + text[i + 1 :] for i in range(0, len(text), 3))]
        for variant in variants:
            if variant == text:
                continue
            changed = fused.clone()
            if variant is None:
                del changed.metadata_props[key]
            else:
                changed.metadata_props[key] = variant
            for use in (lambda m: to_bytes(split(m)[1]), read_caution, lambda m: transfer(m, base, find_input(base))):
                done += 1
                try:
                    result = use(changed)
                except NfkitError:
                    continue
                assert isinstance(result, ir.Model) or result == wanted
    assert done > 200
