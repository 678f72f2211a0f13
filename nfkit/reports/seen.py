"""The pictures of a record, the one that says most first."""

from __future__ import annotations

from functools import singledispatch

from nfkit.pictures.charts import Chart
from nfkit.pictures.figures import Picture
from nfkit.reports import accuracy_charts, campaign_charts, cost_charts, training_charts
from nfkit.reports.campaign import Campaign
from nfkit.reports.evaluation import Evaluation
from nfkit.reports.inspection import EnergyCount, Inspection
from nfkit.reports.plan import Plan
from nfkit.reports.precision import PrecisionSweep
from nfkit.reports.protection import Protection
from nfkit.reports.rendering import Readable
from nfkit.reports.search import Search
from nfkit.reports.vulnerability import Vulnerability


@singledispatch
def pictures_of(record: Readable) -> tuple[Picture, ...]:
    """What can be drawn of a record."""
    return ()


@pictures_of.register
def _(record: Evaluation) -> tuple[Picture, ...]:
    found: tuple[Picture | None, ...] = (
        accuracy_charts.over_voltage(record),
        accuracy_charts.over_energy(record),
        cost_charts.what_bits_did(record),
        cost_charts.coverage(record),
        cost_charts.latency(record.latency),
    )
    return tuple(picture for picture in found if picture is not None)


@pictures_of.register
def _(record: Protection) -> tuple[Picture, ...]:
    planned = () if record.plan is None else pictures_of(record.plan)
    trained = (training_charts.loss(record.training), training_charts.held_out(record.training))
    return (*pictures_of(record.evaluation), *planned, *(picture for picture in trained if picture is not None))


@pictures_of.register
def _(record: Search) -> tuple[Picture, ...]:
    found = (accuracy_charts.plans_of_search(record), accuracy_charts.front_of_search(record))
    return tuple(picture for picture in found if picture is not None)


@pictures_of.register
def _(record: Plan) -> tuple[Picture, ...]:
    found = (accuracy_charts.front_of_plan(record), cost_charts.latency(record.latency))
    return tuple(picture for picture in found if picture is not None)


@pictures_of.register
def _(record: PrecisionSweep) -> tuple[Picture, ...]:
    return (accuracy_charts.over_bits(record),)


@pictures_of.register
def _(record: Inspection) -> tuple[Picture, ...]:
    found = (cost_charts.sites(record), cost_charts.coverage(record))
    return tuple(picture for picture in found if picture is not None)


@pictures_of.register
def _(record: EnergyCount) -> tuple[Picture, ...]:
    return (cost_charts.layers(record),)


@pictures_of.register
def _(record: Campaign) -> tuple[Picture, ...]:
    return (*campaign_charts.over_rates(record), *cost_charts.where_it_hurts_so_far(record))


@pictures_of.register
def _(record: Vulnerability) -> tuple[Picture, ...]:
    return (cost_charts.where_it_hurts(record),)


def chart_of(record: Readable) -> Chart | None:
    """The chart that says most of a record; None where it has none, or nothing to draw in it."""
    first = next(iter(pictures_of(record)), None)
    return first if isinstance(first, Chart) and not first.empty else None
