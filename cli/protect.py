"""`nfkit protect`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped
from nfkit.cli.groups import Aim, Batches, Budget, Faults, Measuring, ModelInput, Rate, SeenRecord
from nfkit.cli.remote import Remote
from nfkit.errors import OptionError

_OF_DEVICE = (
    "data", "test_data", "memory_layout", "layout_map", "curve", "batch", "mirror", "seed", "optimization",
)  # fmt: skip
"""Options that may be given with --chip, besides budget, rate and output; all others are those of the file."""


@dataclass(frozen=True)
class Samples:
    """What is learned from, and measured on."""

    TITLE: ClassVar[str] = "Basic"
    data: options.FoundData = None
    test_data: options.TestData = None
    labels: options.Labels = "data"


@dataclass(frozen=True)
class Written:
    """What is written."""

    TITLE: ClassVar[str] = "Basic"
    output: Annotated[Path | None, typer.Option("-o", "--output", help="By default MODEL.nf.onnx beside it.")] = None
    force: options.Force = False


@dataclass(frozen=True)
class Generating:
    """Which generator, and what may stop it before it is trained."""

    TITLE: ClassVar[str] = "Generator"
    generator: Annotated[
        str, typer.Option("--generator", help="Architecture, or auto: the widest hint within the energy budget.")
    ] = "auto"
    energy_budget: options.EnergyBudget = None
    generator_precision: Annotated[
        str, typer.Option("--generator-precision", metavar="int8|float", help="Its numbers in the file.")
    ] = "int8"
    amplitude: Annotated[float, typer.Option("--amplitude", help="Bound of the class patterns.")] = 1.0
    caution: Annotated[
        float, typer.Option("--caution", help="How fast a hint's patterns fade where it is unsure of the class.")
    ] = 4.0
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Go on with a generator that costs more energy than it saves.")
    ] = False
    allow_low_accuracy: options.AllowLowAccuracy = False

    def settings(self) -> dict[str, Any]:
        """The arguments of the workflow."""
        return {**vars(self), "energy_budget": options.parse_share(self.energy_budget)}


@dataclass(frozen=True)
class Answering:
    """Who answers, and how far each is trusted."""

    TITLE: ClassVar[str] = "Answer"
    answer: Annotated[
        str, typer.Option("--answer", metavar="auto|base|both", help="Who answers: base (as published), or both ends.")
    ] = "auto"
    residual: Annotated[
        bool | None,
        typer.Option("--residual/--no-residual", help="Whether the generator changes the base's input too."),
    ] = None
    early: Annotated[bool, typer.Option("--early", help="Spare the base where the generator is sure.")] = False
    early_loss: Annotated[
        str | None,
        typer.Option(
            "--early-loss",
            metavar="SHARE",
            help="Accuracy that answers without the base may cost; 0.5 %, and 1 % behind an address.",
        ),
    ] = None
    trust_data: Annotated[
        str | None,
        typer.Option("--trust-data", help="Samples that the base has not seen, to fit its trust; like --data."),
    ] = None
    base_accuracy: Annotated[
        str | None, typer.Option("--base-accuracy", metavar="SHARE", help="Or what it scores on such samples.")
    ] = None
    teaching: Annotated[
        float | None, typer.Option("--teaching", help="Weight of the base's own answers in teaching the generator.")
    ] = None

    def loss(self, usual: float) -> float:
        """What early answers may cost."""
        return usual if self.early_loss is None else options.parse_percent("--early-loss", self.early_loss)

    def settings(self) -> dict[str, Any]:
        """The arguments of the workflow."""
        accuracy = self.base_accuracy
        return {
            "answer": self.answer, "residual": self.residual, "early": self.early, "trust_data": self.trust_data,
            "base_accuracy": None if accuracy is None else options.parse_percent("--base-accuracy", accuracy),
            **({} if self.teaching is None else {"teaching": self.teaching}),
        }  # fmt: skip


@dataclass(frozen=True)
class Limited:
    """What helps where the base has no gradients."""

    TITLE: ClassVar[str] = "Limited access"
    surrogate: Annotated[
        list[Path] | None,
        typer.Option(
            "--surrogate",
            metavar="MODEL",
            help="A model of the same task to train through, where the base has no gradients, or is behind an address; "
            "repeat.",
        ),
    ] = None
    distil: Annotated[
        int | None,
        typer.Option(
            "--distil",
            metavar="N",
            help="Make such a model by imitating the base's answers to N training samples, each a query.",
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """The arguments of the workflow."""
        return {"surrogates": tuple(self.surrogate or ()), "distil": self.distil}


@dataclass(frozen=True)
class Objective:
    """What training weighs."""

    TITLE: ClassVar[str] = "Training"
    passes: Annotated[int, typer.Option("--passes", help="How many copies see each sample, up to N.")] = 1
    weight: Annotated[float, typer.Option("--weight", help="Weight of perturbed against clean (lambda).")] = 3.0
    warm_start: Annotated[
        bool, typer.Option("--warm-start/--no-warm-start", help="Prepare the generator before EOPM.")
    ] = True


@dataclass(frozen=True)
class OneDevice:
    """A protected file for one device."""

    TITLE: ClassVar[str] = "One device"
    chip: Annotated[
        int | None,
        typer.Option("--chip", metavar="N", help="Train a protected file's patterns for this chip alone, in minutes."),
    ] = None
    chip_map: Annotated[
        Path | None,
        typer.Option("--chip-map", metavar="FOLDER", help="Its faulty cells as measured; --chip is then its place."),
    ] = None

    @property
    def wanted(self) -> bool:
        """Whether it is one device that the file is for."""
        return self.chip is not None or self.chip_map is not None


@grouped
def protect(
    model: Annotated[str, typer.Argument(help="Quantised ONNX file, never changed; or https://HOST/v2/models/NAME.")],
    *,
    samples: Samples,
    aim: Aim,
    rate: Rate,
    budget: Budget,
    written: Written,
    answering: Answering,
    limited: Limited,
    generating: Generating,
    objective: Objective,
    batches: Batches,
    faults: Faults,
    measuring: Measuring,
    model_input: ModelInput,
    remote: Remote,
    device: OneDevice,
    record: SeenRecord,
) -> None:
    """Train a generator for a frozen model and fuse the two into one file that withstands bit errors.

    For a base behind an address, it trains a generator that only looks, fits trust in both by asking the base, and
    writes the front alone, for nfkit.Guarded.

    With --max-loss it says first what can be had without a generator, and then chooses voltage, trust and threshold
    of the file together, for the least energy; half of the test data chooses, the other half confirms.

    With --chip or --chip-map it makes of a protected file (--answer base) one for a single device whose faulty cells
    are known: its patterns alone are trained, for two minutes.

    Ctrl-C ends the training early and still gives a valid file. A run that was killed goes on when the same command
    is given again. Started by torchrun, several processes train one generator.
    """
    from nfkit.access.address import is_address
    from nfkit.cli import console
    from nfkit.cli.remote import protect_address
    from nfkit.model import default_output
    from nfkit.workflows.protection import DEFAULT_EARLY_LOSS
    from nfkit.workflows.protection import protect as run

    if is_address(model):
        if device.wanted:
            raise OptionError("--chip and --chip-map are for files: behind an address no cells are known")
        if aim.max_loss is not None:
            raise OptionError("--max-loss is for files: behind an address no chips are simulated to plan with")
        simulated = rate.ber is not None and not limited.surrogate and limited.distil is None
        if simulated or rate.vdd is not None or generating.energy_budget is not None:
            raise OptionError(
                "--ber, --vdd and --energy-budget are for files: behind an address nothing is simulated or counted; "
                "with --surrogate or --distil, --ber says at which rate the device works"
            )
        protect_address(
            model, samples.data, samples.test_data, samples.labels, written.output, remote, generating.generator,
            budget.epochs, budget.minutes, batches.batch, batches.mirror, batches.shift or 0, batches.seed,
            answering.loss(0.01), measuring.optimization, model_input.settings(), written.force, record,
            tuple(limited.surrogate or ()), rate.settings()["ber"], limited.distil,
        )  # fmt: skip
        return
    remote.refuse()
    if device.wanted:
        groups = (aim, answering, limited, generating, objective, samples, faults, batches, measuring, model_input)
        _refuse_with_chip(*groups)
        _protect_device(model, samples, rate, budget, written, batches, faults, measuring, device, record)
        return
    output = written.output or default_output(Path(model))
    files = {"the data": samples.data, "the test data": samples.test_data, "the curve": faults.curve}
    models = {"the model": Path(model)} | {f"surrogate {path}": path for path in limited.surrogate or ()}
    console.check_outputs(
        record.json, {"-o": output}, report=record.report, models=models, files=files, force=written.force
    )
    with console.working("training ends where it is; what was learned is written and measured") as display:
        result = run(
            model, samples.data, samples.test_data, output=output, labels=samples.labels,  # type: ignore[arg-type]
            record=record.file(), force=written.force, command=console.command_line(),
            on_stage=display.say, on_progress=display,
            early_loss=answering.loss(DEFAULT_EARLY_LOSS), **answering.settings(), **limited.settings(),
            **aim.settings(),
            **rate.settings(), **budget.settings(), **generating.settings(), **vars(objective), **batches.settings(),
            **faults.settings(), **measuring.settings(), **model_input.settings(),
        )  # fmt: skip
    console.show(result, "-" if record.json == "-" else None, record.report, record.chart)


def _refuse_with_chip(*groups: Any) -> None:
    """Refuses options that a device's file has from the one that it is made of."""
    for group in groups:
        for field in fields(group):
            if field.name not in _OF_DEVICE and getattr(group, field.name) != field.default:
                name = field.name.rstrip("_").replace("_", "-")
                raise OptionError(
                    f"--{name} cannot be given with --chip: of a device's file the patterns alone are new, by data, "
                    "rate, budget, batch and seed"
                )


