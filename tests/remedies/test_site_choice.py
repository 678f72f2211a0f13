"""Sites at the nominal voltage: chosen within a tolerance, none in vain."""

import numpy as np
import pytest

from nfkit.energy import count
from nfkit.errors import OptionError
from nfkit.faults import BitErrors
from nfkit.measure.evaluation import evaluate
from nfkit.measure.vulnerability import SiteFaultBench
from nfkit.remedies.bare import Bare
from nfkit.remedies.mixed_voltage import MixedVoltage
from nfkit.remedies.site_choice import choose_sites

ERRORS = BitErrors(0.01, "flip")
CHIPS = (40_000, 40_001)
TOLERANCE = 0.05


@pytest.fixture(scope="module")
def bench(zoo):
    return SiteFaultBench(zoo.model, zoo.test.take(60), zoo.spec, ERRORS, CHIPS)


@pytest.fixture(scope="module")
def choice(zoo, bench):
    return choose_sites(bench, count(zoo.model), TOLERANCE)


def loss_of(zoo, bench, sites):
    errors = MixedVoltage(tuple(sites)).errors(ERRORS) if sites else ERRORS
    rows = evaluate(zoo.model, bench.data, zoo.spec, [errors], chips=CHIPS).rows
    return bench.clean - np.mean([row.base for row in rows])


def test_the_rest_stays_within_the_tolerance(zoo, bench, choice):
    assert 0 < len(choice.sites) < len(zoo.sites)
    assert choice.loss <= TOLERANCE
    assert choice.loss == pytest.approx(loss_of(zoo, bench, choice.sites))
    assert loss_of(zoo, bench, ()) > TOLERANCE


def test_no_site_is_protected_in_vain(zoo, bench, choice):
    for site in choice.sites:
        assert loss_of(zoo, bench, [other for other in choice.sites if other != site]) > TOLERANCE


def test_what_it_costs(zoo, choice):
    base = count(zoo.model)
    reads = sum(base.array.accesses(layer) for layer in base.layers if layer.storage in choice.sites)
    assert choice.share == pytest.approx(reads / base.accesses)
    low = 0.7
    assert choice.remedy.energy(base, zoo.model, ERRORS, low) == pytest.approx(low + (1 - low) * choice.share)


def test_record(choice):
    record = choice.to_dict()
    assert record["sites"] == list(choice.sites)
    assert [entry["site"] for entry in record["alone"]] == [entry.site for entry in choice.alone]
    assert record["steps"][0]["protected"] == []
    assert choice.remedy == MixedVoltage(choice.sites)


def test_nothing_is_protected_where_all_is_tolerated(zoo, bench):
    choice = choose_sites(bench, count(zoo.model), 1.0)
    assert (choice.sites, choice.share, len(choice.steps), choice.alone) == ((), 0, 1, ())
    assert isinstance(choice.remedy, Bare)


def test_tolerances_below_0_are_refused(zoo, bench):
    for tolerance in (-0.1, float("nan")):
        with pytest.raises(OptionError, match="cannot be kept"):
            choose_sites(bench, count(zoo.model), tolerance)
