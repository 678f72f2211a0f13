"""Generators of several sizes for one frozen model: each trained, measured and kept, and the best trade-offs told.

What a search has finished is told by the records in its folder, so a search that was killed goes on when it is started
again with the same settings; within a candidate, the checkpoint of `protect` goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from nfkit.access.runtime import Level
from nfkit.data import Dataset
from nfkit.energy import Saving, compare, count
from nfkit.errors import ModelError, OptionError, OutputError
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.spec import InputSpec
from nfkit.model import load, sha256
from nfkit.outputs import write_atomically
from nfkit.plans.bare_base import milder_record
from nfkit.plans.front import Point, Search
from nfkit.plans.generator_choice import choose, classes_of, cost_of
from nfkit.plans.operating_points import Strengths
from nfkit.remedies.neuralfuse import protect
from nfkit.reports.tradeoff import draw

if TYPE_CHECKING:
    from nfkit.learn.config import TrainConfig
    from nfkit.learn.train import Progress

_SIZES = 4
"""Widths that are tried where none are given."""


def find_candidates(
    base: ir.Model,
    image_shape: tuple[int, int, int],
    strength: Strengths,
    *,
    budget: float | None = None,
    widths: Sequence[int] = (),
    generators: Sequence[str] = (),
) -> tuple[list[Saving], list[str]]:
    """The generators to train, decided by counting alone.

    Args:
        base: The frozen model; not changed.
        image_shape: (channels, height, width) of its images.
        strength: The bit error rate to train for.
        budget: Largest weight accesses of a generator over those of the base; by default half of what the voltage
            saves.
        widths: Widths of hint generators; by default the widest within the budget, and halves of it.
        generators: Names of generators besides.

    Returns:
        What each candidate saves, by rising accesses, so that the search begins with the one that saves most; and the
        names of those that read more than the budget.

    Raises:
        OptionError: When the curve knows no voltage for the rate, or no generator fits the budget.
        ModelError: When the model is protected already, or its accesses cannot be counted.
    """
    refuse_faults(base)
    if is_fused(base):
        raise ModelError("the model is protected already: give the base, or take it out with nfkit split")
    point = strength.points[0]
    if point is None:
        raise OptionError(
            f"'{strength.curve.name}' knows no voltage for a bit error rate of {100 * strength.rates[0]:.3g} %, so "
            "nothing can be weighed against energy: choose another --curve, or give --extrapolate"
        )
    sizes = list(widths)
    if not sizes:
        widest = choose(base, image_shape, "auto", point, strength.curve, budget=budget)
        sizes = _halves(int(widest.name.removeprefix("hint-")))
    share = budget if budget is not None else (1 - point.energy) / 2
    counted, classes = count(base), classes_of(base)
    names = dict.fromkeys([*(f"hint-{width}" for width in sizes), *generators])
    savings = [compare(name, counted, cost_of(name, image_shape, classes), point, strength.curve) for name in names]
    savings.sort(key=lambda saving: saving.overhead)
    fitting = [saving for saving in savings if saving.overhead <= share]
    if not fitting:
        least = savings[0]
        raise OptionError(
            f"no candidate reads at most {100 * share:.3g} % of the base's accesses; {least.name} reads "
            f"{100 * least.overhead:.3g} %: raise --energy-budget, or give smaller --widths"
        )
    return fitting, [saving.name for saving in savings if saving.overhead > share]


def search(
    source: Path,
    data: Dataset,
    test: Dataset,
    spec: InputSpec,
    config: TrainConfig,
    strength: Strengths,
    generators: Sequence[str],
    folder: Path,
    *,
    left_out: Sequence[str] = (),
    chips: int = 10,
    level: Level = "all",
    force: bool = False,
    command: str = "",
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Search:
    """Trains and measures every candidate that the folder does not hold yet.

    Writes, in the folder, `MODEL.GENERATOR.nf.onnx` and its record `MODEL.GENERATOR.nf.json` for each candidate,
    `front.json` after each of them, and in the end the picture `front.svg` where matplotlib is installed.

    Args:
        source: The frozen model's file.
        data: Labelled samples to train on.
        test: Labelled samples to measure on.
        spec: The model's input.
        config: Training settings; each candidate takes the place of its generator.
        strength: The bit error rate of the settings with its voltage.
        generators: Names of the candidates, in the order to train them.
        folder: Where to write; made if there is none.
        left_out: Names that did not fit the budget, for the record.
        chips: How many unseen chips to measure on.
        level: Optimisation level of the measurement.
        force: Whether to replace candidates of other settings.
        command: The command line behind the call, for the records of the candidates that it makes.
        on_stage: Called with a sentence when a new stage begins.
        on_progress: Called after each training step.

    Raises:
        NfkitError: When something does not fit; before any training where the folder holds files of other settings.
    """
    _make(folder)
    shared = {
        "model": sha256(source), "data": data.sha256, "test": test.sha256, "input": spec.to_dict(),
        "chips": chips, "level": level,
    }  # fmt: skip
    slots = [_Slot.of(source, folder, replace(config, generator=name), shared) for name in generators]
    for slot in slots:
        slot.check(force)
    result = Search(config.errors.rate, (), tuple(left_out), strength)
    for number, slot in enumerate(slots, 1):
        record, name = slot.finished(), slot.config.generator
        reused = record is not None
        on_stage(f"candidate {number} of {len(slots)}: {name}" + (", made before" if reused else ""))
        if record is None:
            made = protect(
                source, data, test, spec, slot.config, slot.output,
                chips=chips, level=level, force=True, on_stage=on_stage, on_progress=on_progress,
            )  # fmt: skip
            record = {"command": command, **made.to_dict(), "search": slot.settings}
        rates = [entry["ber"] for entry in record["evaluate"]["summary"]]
        record["evaluate"].update(strength.at(rates).to_record(load(slot.output)))
        record["evaluate"].update(milder_record(record["evaluate"]))
        slot.write(record)
        point = Point.read(record, slot.output, result.ber, reused=reused)
        result = replace(result, points=(*result.points, point), interrupted=record["interrupted"])
        write_atomically(folder / "front.json", _to_json(result.to_dict()))
        if result.interrupted:
            on_stage(f"the search ends here; the same command trains {name} anew and goes on")
            break
    try:
        write_atomically(folder / "front.svg", draw(result.tradeoffs(), "svg"))
    except OptionError as error:  # the picture is an extra, and the search is not lost for want of it
        on_stage(f"no front.svg: {error}; then give the same command again")
    return result


@dataclass(frozen=True)
class _Slot:
    """Where a candidate is kept, and the settings that it is made with."""

    output: Path
    config: TrainConfig
    settings: dict[str, Any]

    @classmethod
    def of(cls, source: Path, folder: Path, config: TrainConfig, shared: dict[str, Any]) -> _Slot:
        output = folder / f"{source.name.removesuffix('.onnx')}.{config.generator}.nf.onnx"
        settings = {**shared, **config.to_dict()}
        return cls(output, config, json.loads(json.dumps(settings)))  # as a record states it: lists for tuples

    @property
    def path(self) -> Path:
        """The record beside the file."""
        return self.output.with_suffix(".json")

    def read(self) -> dict[str, Any]:
        """The record; empty where there is none that can be read."""
        try:
            record = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def check(self, force: bool) -> None:
        """Refuses to replace what was made with other settings."""
        if force or not self.output.exists():
            return
        record = self.read()
        made = record.get("search")
        if made is None:
            raise OptionError(
                f"'{self.output}' exists without the record of a search: choose another folder or --force"
            )
        differing = [name for name in self.settings if made.get(name) != self.settings[name]]
        if differing:
            raise OptionError(
                f"'{self.output}' was made with other settings ({', '.join(differing)}): choose another folder, or "
                "give --force to train such candidates anew"
            )
        if not self._is_whole(record):
            raise OptionError(f"'{self.output}' was changed since the search made it: choose another folder or --force")

    def finished(self) -> dict[str, Any] | None:
        """The record of a candidate that need not be trained again."""
        record = self.read()
        if not self.output.exists() or record.get("search") != self.settings or record.get("interrupted"):
            return None
        return record if self._is_whole(record) else None

    def write(self, record: dict[str, Any]) -> None:
        """Writes the record, unless it says so already."""
        content = _to_json(record)
        if not self.path.exists() or self.path.read_bytes() != content:
            write_atomically(self.path, content)

    def _is_whole(self, record: dict[str, Any]) -> bool:
        stated: str = record.get("evaluate", {}).get("model", {}).get("sha256", "")
        return stated == sha256(self.output)


def _halves(width: int) -> list[int]:
    """A width, a half, a quarter, ... of it, as multiples of 8: at most `_SIZES` of them."""
    sizes = (max(8, width // 2**step // 8 * 8) for step in range(_SIZES))
    return list(dict.fromkeys(sizes))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{folder}' ({error.strerror}): choose another with -o") from error


def _to_json(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=1) + "\n").encode()
