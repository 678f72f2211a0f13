"""Options that several commands share, in the groups in which the help shows them.

Each group knows how the library calls what it holds: `settings` gives the arguments of a workflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from nfkit.cli.grouped import parse_share, parse_shares
from nfkit.cli.options import numbers
from nfkit.cli.streams import note

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
    """One bit error rate or voltage to train for."""

    TITLE: ClassVar[str] = BASIC
    ber: Annotated[
        str | None, typer.Option("--ber", metavar="RATE", help="Bit error rate per cell to train for, such as 1%; 1 %.")
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
class Faults:
    """What low voltage does to the weight memory, and how that holds them."""

    TITLE: ClassVar[str] = "Faults"
    kind: Annotated[str, typer.Option("--kind", metavar="stuck|flip|asymmetric", help="What a faulty cell does.")] = (
        "stuck"
    )
    set_share: Annotated[
        float, typer.Option("--set-share", help="Share of errors that write a 1 (stuck, asymmetric).")
    ] = 0.5
    memory_layout: Annotated[
        str,
        typer.Option(
            "--memory-layout",
            metavar="LAYOUT",
            help="Which cell holds what: iid, array[:ROWSxCOLUMNS], reference, cluster[:BLOCK:SHAPE], measured:FOLDER.",
        ),
    ] = "iid"
    protect_top: Annotated[
        int, typer.Option("--protect-top", min=0, metavar="N", help="How many top bits of every weight never err.")
    ] = 0
    protect_bit: Annotated[
        list[int] | None, typer.Option("--protect-bit", help="A bit position that never errs, 0 the lowest; repeat.")
    ] = None
    protect_site: Annotated[
        list[str] | None, typer.Option("--protect-site", help="Pattern of weight sites that never err; repeat.")
    ] = None
    storage: Annotated[
        str,
        typer.Option(
            "--storage",
            metavar="as-stored|twos-complement|sign-magnitude|offset-binary|gray",
            help="Which word of bits stands for which code.",
        ),
    ] = "as-stored"
    ecc: Annotated[
        str,
        typer.Option(
            "--ecc",
            metavar="none|secded-32|secded-64|secded-32-zero|secded-64-zero",
            help="Error correction: of two errors a word comes back as read, or with -zero as 0.",
        ),
    ] = "none"
    curve: Annotated[
        str, typer.Option("--curve", metavar="NAME|CSV", help="Voltage curve: stutz-2021, neuralfuse, or a CSV file.")
    ] = "stutz-2021"
    extrapolate: Annotated[bool, typer.Option("--extrapolate", help="Go on beyond the ends of the curve.")] = False
    layout_map: Annotated[str | None, typer.Option("--layout-map", hidden=True)] = None

    def settings(self) -> dict[str, Any]:
        """The arguments of a workflow that say what errs, and at which voltage."""
        return {
            "kind": self.kind,
            "set_share": self.set_share,
            "layout": _renamed("--layout-map", self.layout_map, "--memory-layout", self.memory_layout),
            "protected_top": self.protect_top,
            "protected_bits": tuple(self.protect_bit or ()),
            "protected_sites": tuple(self.protect_site or ()),
            "storage": self.storage,
            "ecc": self.ecc,
            "curve": self.curve,
            "extrapolate": self.extrapolate,
        }


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
        typer.Option("--mirror/--no-mirror", help="Augment: mirror images; by default as the data set says."),
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
    input_layout: Annotated[
        str | None, typer.Option("--input-layout", metavar="NCHW|NHWC|NHW|NC", help="Order of the input's axes.")
    ] = None
    range_: Annotated[
        tuple[float, float] | None, typer.Option("--range", metavar="LOW HIGH", help="Valid range of the input.")
    ] = None
    mean: Annotated[
        str | None,
        typer.Option("--mean", metavar="M[,M..]", help="Mean that images in [0, 1] were normalised with."),
    ] = None
    std: Annotated[str | None, typer.Option("--std", metavar="S[,S..]", help="Standard deviation to go with it.")] = (
        None
    )
    layout: Annotated[str | None, typer.Option("--layout", metavar="NCHW|NHWC|NHW|NC", hidden=True)] = None

    def settings(self) -> dict[str, Any]:
        """The arguments of a workflow that describe the input."""
        return {
            "input_layout": _renamed("--layout", self.layout, "--input-layout", self.input_layout),
            "value_range": self.range_,
            "mean": numbers("mean", self.mean),
            "std": numbers("std", self.std),
        }

    def form(self) -> tuple[str | None, tuple[float, float] | None, str | None, str | None]:
        """Layout, range, mean and standard deviation as they were typed."""
        return self.settings()["input_layout"], self.range_, self.mean, self.std


@dataclass(frozen=True)
class Measuring:
    """How much is measured."""

    TITLE: ClassVar[str] = "Measuring"
    chips: Annotated[int, typer.Option("--chips", min=1, help="Unseen chips to measure on.")] = 10
    optimization: Annotated[
        str, typer.Option("--optimization", metavar="none|basic|extended|all", help="ONNX Runtime's level.")
    ] = "all"

    def settings(self) -> dict[str, Any]:
        """The arguments of a workflow that measures."""
        return {"chips": self.chips, "level": self.optimization}


@dataclass(frozen=True)
class Record:
    """Where the record goes."""

    TITLE: ClassVar[str] = "Output"
    json: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write the record as JSON; - for stdout.")
    ] = None

    def file(self) -> Path | None:
        """The file, if it is one."""
        return None if self.json in (None, "-") else Path(str(self.json))


@dataclass(frozen=True)
class SeenRecord(Record):
    """Where the record goes, and how it is seen."""

    report: Annotated[
        Path | None, typer.Option("--report", metavar="HTML", help="Show it as a page too, as nfkit report does.")
    ] = None
    chart: Annotated[
        bool | None,
        typer.Option("--chart/--no-chart", help="Draw accuracy in the terminal; by default where there is one."),
    ] = None


def _renamed(old: str, given: str | None, new: str, value: str | None) -> str | None:
    """What an option says that is also read under its old name."""
    if given is None:
        return value
    note(f"{old} is called {new} now; the old name goes in the next version")
    return given
