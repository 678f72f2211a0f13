"""A protected file with modes: levels from the trust that was fitted for each rate, measured, and written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.deploy.figures import TRAINING_KEY, read_errors
from nfkit.errors import ModelError, OptionError
from nfkit.faults import EVALUATION_CHIPS, BitErrors, Layout
from nfkit.faults.layouts import Iid
from nfkit.graph.fusion.dial import fitted_trust, with_trust
from nfkit.graph.fusion.fused import FITS_KEY, is_fused
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.modes.giving import with_modes
from nfkit.graph.fusion.modes.record import NOMINAL, Mode, mode_of
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.bench import Bench
from nfkit.measure.evaluation import measure
from nfkit.measure.statistics import share
from nfkit.model import ModelLike, load, save, sha256
from nfkit.outputs import PathLike
from nfkit.plans.operating_points import Scale
from nfkit.progress import Counter, OnProgress, silent
from nfkit.reports.figures import Spread
from nfkit.reports.modes import ModeFacts, Modes
from nfkit.reports.provenance import DataFacts, versions
from nfkit.workflows import inputs
from nfkit.workflows.evaluation import count_costs, describe_row
from nfkit.workflows.inputs import CurveLike, DataLike
from nfkit.workflows.intake import data_for_measuring

LOW = "low"
"""Name of the mode at the rate that a file was made for."""


def build_modes(
    protected: ModelLike,
    output: PathLike,
    data: DataLike | None = None,
    *,
    ber: Sequence[float] | None = None,
    default: str | None = None,
    curve: CurveLike = "stutz-2021",
    chips: int = inputs.DEFAULT_CHIPS,
    samples: int | None = None,
    level: Level = "all",
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
) -> Modes:
    """Gives a protected file modes: the base alone, and one level for each bit error rate.

        nfkit.build_modes("model.nf.onnx", "switched.nf.onnx", "test.npz")

    Args:
        protected: A protected model without modes: a path, a ModelProto or an onnx-ir model; never changed.
        output: Where to write the file with modes.
        data: Samples to measure the modes on; by default looked for beside the model.
        ber: Rates of the levels. Where both ends answer, rates that trust was fitted for, by default all of them; else
            the one that the generator was trained for.
        default: Name of the mode where a host names none; by default the one at the rate that the file was made for.
        curve: Voltage curve, by name or path.
        chips: Chips to measure on.
        samples: Use only the first samples.
        level: Optimisation level of ONNX Runtime.
        on_stage: Called with a sentence about data that was found.
        on_progress: Told how far it is.

    Raises:
        NfkitError: When the file has modes already, or something does not fit; nothing is written then.
    """
    model = load(protected)
    if not is_fused(model):
        raise ModelError("the model has no generator in front, so it has one mode: protect it first")
    kind, layout = _errors(model, ber)
    rates = _rates(model, ber, kind)
    spec = inputs.find_spec(model)
    taken = data_for_measuring(model, protected, data, spec, samples=samples, level=level)
    for sentence in taken.sentences:
        on_stage(sentence)
    counter = Counter("measuring modes", len(rates) * chips, on_progress)
    meter = _Meter(
        taken.test, spec, kind, layout, EVALUATION_CHIPS[:chips],
        inputs.scale_of(model, kind, curve, extrapolate=False), level, counter,
    )  # fmt: skip
    both, modes, facts = read_answer(model), list[Mode](), list[ModeFacts]()
    for rate in rates:
        trust = None if both is None else fitted_trust(model, rate)
        name = LOW if rate == kind.rate or len(rates) == 1 else f"{100 * rate:g}%"
        found, nominal = meter.measure(model if trust is None else with_trust(model, trust), rate, name)
        if not facts:
            facts.append(nominal)
        facts.append(found)
        modes.append(Mode(name, rate, trust, None if both is None else both.threshold))
    described = [
        replace(mode, facts=_stated(fact, taken.test, chips)) for mode, fact in zip(modes, facts[1:], strict=True)
    ]
    switched = with_modes(
        model, described, default or next((m.name for m in modes if m.name == LOW), None),
        nominal=_stated(facts[0], taken.test, chips),
    )  # fmt: skip
    path = save(switched, output)
    return Modes(
        output=str(output), sha256=sha256(path), default=mode_of(switched).name, modes=tuple(facts),
        data=DataFacts.of(taken.test), chips=chips, curve=meter.scale.curve.name, versions=versions(),
    )  # fmt: skip


class _Meter:
    """Measures modes on the same samples and chips."""

    def __init__(
        self, data: Dataset, spec: InputSpec, kind: BitErrors, layout: Layout, chips: Sequence[int], scale: Scale,
        level: Level, counter: Counter,
    ) -> None:  # fmt: skip
        self.data, self.spec, self.kind, self.layout, self.chips = data, spec, kind, layout, chips
        self.scale, self.level, self.counter = scale, level, counter

    def measure(self, model: ir.Model, rate: float, name: str) -> tuple[ModeFacts, ModeFacts]:
        """A level, and the nominal mode of the same file."""
        bench = Bench(model, self.data, self.spec, layout=self.layout, level=self.level)
        measured = measure(
            bench, [self.kind.at(rate)], self.chips, on_row=lambda row: self.counter(describe_row(row))
        )  # fmt: skip
        (point,) = measured.points()
        assert point.protected is not None, "a fused model was measured"
        assert measured.clean_protected is not None, "without errors too"
        strength, costs = self.scale.at_rate(rate), count_costs(model, self.scale.curve, bench)
        saving = None if costs is None or isinstance(costs, ModelError) else costs.saving(strength.point)
        found = ModeFacts(
            name, rate, point.protected, measured.clean_protected,
            None if strength.point is None else strength.point.volts,
            None if saving is None else 1 - saving.by_accesses,
        )  # fmt: skip
        clean = share(measured.base)
        return found, ModeFacts(NOMINAL, 0.0, Spread(clean.accuracy, ci95=clean.ci95), clean.accuracy, 1.0, 1.0)


def _errors(model: ir.Model, ber: Sequence[float] | None) -> tuple[BitErrors, Layout]:
    """The errors that the file was made for; independent stuck cells where it does not say, and rates are given."""
    if TRAINING_KEY not in model.metadata_props and ber:
        return BitErrors(ber[0]), Iid()
    return read_errors(model)


def _rates(model: ir.Model, ber: Sequence[float] | None, kind: BitErrors) -> list[float]:
    if ber is not None:
        if not ber or min(ber) <= 0:
            raise OptionError("--ber: give bit error rates above 0; the nominal mode is there without")
        return sorted(set(ber))
    if read_answer(model) is None or FITS_KEY not in model.metadata_props:
        return [kind.rate]
    return sorted(float(entry["ber"]) for entry in json.loads(model.metadata_props[FITS_KEY]) if entry["ber"] > 0)


def _stated(facts: ModeFacts, data: Dataset, chips: int) -> dict[str, object]:
    """What a file states of a mode besides its name, rate and trust."""
    stated: dict[str, object] = msgspec.to_builtins(facts)
    for key in ("name", "ber"):
        stated.pop(key, None)
    return {**stated, "samples": len(data), "chips": chips}
