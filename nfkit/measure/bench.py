"""A model on the bench: its halves taken apart once, its samples encoded once, any chip then run on demand.

Every chip is a model of its own: the same file, with the codes that this chip returns in place of those it stores.
They are written into the model before ONNX Runtime sees it: initializers that are overridden in a session come too late
for some of its optimisations, which would then compute with the faultless codes.
Errors hit the base's weights only, since the generator runs at nominal voltage; `fault_generator` is the stress case
in which it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner
from nfkit.access.swapping import Swapper
from nfkit.data import Dataset
from nfkit.errors import OptionError
from nfkit.faults import BitErrors, Chip, Iid, Layout
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import evidence_of, split
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import WeightSite, codes, fault_sites
from nfkit.measure.early import EarlyShare, early_share
from nfkit.measure.plausibility import refuse_reconstruction
from nfkit.model import sha256
from nfkit.parallel import cores
from nfkit.reports.figures import pack
from nfkit.reports.operating_point import Row

Codes = dict[str, npt.NDArray[Any]]
Correct = npt.NDArray[np.bool_]
"""Whether a model is right about each image, [images]."""

Setting = tuple[BitErrors, int]
"""Bit errors and the seed of a chip."""


@dataclass(frozen=True)
class Basis:
    """What a base's accuracies depend on, besides bit error rate and chip.

    Attributes:
        base: Digest of the base's graph.
        data: Digest of the samples.
        input: The base's input.
        errors: Kind of the bit errors, at no rate.
        layout: How the chips hold the weights.
        level: Optimisation level of ONNX Runtime.
    """

    base: str
    data: str
    input: InputSpec
    errors: BitErrors
    layout: Layout
    level: Level

    def differences(self, other: Basis) -> list[str]:
        """Names of the attributes in which the two differ."""
        return [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]


class Bench:
    """A base or a fused model with the samples that it is measured on.

    Attributes:
        fused: Whether there is a generator in front.
        base: The base.
        sites: The base's weight sites, which errors hit.
        clean_base: Which samples the base gets right without errors.
        clean_protected: The same of the fused model; None for a bare base.
        alone: The same of the generator's own class evidence, without the base; None where it yields none.
        early: How many samples are answered early; None where the base always runs.

    Args:
        model: A frozen base, or a fused model; not changed.
        data: Labelled samples.
        spec: The model's input.
        layout: How chips hold the weights; `iid` by default.
        fault_generator: Whether errors hit the generator's weights as well.
        level: Optimisation level of ONNX Runtime.

    Raises:
        DataError: When the data does not fit the model.
        ModelError: When the model holds no integer weights, or ONNX Runtime fails.
    """

    def __init__(
        self,
        model: ir.Model,
        data: Dataset,
        spec: InputSpec,
        *,
        layout: Layout | None = None,
        fault_generator: bool = False,
        level: Level = "all",
    ) -> None:
        refuse_faults(model)
        self.fused, self.data, self.level = is_fused(model), data, level
        self.layout: Layout = layout or Iid()
        self._model, self._spec = model, spec
        prefix, self.base = split(model) if self.fused else (None, model)
        self.sites = fault_sites(self.base)
        self._stored = {site.name: codes(self.base, site) for site in self.sites}
        self._more = _generator_sites(model) if self.fused and fault_generator else []
        self._stored_more = {site.name: codes(model, site) for site in self._more}
        self._swapper = Swapper(self.base, list(self._stored), level=level)
        self._whole = Swapper(model, [*self._stored, *self._stored_more], level=level) if self.fused else self._swapper
        self._x = spec.encode(data.x)
        samples = len(data)
        runner = Runner(self.base, level=level, samples=samples)
        data.check_labels(refuse_reconstruction(runner, self._x, data))
        self.clean_base = self._correct(runner)
        self.clean_protected = self._correct(Runner(model, level=level, samples=samples)) if self.fused else None
        evidence = evidence_of(prefix) if prefix is not None else None
        self.alone: Correct | None = None
        self.early: EarlyShare | None = None
        if evidence is not None:
            looking = Runner(evidence, level=level, samples=samples)
            self.alone = self._correct(looking)
            self.early = early_share(model, looking(self._x))

    @property
    def images(self) -> npt.NDArray[Any]:
        """The samples in the model's input space, [N, ...]."""
        return self._x

    @property
    def generator_faulted(self) -> bool:
        """Whether errors hit weights of the generator."""
        return bool(self._more)

    @property
    def site_names(self) -> list[str]:
        """Names of all memories that errors hit."""
        return [site.name for site in (*self.sites, *self._more)]

    def basis(self, errors: BitErrors) -> Basis:
        """What base accuracies under errors of this kind depend on."""
        # The range's source is for reports; no accuracy depends on it.
        spec = replace(self._spec, source="")
        return Basis(sha256(self.base), self.data.sha256, spec, errors.at(0.0), self.layout, self.level)

    def run(
        self,
        settings: Sequence[Setting],
        *,
        protected: bool = True,
        known: Mapping[tuple[float, int], Row] | None = None,
    ) -> Iterable[Row]:
        """Runs chips, one a core, and yields their rows in order.

        Args:
            settings: Bit errors and seed of each.
            protected: Whether to run the fused model as well as its base.
            known: Rows whose base accuracies, and protected ones where they have them, need not be measured again.
        """
        if not settings:
            return
        protected = protected and self.fused

        def measure(setting: Setting, threads: int) -> Row:
            before = (known or {}).get((setting[0].rate, setting[1]))
            return self._row(setting, before, threads, protected)

        # One chip a core beats many cores a chip: small models do not fill several. What is left share them.
        left = len(settings) % cores()
        threads = [1] * (len(settings) - left) + [max(1, cores() // max(1, left))] * left
        with ThreadPoolExecutor(min(cores(), len(settings))) as pool:
            yield from pool.map(measure, settings, threads)

    def _row(self, setting: Setting, known: Row | None, threads: int, protected: bool) -> Row:
        errors, seed = setting
        chip = Chip(seed, self.layout)
        read, cells, bits = read_codes(chip, errors, self.sites, self._stored)
        if known is None:
            correct = self._correct(self._swapper.open(read, threads=threads, samples=len(self.data)))
            known = Row(errors.rate, seed, cells, bits, float(correct.mean()), base_correct=pack(correct))
        row = Row(errors.rate, seed, cells, bits, known.base, base_correct=known.base_correct)
        if not protected:
            return row
        read_more, _, _ = read_codes(chip, errors, self._more, self._stored_more)
        whole = self._whole.open({**read, **read_more}, threads=threads, samples=len(self.data))
        correct = self._correct(whole)
        return Row(
            row.ber, seed, cells, bits, row.base, float(correct.mean()), row.base_correct, pack(correct)
        )  # fmt: skip

    def _correct(self, runner: Runner) -> Correct:
        right: Correct = runner.classify(self._x) == self.data.y
        return right


def check_strengths(errors: Sequence[BitErrors], chips: Sequence[int]) -> None:
    """Refuses what would count something twice, or put different things under one rate.

    Raises:
        OptionError: When there is nothing to measure, rates or chips repeat, or kinds differ.
    """
    if not errors or not chips:
        raise OptionError("nothing to measure: give at least one bit error rate and one chip")
    for entry in errors[1:]:
        if entry.at(0.0) != errors[0].at(0.0):
            raise OptionError(
                f"errors of different kinds ({errors[0].kind} and {entry.kind}, or other shares or protected cells) "
                "would share a table by their rates, which count different things: measure them one after the other"
            )
    if repeated := _repeated([entry.rate for entry in errors]):
        raise OptionError(
            f"the bit error rate {repeated:g} is given twice, which would count its chips twice: give it once"
        )
    if repeated := _repeated(chips):
        raise OptionError(
            f"chip {repeated} is given twice, which would narrow every interval for nothing: give it once"
        )


def _repeated(values: Sequence[Any]) -> Any:
    return next((value for i, value in enumerate(values) if value in values[:i]), None)


def _generator_sites(model: ir.Model) -> list[WeightSite]:
    return [site for site in fault_sites(model, generator=True) if site.part == "generator"]


def read_codes(chip: Chip, errors: BitErrors, sites: Sequence[WeightSite], stored: Codes) -> tuple[Codes, int, int]:
    """What a chip returns for weight sites.

    Args:
        chip: The chip.
        errors: Rate and kind of its errors.
        sites: The sites.
        stored: Their codes by name.

    Returns:
        Codes by site, faulty cells, and how many stored bits come back wrong.
    """
    read, cells, bits = {}, 0, 0
    for site in sites:
        faults = chip.faults(site, errors)
        returned = faults.read(stored[site.name])
        read[site.name] = np.ascontiguousarray(returned.codes)
        cells += faults.faulty_cells()
        bits += returned.flipped
    return read, cells, bits


RowCallback = Callable[[Row], None]
