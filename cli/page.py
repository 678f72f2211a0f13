"""`nfkit page`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped
from nfkit.cli.groups import BASIC, ModelInput, Rates, Record


@dataclass(frozen=True)
class Shown:
    """What the page shows, and where it goes."""

    TITLE: ClassVar[str] = BASIC
    output: options.Output
    data: options.FoundData = None
    samples: Annotated[int, typer.Option("--samples", min=1, help="How many of the first samples to show.")] = 20
    labels: options.Labels = "data"
    chip: options.Chip = 50_000
    runtime: Annotated[
        Path | None,
        typer.Option("--runtime", help="Archive of the npm package onnxruntime-web, or its folder; else fetched once."),
    ] = None
    force: options.Force = False


@dataclass(frozen=True)
class Drawn:
    """What errs on the chips that the page draws."""

    TITLE: ClassVar[str] = "Faults"
    kind: options.Kind = "stuck"
    set_share: options.SetShare = 0.5
    protect_top: options.ProtectTop = 0
    protect_bit: options.ProtectBits = None
    protect_site: options.ProtectSites = None
    curve: options.CurveName = "stutz-2021"
    extrapolate: options.Extrapolate = False

    def settings(self) -> dict[str, Any]:
        """The arguments of the workflow."""
        return {
            "kind": self.kind, "set_share": self.set_share, "protected_top": self.protect_top,
            "protected_bits": tuple(self.protect_bit or ()), "protected_sites": tuple(self.protect_site or ()),
            "curve": self.curve, "extrapolate": self.extrapolate,
        }  # fmt: skip


@grouped
def page(
    model: Annotated[Path, typer.Argument(help="Base or protected model; never changed.")],
    *,
    shown: Shown,
    rates: Rates,
    drawn: Drawn,
    model_input: ModelInput,
    record: Record,
) -> None:
    """Write a web page in which the model itself runs, with a slider for the voltage: one file, without a network.

    The page puts the faults of a simulated chip into the weights, the same cells as everywhere in nfkit (layout iid),
    and shows what base and protected model answer. --ber and --vdd name points that the slider must have; it begins
    at the first.
    """
    from nfkit.cli import console
    from nfkit.workflows.page import page as run

    files = {"the data": shown.data, "the curve": drawn.curve}
    console.check_outputs(
        record.json, {"-o": shown.output}, models={"the model": model}, files=files, force=shown.force
    )
    written = run(
        model, shown.data, shown.output, **rates.settings(), **drawn.settings(), **model_input.settings(),
        chip=shown.chip, samples=shown.samples, labels=shown.labels, runtime=shown.runtime,  # type: ignore[arg-type]
    )  # fmt: skip
    console.show(written, record.json)
