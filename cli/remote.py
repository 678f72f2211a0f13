"""Commands on a model behind an address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from nfkit.cli import console, options
from nfkit.errors import OptionError

if TYPE_CHECKING:
    import onnx_ir as ir

    from nfkit.access.endpoint import Endpoint
    from nfkit.cli.groups import SeenRecord
    from nfkit.faults import BitErrors, Layout
    from nfkit.workflows.transfer import Transferred

DEFAULT_EVIDENCE = "hint-32"
"""What looks at images for a base of unknown size."""


@dataclass(frozen=True)
class Remote:
    """The options that a model behind an address takes."""

    TITLE: ClassVar[str] = "Behind an address"
    queries: options.Queries = None
    call_batch: options.CallBatch = None
    concurrency: options.Concurrency = None
    timeout: options.Timeout = None
    answers: options.AnswersFile = None
    input: options.EndpointInput = None
    output_tensor: options.EndpointOutput = None
    classes: options.Classes = None

    def refuse(self) -> None:
        """Says that they do not belong to a file.

        Raises:
            OptionError: When one of them is given.
        """
        given = [f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value not in (None, False)]
        if given:
            raise OptionError(f"{', '.join(given)}: for a model behind an address; this one is a file")

    @contextmanager
    def open(self, address: str) -> Iterator[Endpoint]:
        """The endpoint, for the length of a `with` block."""
        from nfkit.access.remote import open_endpoint, require_client

        require_client()
        from nfkit.access.endpoint import Asking
        from nfkit.access.metadata import parse_tensor
        from nfkit.access.transport import Limits
        from nfkit.workflows.asking import default_answers

        if self.timeout is not None and not self.timeout > 0:
            raise OptionError(f"--timeout {self.timeout}: give seconds above 0")
        limits = Limits() if self.timeout is None else Limits(total=self.timeout)
        asking = Asking(
            batch=64 if self.call_batch is None else self.call_batch,
            concurrency=4 if self.concurrency is None else self.concurrency,
            queries=self.queries,
            classes=self.classes,
            input=None if self.input is None else parse_tensor(self.input),
            output=self.output_tensor,
        )
        kept = self.answers or default_answers(address)
        with open_endpoint(address, asking, limits=limits, answers=kept, on_progress=console.AnswersDisplay()) as it:
            yield it


@dataclass(frozen=True)
class Device(Remote):
    """The options that a device behind an address takes besides."""

    clean: Annotated[Path | None, typer.Option("--clean", metavar="MODEL", help="The same model without errors.")] = (
        None
    )
    chip_behind: Annotated[
        bool, typer.Option("--chip-behind", help="Estimate the bit error rate of the device there.")
    ] = False
    front: Annotated[Path | None, typer.Option("--front", metavar="FILE", help="Measure it behind this front.")] = None


def evaluate_address(
    address: str,
    data: str,
    samples: int | None,
    remote: Device,
    rates: list[float] | None,
    errors: BitErrors,
    layout: Layout,
    chips: range,
    level: Any,
    form: dict[str, Any],
    record: SeenRecord,
) -> None:
    """`nfkit evaluate ADDRESS`: accuracy as it is, agreement with the clean model, and bit error rate.

    Args:
        address: Where the model answers.
        data: Labelled samples.
        samples: How many of them; all by default.
        remote: How it is asked, and what it is compared with.
        rates: Bit error rates to simulate; some customary ones by default.
        errors: Their kind.
        layout: How simulated chips hold weights.
        chips: Their seeds.
        level: Optimisation level of ONNX Runtime.
        form: What the input is, where that is not known.
        record: Where the record goes.
    """
    from nfkit.workflows.asking import Simulated, evaluate_answers

    if not data:
        raise OptionError("nothing to measure on: give --data, such as --data test.npz or --data fashion-mnist")
    given = {"the model without errors": remote.clean, "the front": remote.front}
    models = {name: path for name, path in given.items() if path is not None}
    files = {"the data": data, "the answers": remote.answers}
    console.check_outputs(record.json, report=record.report, models=models, files=files)
    with remote.open(address) as endpoint:
        result = evaluate_answers(
            endpoint, data, clean=remote.clean, front=remote.front, samples=samples, level=level,
            simulated=Simulated(errors, layout, chips, rates) if remote.chip_behind else None,
            on_stage=console.note, on_rate=console.note_simulated, **form,
        )  # fmt: skip
    console.show(result, record.json, record.report)


def transfer_to_address(
    fused: ir.Model,
    address: str,
    data: str,
    samples: int | None,
    output: Path,
    remote: Remote,
    early_loss: float,
    level: Any,
    form: dict[str, Any],
) -> Transferred:
    """`nfkit transfer PROTECTED ADDRESS`: a front for a base that only answers.

    Args:
        fused: The protected model that has the generator.
        address: Where the base answers.
        data: Labelled samples.
        samples: How many of them; all by default.
        output: Where to write the front.
        remote: How it is asked.
        early_loss: Accuracy that early answers may cost.
        level: Optimisation level of the front.
        form: What the input is; what the generator was made for by default.
    """
    from nfkit.data import load as load_data
    from nfkit.graph.fusion.metadata import read_input
    from nfkit.workflows.asking import find_base_spec
    from nfkit.workflows.transfer import transfer_to_answers

    with remote.open(address) as endpoint:
        known = read_input(fused)
        given = any(value is not None for value in form.values())
        named = replace(known, name=endpoint.about.input.name)
        spec = find_base_spec(endpoint, **form) if given else named
        dataset = load_data(data, "test", spec.image_shape)
        dataset = dataset.take(min(samples or len(dataset), len(dataset)))
        missing = endpoint.count_missing(spec.encode(dataset.x))
        console.note(f"{address}: {missing} of {len(dataset)} samples to ask for")
        return transfer_to_answers(fused, endpoint, spec, dataset, output, early_loss=early_loss, level=level)


def protect_address(
    address: str,
    data: str | None,
    test_data: str | None,
    labels: str,
    output: Path | None,
    remote: Remote,
    generator: str,
    epochs: float | None,
    minutes: float | None,
    batch: int,
    mirror: bool | None,
    shift: int,
    seed: int,
    early_loss: float,
    level: Any,
    form: dict[str, Any],
    force: bool,
    record: SeenRecord,
    surrogates: Sequence[Path] = (),
    ber: float | None = None,
    distil: int | None = None,
) -> None:
    """`nfkit protect ADDRESS`: a front for a base that only answers; the arguments are the options of the command."""
    from nfkit.access.address import parse_address
    from nfkit.remedies.neuralfuse import require_torch
    from nfkit.workflows.answering import protect_answers
    from nfkit.workflows.asking import find_base_spec
    from nfkit.workflows.inputs import find_training_data

    require_torch()
    from nfkit.learn.config import EvidenceConfig

    if not data:
        raise OptionError("nothing to train on: give --data, such as --data train.npz")
    target = output or Path(f"{parse_address(address).name}.front.onnx")
    files = {"the data": data, "the test data": test_data, "the answers": remote.answers}
    console.check_outputs(record.json, {"-o": target}, report=record.report, files=files, force=force)
    with remote.open(address) as endpoint:
        spec = find_base_spec(endpoint, **form)
        spec.bounds()
        train, test = find_training_data(data, test_data, seed, spec)
        config = EvidenceConfig(
            DEFAULT_EVIDENCE if generator == "auto" else generator,
            epochs=epochs,
            minutes=10.0 if epochs is None and minutes is None else minutes,
            batch=batch,
            mirror=bool(train.mirror) if mirror is None else mirror,
            shift=shift,
            seed=seed,
        )
        with console.working("answers that were given are kept, and the same command goes on") as display:
            result = protect_answers(
                endpoint, train, test, spec, config, target,
                labels=labels, early_loss=early_loss, surrogates=surrogates, ber=ber, distil=distil,  # type: ignore[arg-type]
                level=level, on_stage=display.say, on_progress=display,
            )  # fmt: skip
        usage = endpoint.record()
    console.show(result.record(usage), record.json, record.report)
