"""Reduced precision under errors: bits x rates x chips, each as if the requantised model were measured alone."""

import json
import re

import pytest

from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.graph.quantised.requantise import requantise
from nfkit.measure.evaluation import evaluate
from nfkit.measure.precision import evaluate_bits
from nfkit.reports.reading import decode, encode

RATES = [BitErrors(0.0), BitErrors(0.01)]
CHIPS = (50_000, 50_001)


@pytest.fixture(scope="module")
def sweep(zoo, fused):
    return evaluate_bits(fused, zoo.test, zoo.spec, RATES, [8, 3], chips=CHIPS)


def test_each_precision_is_an_evaluation_of_the_requantised_model(zoo, fused, sweep):
    assert [entry.bits for entry in sweep.sweep] == [8, 3]
    for entry in sweep.sweep:
        alone = evaluate(requantise(fused, entry.bits), zoo.test, zoo.spec, RATES, chips=CHIPS)
        assert (entry.points, entry.clean) == (alone.points(), alone.clean)
    bare = evaluate(requantise(zoo.model, 3), zoo.test, zoo.spec, RATES, chips=CHIPS)
    assert [row.base for point in sweep.sweep[1].points for row in point.rows] == [row.base for row in bare.rows]


def test_fewer_bits_have_fewer_cells(sweep):
    cells = {entry.bits: entry.points[1].faulty_cells for entry in sweep.sweep}
    assert cells[3] / cells[8] == pytest.approx(3 / 8, rel=0.1)


def test_fewer_bits_cost_accuracy(sweep):
    at_eight, at_three = (entry.clean.base.accuracy for entry in sweep.sweep)
    assert at_three < at_eight


def test_record_has_the_bits_of_every_row(sweep):
    record = json.loads(encode(sweep))
    assert record["schema"] == "nfkit.evaluate-bits/2"
    assert [
        (entry["bits"], point["ber"], row["chip"])
        for entry in record["sweep"]
        for point in entry["points"]
        for row in point["rows"]
    ] == [(bits, errors.rate, chip) for bits in (8, 3) for errors in RATES for chip in CHIPS]
    assert (record["level"], record["faults"]["kind"]) == ("all", "stuck")
    assert decode(encode(sweep), "it") == sweep
    assert re.search(r"^3 +1 %", str(sweep), re.M)


def test_finished_rows_are_reported_with_their_bits(zoo):
    seen = []
    result = evaluate_bits(
        zoo.model, zoo.test.take(10), zoo.spec, RATES[1:], [4, 4, 2], chips=CHIPS, on_row=lambda *row: seen.append(row)
    )
    assert seen == [(entry.bits, row) for entry in result.sweep for point in entry.points for row in point.rows]
    assert [bits for bits, _ in seen] == [4, 4, 2, 2]


def test_refusals_come_before_any_measurement(zoo):
    seen = []
    for bits, message in (([], "at least once"), ([4, 9], "cannot become 9"), ([4, 1], "at least 2")):
        with pytest.raises(OptionError, match=message):
            evaluate_bits(zoo.model, zoo.test, zoo.spec, RATES, bits, on_row=lambda *row: seen.append(row))
    assert seen == []