def _protect_device(
    model: str,
    samples: Samples,
    rate: Rate,
    budget: Budget,
    written: Written,
    batches: Batches,
    faults: Faults,
    measuring: Measuring,
    device: OneDevice,
    record: SeenRecord,
) -> None:
    from nfkit.cli import console
    from nfkit.workflows.device import device_output
    from nfkit.workflows.device import protect_device as run

    chip = device.chip or 0
    output = written.output or device_output(Path(model), chip)
    layout = None if faults.layout() == "iid" else faults.layout()
    if device.chip_map is not None:
        if layout is not None:
            raise OptionError("--chip-map and --memory-layout both say which cells are faulty: give one of them")
        layout = f"measured:{device.chip_map}"
    files = {"the data": samples.data, "the test data": samples.test_data, "the curve": faults.curve}
    console.check_outputs(
        record.json, {"-o": output}, report=record.report, models={"the model": Path(model)}, files=files,
        force=written.force,
    )  # fmt: skip
    with console.working("training ends where it is; what was learned is written and measured") as display:
        result = run(
            model, samples.data, chip, test=samples.test_data, output=output, layout=layout, curve=faults.curve,
            batch=batches.batch, mirror=bool(batches.mirror), seed=batches.seed, level=measuring.optimization,  # type: ignore[arg-type]
            force=written.force, record=record.file(), command=console.command_line(), on_stage=display.say,
            on_progress=display, **rate.settings(), **budget.settings(),
        )  # fmt: skip
    console.show(result, "-" if record.json == "-" else None, record.report, record.chart)
