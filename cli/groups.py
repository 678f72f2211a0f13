"""Options that several commands share, in the groups in which the help shows them.

Each group knows how the library calls what it holds: `settings` gives the arguments of a workflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import parse_share, parse_shares
from nfkit.cli.options import numbers
from nfkit.cli.streams import note
from nfkit.errors import OptionError

BASIC = "Basic"


@dataclass(frozen=True)
class Rates:
    """Bit error rates or voltages to measure at."""

    TITLE: ClassVar[str] = BASIC
    ber: Annotated[
        list[str] | None,
        typer.Option("--ber", metavar="RATE[,..]", help="Bit error rates per cell, such as 1% or 0.01,0.005; 1 %."),
    ] = None
    vdd: Annotated[
        list[str] | None,
        typer.Option("--vdd", metavar="V[,..]", help="Or supply voltages over Vmin, by the voltage curve."),
    ] = None

    def settings(self) -> dict[str, Any]:
        """`ber` and `vdd` as numbers; None where they were not given."""
        return {"ber": parse_shares("--ber", self.ber), "vdd": parse_shares("--vdd", self.vdd)}


@dataclass(frozen=True)
class Rate:
    """One bit error rate or voltage."""

    TITLE: ClassVar[str] = BASIC
    ber: Annotated[
        str | None, typer.Option("--ber", metavar="RATE", help="Bit error rate per cell, such as 0.5%; 1 %.")
    ] = None
    vdd: Annotated[
        str | None, typer.Option("--vdd", metavar="V", help="Or a supply voltage over Vmin, by the voltage curve.")
    ] = None

    def settings(self) -> dict[str, Any]:
        """`ber` and `vdd` as numbers; None where they were not given."""
        return {
            "ber": None if self.ber is None else parse_share("--ber", self.ber),
            "vdd": None if self.vdd is None else parse_share("--vdd", self.vdd),
        }


@dataclass(frozen=True)
class Aim:
    """What may be lost, in place of a rate that is known."""

    TITLE: ClassVar[str] = "Basic"
    max_loss: Annotated[
        str | None,
        typer.Option(
            "--max-loss", metavar="SHARE", help="Plan for the least energy within so much lost accuracy, such as 1%."
        ),
    ] = None
    confidence: options.Confidence = "80%"
    can: options.Can = None

    def settings(self) -> dict[str, Any]:
        """The arguments of the workflow."""
        if self.max_loss is None:
            if self.can:
                raise OptionError("--can says what a plan may use: give --max-loss, too")
            return {}
        return {
            "max_loss": parse_share("--max-loss", self.max_loss), "can": options.parse_can(self.can),
            "confidence": parse_share("--confidence", self.confidence),
        }  # fmt: skip


@dataclass(frozen=True)
class Faults:
    """What low voltage does to the weight memory, and how that holds them."""

    TITLE: ClassVar[str] = "Faults"
    kind: options.Kind = "stuck"
    set_share: options.SetShare = 0.5
    memory_layout: options.MemoryLayout = "iid"
    protect_top: options.ProtectTop = 0
    protect_bit: options.ProtectBits = None
    protect_site: options.ProtectSites = None
    storage: options.Storage = "as-stored"
    ecc: options.Ecc = "none"
    curve: options.CurveName = "stutz-2021"
    extrapolate: options.Extrapolate = False
    layout_map: options.OldMemoryLayout = None

    def settings(self) -> dict[str, Any]:
        """The arguments of a workflow that say what errs, and at which voltage."""
        return {
            "kind": self.kind,
            "set_share": self.set_share,
            "layout": self.layout(),
            "protected_top": self.protect_top,
            "protected_bits": tuple(self.protect_bit or ()),
            "protected_sites": tuple(self.protect_site or ()),
            "storage": self.storage,
            "ecc": self.ecc,
            "curve": self.curve,
            "extrapolate": self.extrapolate,
        }

    def layout(self) -> str:
        """How cells hold weights, under whichever name it was given."""
        return renamed("--layout-map", self.layout_map, "--memory-layout", self.memory_layout) or "iid"


@dataclass(frozen=True)
class Budget:
    """How long to train."""

    TITLE: ClassVar[str] = BASIC
    minutes: Annotated[float | None, typer.Option("--minutes", help="Training budget of a generator; 10.")] = None
    epochs: Annotated[float | None, typer.Option("--epochs", help="Or epochs, which give the same file again.")] = None

    def settings(self) -> dict[str, Any]:
        """`minutes` and `epochs`."""
        return {"minutes": self.minutes, "epochs": self.epochs}


@dataclass(frozen=True)
class Batches:
    """What a step of training sees."""

    TITLE: ClassVar[str] = "Training"
    copies: Annotated[int, typer.Option("--copies", help="Perturbed copies of the base a step (N).")] = 4
    batch: Annotated[int, typer.Option("--batch", help="Samples a step.")] = 128
    mirror: Annotated[
        bool | None,
        typer.Option(
            "--mirror/--no-mirror",
            help="Augment: mirror images; by default as the data set says, or where the base knows them too.",
        ),
    ] = None
    shift: Annotated[
        int | None,
        typer.Option("--shift", help="Augment: largest random shift in pixels; 2 where both ends answer, else 0."),
    ] = None
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0
    precision: Annotated[
        str, typer.Option("--precision", metavar="auto|float32|bfloat16", help="Numbers to train in.")
    ] = "auto"

    def settings(self) -> dict[str, Any]:
        """The arguments of a workflow that trains."""
        return {
            "copies": self.copies, "batch": self.batch, "mirror": self.mirror, "seed": self.seed,
            "precision": self.precision, **({} if self.shift is None else {"shift": self.shift}),
        }  # fmt: skip


@dataclass(frozen=True)
class ModelInput:
    """What the model takes, where its graph does not say."""

    TITLE: ClassVar[str] = "Input"
    input_layout: options.InputLayout = None
    range_: options.Range = None
    mean: options.Mean = None
    std: options.Std = None
    layout: options.OldInputLayout = None

    def settings(self) -> dict[str, Any]:
        """The arguments of a workflow that describe the input."""
        return {
            "input_layout": renamed("--layout", self.layout, "--input-layout", self.input_layout),
            "value_range": self.range_,
            "mean": numbers("mean", self.mean),
            "std": numbers("std", self.std),
        }


@dataclass(frozen=True)
class Measuring:
    """How much is measured."""

    TITLE: ClassVar[str] = "Measuring"
    chips: options.Chips = 10
    optimization: options.Level = "all"

    def settings(self) -> dict[str, Any]:
        """The arguments of a workflow that measures."""
        return {"chips": self.chips, "level": self.optimization}


@dataclass(frozen=True)
class Record:
    """Where the record goes."""

    TITLE: ClassVar[str] = "Output"
    json: options.Json = None

    def file(self) -> Path | None:
        """The file, if it is one."""
        return None if self.json in (None, "-") else Path(str(self.json))


@dataclass(frozen=True)
class SeenRecord(Record):
    """Where the record goes, and how it is seen."""

    report: options.Report = None
    chart: Annotated[
        bool | None,
        typer.Option("--chart/--no-chart", help="Draw accuracy in the terminal; by default where there is one."),
    ] = None


def renamed(old: str, given: str | None, new: str, value: str | None) -> str | None:
    """What an option says that is also read under its old name."""
    if given is None:
        return value
    note(f"{old} is called {new} now; the old name goes in the next version")
    return given
