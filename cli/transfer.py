"""`nfkit transfer`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped, parse_share
from nfkit.cli.groups import BASIC, Measuring, ModelInput, Record, renamed
from nfkit.cli.remote import Remote
from nfkit.errors import OptionError


@dataclass(frozen=True)
class Samples:
    """What trust is fitted on, and what is written."""

    TITLE: ClassVar[str] = BASIC
    data: Annotated[
        str, typer.Option("--data", help="Labelled samples to fit trust on, that neither was trained on.")
    ] = ""
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="By default MODEL.nf.onnx beside the base, or NAME.front.onnx here."),
    ] = None
    keep_patterns: Annotated[
        bool, typer.Option("--keep-patterns", help="Move the whole generator as it is; nothing is fitted.")
    ] = False
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Use only the first samples.")] = None
    force: options.Force = False


@dataclass(frozen=True)
class Chips:
    """What errs on the simulated chips that trust is fitted on; a file's."""

    TITLE: ClassVar[str] = "Faults"
    ber: Annotated[
        str | None, typer.Option("--ber", metavar="RATE", help="Bit error rate per cell, such as 0.5%; 1 %.")
    ] = None
    kind: options.Kind = "stuck"
    memory_layout: options.MemoryLayout = "iid"
    layout_map: options.OldMemoryLayout = None
    early_loss: Annotated[
        str | None,
        typer.Option(
            "--early-loss",
            metavar="SHARE",
            help="Accuracy that answers without the base may cost; by default none for a file, 0.01 behind an address.",
        ),
    ] = None

    def layout(self) -> str:
        """How cells hold weights, under whichever name it was given."""
        return renamed("--layout-map", self.layout_map, "--memory-layout", self.memory_layout) or "iid"


@grouped
def transfer(
    protected: Annotated[Path, typer.Argument(help="A protected model (*.nf.onnx), whose generator is wanted.")],
    model: Annotated[
        str,
        typer.Argument(help="Another base of the same input and classes: an ONNX file, never changed, or an address."),
    ],
    *,
    samples: Samples,
    faults: Chips,
    measuring: Measuring,
    remote: Remote,
    model_input: ModelInput,
    record_file: Record,
) -> None:
    """Give the evidence of a trained generator to another base, such as one without gradients, or behind an address.

    Its patterns are dropped: they drive the base that they were trained on, and mislead others. How far the other base
    and the evidence are trusted is fitted on every other sample of --data, and the result measured on the rest: for a
    file on simulated chips at --ber, for an address on its own answers, each asked for once. What comes out for an
    address is a front, for nfkit.Guarded.
    """
    from nfkit.access.address import is_address, parse_address
    from nfkit.cli import console
    from nfkit.cli.remote import transfer_to_address
    from nfkit.data import load as load_data
    from nfkit.faults import BitErrors, parse_layout
    from nfkit.model import default_output, load
    from nfkit.workflows.inputs import find_spec
    from nfkit.workflows.transfer import transfer_as_it_is, transfer_to_file

    behind, keep_patterns, data = is_address(model), samples.keep_patterns, samples.data
    optimization, count = measuring.optimization, samples.samples
    early_loss = None if faults.early_loss is None else parse_share("--early-loss", faults.early_loss)
    if not data and not keep_patterns:
        raise OptionError(
            "trust in another base is fitted on labelled samples: give --data, or --keep-patterns to move the whole "
            "generator as it is"
        )
    if not behind:
        remote.refuse()
    target = samples.output or (
        Path(f"{parse_address(model).name}.front.onnx") if behind else default_output(Path(model))
    )
    models = {"the protected model": protected} | ({} if behind else {"the model": Path(model)})
    console.check_outputs(
        record_file.json, {"-o": target}, models=models, files={"the data": data or None}, force=samples.force
    )
    fused = load(protected)
    if behind:
        if keep_patterns or faults.ber is not None:
            raise OptionError("--keep-patterns and --ber are for files: behind an address nothing is simulated")
        loss = 0.01 if early_loss is None else early_loss
        result = transfer_to_address(
            fused, model, data, count, target, remote, loss, optimization, model_input.settings()
        )
    else:
        base = load(Path(model))
        spec = find_spec(base, **model_input.settings())
        if keep_patterns:
            result = transfer_as_it_is(fused, base, spec, target)
        else:
            dataset = load_data(data, "test", spec.image_shape)
            with console.working("nothing is written") as display:
                result = transfer_to_file(
                    fused, base, spec, dataset.take(min(count or len(dataset), len(dataset))), target,
                    BitErrors(0.01 if faults.ber is None else parse_share("--ber", faults.ber), faults.kind),
                    parse_layout(faults.layout()),
                    chips=measuring.chips, early_loss=early_loss, level=optimization,  # type: ignore[arg-type]
                    on_progress=display,
                )  # fmt: skip
    console.write_json({**result.to_dict(), "from": str(protected), "base": model}, record_file.json)
    if record_file.json != "-":
        print("\n".join(result.sentences()))
