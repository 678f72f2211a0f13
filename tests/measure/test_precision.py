"""Reduced precision under errors: bits x rates x chips, each as if the requantised model were measured alone."""

import json

import pytest

from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.graph.quantised.requantise import requantise
from nfkit.measure.evaluation import evaluate
from nfkit.measure.precision import evaluate_bits

RATES = [BitErrors(0.0), BitErrors(0.01)]
CHIPS = (50_000, 50_001)


@pytest.fixture(scope="module")
def sweep(zoo, fused):
    return evaluate_bits(fused, zoo.test, zoo.spec, RATES, [8, 3], chips=CHIPS)


def test_each_precision_is_an_evaluation_of_the_requantised_model(zoo, fused, sweep):
    assert list(sweep.evaluations) == [8, 3]
    for bits, result in sweep.evaluations.items():
        alone = evaluate(requantise(fused, bits), zoo.test, zoo.spec, RATES, chips=CHIPS)
        assert result == alone
    bare = evaluate(requantise(zoo.model, 3), zoo.test, zoo.spec, RATES, chips=CHIPS)
    assert [row.base for row in sweep.evaluations[3].rows] == [row.base for row in bare.rows]


def test_fewer_bits_have_fewer_cells(sweep):
    cells = {bits: sum(row.faulty_cells for row in result.rows) for bits, result in sweep.evaluations.items()}
    assert cells[3] / cells[8] == pytest.approx(3 / 8, rel=0.1)


def test_fewer_bits_cost_accuracy(sweep):
    assert sweep.evaluations[3].clean_base < sweep.evaluations[8].clean_base


def test_record_has_the_bits_of_every_row(sweep):
    record = json.loads(json.dumps(sweep.to_dict()))
    assert record["schema"] == "nfkit.evaluate-bits/1"
    assert [(row["bits"], row["ber"], row["chip"]) for row in record["rows"]] == [
        (bits, errors.rate, chip) for bits in (8, 3) for errors in RATES for chip in CHIPS
    ]
    assert [(entry["bits"], entry["ber"]) for entry in record["summary"]] == [(8, 0), (8, 0.01), (3, 0), (3, 0.01)]
    assert [entry["bits"] for entry in record["clean"]] == [8, 3]
    assert (record["level"], record["faults"]["kind"]) == ("all", "stuck")


def test_finished_rows_are_reported_with_their_bits(zoo):
    seen = []
    result = evaluate_bits(
        zoo.model, zoo.test.take(10), zoo.spec, RATES[1:], [4, 4, 2], chips=CHIPS, on_row=lambda *row: seen.append(row)
    )
    assert seen == [(bits, row) for bits, each in result.evaluations.items() for row in each.rows]
    assert [bits for bits, _ in seen] == [4, 4, 2, 2]


def test_refusals_come_before_any_measurement(zoo):
    seen = []
    for bits, message in (([], "at least once"), ([4, 9], "cannot become 9"), ([4, 1], "at least 2")):
        with pytest.raises(OptionError, match=message):
            evaluate_bits(zoo.model, zoo.test, zoo.spec, RATES, bits, on_row=lambda *row: seen.append(row))
    assert seen == []
