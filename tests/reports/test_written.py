"""Records of what is written: typed, read again as they were, and one of an older nfkit is read too."""

import json

import pytest

from nfkit.errors import DataError
from nfkit.reports.quantization import Quantized
from nfkit.reports.reading import decode, encode
from nfkit.reports.written import BasePart, Ends, Fold, Injection, Part, Split, Tune, WrittenFile

DIGEST = "ab" * 32
OLD = {
    "remove": {"command": "nfkit inject", "schema": "nfkit.inject/1", "output": "m.onnx", "equal": "bytes"},
    "inject": {
        "command": "nfkit inject", "schema": "nfkit.inject/1", "output": "f.onnx", "ber": 0.01, "chip": 7,
        "kind": "stuck", "set_share": 0.5, "protected_bits": [7], "protected_sites": [], "faulty_cells": 12,
        "flipped_bits": 5, "voltage": {
            "curve": {"name": "stutz-2021", "source": "s", "licence": "l", "error": "e", "rate": "flips"},
            "flips": 0.005, "volts_over_vmin": 0.84,
            "bit_error_rate": 0.005, "energy_per_access": 0.7, "extrapolated": False,
        },
        "coverage": {"sentence": "faults reach all of the 3 weights", "reached": 3, "weights": 3, "share": 1.0,
                     "left_out": []},
        "odd_scales": [],
    },
    "fold": {"command": "nfkit fold", "schema": "nfkit.fold/1", "output": "q.onnx", "sites": ["w", "v"]},
    "split": {
        "command": "nfkit split", "schema": "nfkit.split/1",
        "base": {"path": "b.onnx", "graph_sha256": DIGEST, "equal": "bytes"},
        "generator": {"path": None, "graph_sha256": DIGEST}, "answer": None,
    },
    "tune": {
        "command": "nfkit tune", "schema": "nfkit.tune/1", "from": "a.nf.onnx",
        "output": {"path": "b.nf.onnx", "sha256": DIGEST}, "caution": {"before": 4.0, "after": 16.0},
    },
    "quantize": {
        "command": "nfkit quantize", "schema": "nfkit.quantize/1", "format": "qdq", "packed": False, "level": "all",
        "calibration": {"name": "d", "n": 50, "sha256": DIGEST},
        "model": {"path": "m.onnx", "sha256": DIGEST, "base_sha256": DIGEST, "protected": False},
        "data": {"name": "d", "n": 60, "sha256": DIGEST}, "versions": {"nfkit": "0"}, "output": "q.onnx", "bits": 4,
        "per_channel": True, "symmetric": False, "lifted_from": 11, "folded": 1, "sites": 2, "codes": 248,
        "float_accuracy": 1.0, "accuracy": 0.9, "float_bytes": 4000, "bytes": 2000,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", OLD)
def test_records_of_before_are_read_and_written_the_same(kind):
    record = decode(json.dumps(OLD[kind]).encode(), "old")
    assert json.loads(encode(record)) == OLD[kind]
    assert str(record)


def test_what_they_say():
    inject, remove, fold, split, tune, quantize = (
        decode(json.dumps(OLD[kind]).encode(), kind)
        for kind in ("inject", "remove", "fold", "split", "tune", "quantize")
    )
    assert isinstance(inject, Injection)
    assert inject.table().rows == ((7, 0.01, 12, 5),)
    assert isinstance(remove, Injection)
    assert remove.table().rows == ()
    assert fold == Fold(output="q.onnx", sites=("w", "v"), command="nfkit fold")
    assert isinstance(split, Split)
    assert split.base == BasePart("b.onnx", DIGEST, "bytes")
    assert split.generator == Part(None, DIGEST)
    assert isinstance(tune, Tune)
    assert (tune.source, tune.caution) == ("a.nf.onnx", Ends(4.0, 16.0))
    assert tune.output == WrittenFile("b.nf.onnx", DIGEST)
    assert isinstance(quantize, Quantized)
    assert "90.0" in str(quantize)


def test_a_wrong_field_is_named():
    wrong = json.dumps(OLD["tune"] | {"caution": {"before": 4.0}}).encode()
    with pytest.raises(DataError, match=r"field `caution`: object missing required field `after`"):
        decode(wrong, "t.json")
