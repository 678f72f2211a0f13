"""One verdict a model: the best and the worst where errors are hardest, and what cannot be told apart."""

from nfkit.reports.campaign import Campaign, Cell, CellResult
from nfkit.reports.campaign_verdicts import verdicts_of
from nfkit.reports.figures import Spread
from nfkit.reports.vulnerability import only_in


def result(model, remedy, mean, rate=0.01, data="d.npz", kind="stuck", half=0.01, volts=None):
    cell = Cell(model, data, remedy, kind, 0.5, "iid", "as-stored", rate, volts)
    accuracy = None if mean is None else Spread(mean, ci95=None if half is None else (mean - half, mean + half))
    return CellResult(cell=cell, chips=3, images=100, clean=0.9, accuracy=accuracy)


def said(*cells):
    return verdicts_of(Campaign(folder="f", cells=cells))


def test_each_model_has_its_own_sentence_at_the_strongest_errors():
    (one, first), (two, second) = said(
        result("a.onnx", "bare", 0.9, 0.001), result("a.onnx", "bare", 0.4), result("b.onnx", "bare", 0.6, volts=0.87),
    )  # fmt: skip
    assert (one, two) == ("a.onnx", "b.onnx")
    right = "of the samples are answered rightly; 90.0 % without errors"
    assert first == f"at a bit error rate of 1 %, 40.0 % (39.0 to 41.0) {right}"
    assert second == f"at 0.87 Vmin (a bit error rate of 1 %), 60.0 % (59.0 to 61.0) {right}"


def test_the_best_the_worst_and_those_that_are_as_good():
    ((_, sentence),) = said(
        result("m", "bare", 0.3), result("m", "robust-bits:2", 0.79), result("m", "ecc:secded-64", 0.8),
        result("m", "not measured", None),
    )  # fmt: skip
    assert sentence == (
        "at a bit error rate of 1 %, 'ecc:secded-64' is the most accurate: 80.0 % (79.0 to 81.0), and 90.0 % without "
        "errors; 'bare' is the least: 30.0 % (29.0 to 31.0); the interval of 'robust-bits:2' meets that of the first"
    )
    ((_, apart),) = said(result("m", "bare", 0.3), result("m", "ecc", 0.8))
    assert "interval of" not in apart
    ((_, one_chip),) = said(result("m", "bare", 0.3, half=None), result("m", "ecc", 0.8, half=None))
    assert one_chip.endswith("the interval of 'bare' meets that of the first")


def test_of_several_kinds_the_one_under_which_the_best_does_worst():
    ((_, sentence),) = said(
        result("m", "bare", 0.2), result("m", "ecc", 0.8),
        result("m", "bare", 0.5, kind="flip"), result("m", "ecc", 0.6, kind="flip"),
    )  # fmt: skip
    assert sentence.startswith(
        "at a bit error rate of 1 %, with kind flip, the hardest of 2, 'ecc' is the most accurate: 60.0 %"
    )


def test_a_metric_is_told_by_what_changes_it_least():
    def measured(remedy, change, half=0.01, kind="stuck"):
        cell = Cell("m", "d", remedy, kind, 0.5, "iid", "as-stored", 0.01, None)
        spread = Spread(change, ci95=(change - half, change + half))
        return CellResult(cell=cell, chips=3, images=100, clean=0.25, value=Spread(0.25 + change), change=spread)

    def told(*cells):
        ((_, sentence),) = verdicts_of(Campaign(folder="f", cells=cells, fingerprint={"metric": "m.py:rmse 0123"}))
        return sentence

    name = Campaign(folder="f", cells=(), fingerprint={"metric": "m.py:rmse 0123"}).metric
    assert told(measured("bare", -0.2)) == (
        f"at a bit error rate of 1 %, errors change {name} from 0.25 without errors by -0.2 (-0.21 to -0.19)"
    )
    assert told(measured("bare", 0.2), measured("ecc", -0.03), measured("robust-bits:2", -0.035)) == (
        f"at a bit error rate of 1 %, errors change {name} least with 'ecc', from 0.25 without errors by -0.03 (-0.04 "
        "to -0.02); most with 'bare', by +0.2 (+0.19 to +0.21); the interval of 'robust-bits:2' meets that of the first"
    )
    assert ", with kind flip, the hardest of 2, errors" in told(
        measured("bare", 0.1), measured("bare", -0.3, kind="flip")
    )


def test_a_model_on_two_data_sets_has_two_and_maps_have_none():
    told = said(result("m", "bare", 0.5), result("m", "bare", 0.7, data="e.npz"))
    assert [model for model, _ in told] == ["m", "m"]
    assert [sentence.split(",")[0] for _, sentence in told] == ["on d.npz", "on e.npz"]
    assert said(result("m", only_in("w", 1), 0.5)) == ()
    assert said(result("m", "bare", None)) == ()
