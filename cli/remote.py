"""Commands on a model behind an address."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from nfkit.cli import console, options
from nfkit.errors import OptionError, OutputError

if TYPE_CHECKING:
    import onnx_ir as ir

    from nfkit.access.base import Base
    from nfkit.access.endpoint import Endpoint
    from nfkit.faults import BitErrors, Layout
    from nfkit.graph.input.spec import InputSpec
    from nfkit.workflows.transfer import Transferred

DEFAULT_EVIDENCE = "hint-32"
"""What looks at images for a base of unknown size."""

Form = tuple[str | None, tuple[float, float] | None, str | None, str | None]
"""--layout, --range, --mean and --std."""


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


def default_answers(address: str) -> Path:
    """Where answers of an address are kept unless a file is named: in the user's cache."""
    from nfkit.access.address import parse_address
    from nfkit.data.download import cache_folder

    text = str(parse_address(address))
    folder = cache_folder() / "answers"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make '{folder}' ({error.strerror}): name a file with --answers") from error
    readable = re.sub(r"[^A-Za-z0-9]+", "-", text.partition("://")[2]).strip("-")[:80]
    return folder / f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.sqlite"


def evaluate_address(
    address: str,
    data: str,
    samples: int | None,
    remote: Device,
    rates: list[float] | None,
    errors: BitErrors,
    layout_map: Layout,
    chips: range,
    level: Any,
    form: Form,
    json: str | None,
) -> None:
    """`nfkit evaluate ADDRESS`: accuracy as it is, agreement with the clean model, and bit error rate.

    Args:
        address: Where the model answers.
        data: Labelled samples.
        samples: How many of them; all by default.
        remote: How it is asked, and what it is compared with.
        rates: Bit error rates to simulate; some customary ones by default.
        errors: Their kind.
        layout_map: How simulated chips hold weights.
        chips: Their seeds.
        level: Optimisation level of ONNX Runtime.
        form: --layout, --range, --mean and --std.
        json: Where the record goes.
    """
    from nfkit.access.base import GraphBase
    from nfkit.access.guarded import Guarded
    from nfkit.data import load as load_data
    from nfkit.graph.fusion.metadata import read_input
    from nfkit.measure.answering import measure_answers
    from nfkit.measure.device import RATES, calibrate, estimate_device
    from nfkit.model import load, sha256
    from nfkit.reports.provenance import describe_run

    if remote.chip_behind and remote.clean is None:
        raise OptionError("--chip-behind compares a device with its model without errors: give --clean MODEL")
    if remote.chip_behind and remote.front is not None:
        raise OptionError("--chip-behind measures a device without a front: leave --front out")
    if not data:
        raise OptionError("nothing to measure on: give --data, such as --data test.npz or --data fashion-mnist")
    given = {"the model without errors": remote.clean, "the front": remote.front}
    models = {name: path for name, path in given.items() if path is not None}
    console.check_outputs(json, models=models, files={"the data": data, "the answers": remote.answers})
    graph = None if remote.clean is None else load(remote.clean)
    with remote.open(address) as endpoint:
        if remote.front is not None and not any(form):
            spec = replace(read_input(load(remote.front)), name=endpoint.about.input.name)
        else:
            spec = find_spec(endpoint, graph, form)
        dataset = load_data(data, "test", spec.image_shape)
        dataset = dataset.take(min(samples, len(dataset))) if samples else dataset
        x = spec.encode(dataset.x)
        if remote.front is None:
            console.note(f"{address}: {endpoint.count_missing(x)} of {len(x)} samples to ask for")
        guarded = None if remote.front is None else Guarded(remote.front, endpoint, level=level)
        reference = None if graph is None else GraphBase(graph, level=level)
        measured = measure_answers(guarded or endpoint, dataset, spec, reference)
        usage = endpoint.record()
    record: dict[str, Any] = {
        "schema": "nfkit.evaluate-base/1",
        "base": usage,
        "data": {"name": dataset.name, "n": len(dataset), "sha256": dataset.sha256},
        **describe_run(),
        **measured.to_dict(),
    }
    if guarded is not None and remote.front is not None:
        record["front"] = {
            "path": str(remote.front),
            "sha256": sha256(remote.front),
            "asked": guarded.asked,
            "spared": guarded.spared,
        }
    if remote.clean is not None:
        record["clean"] = {"path": str(remote.clean), "sha256": sha256(remote.clean), "level": level}
    device = None
    if remote.chip_behind and graph is not None and measured.reference_scores is not None:
        calibration = calibrate(
            graph, x, measured.reference_scores, errors, layout_map,
            rates=rates or RATES, chips=chips, level=level, on_rate=console.note_simulated,
        )  # fmt: skip
        device = estimate_device(calibration, measured.scores, usage["answers"])
        record["chip_behind"] = device.to_dict() | calibration.settings
    console.write_json(record, json)
    if json != "-":
        console.print_answering(address, dataset.name, measured, device, usage)
        if guarded is not None:
            share = guarded.asked / (guarded.asked + guarded.spared)
            print(f"behind {remote.front}, which asked the base for {100 * share:.1f} % of the samples")


def find_spec(base: Base, graph: ir.Model | None, form: Form) -> InputSpec:
    """What a base takes: as it says itself, and for layout and range as the same model in a file does."""
    from nfkit.access.input import find_input_of
    from nfkit.workflows.inputs import find_spec as find_graph_spec

    layout, value_range, mean, std = form
    ours = base.about.input
    if graph is not None and not any(form):
        known = find_graph_spec(
            graph, input_layout=layout, value_range=value_range,
            mean=options.numbers("mean", mean), std=options.numbers("std", std),
        )  # fmt: skip
        if (known.dtype, known.shape) != (ours.dtype, ours.sample):
            raise OptionError(
                f"{base.about.name} takes {ours}, the model given with --clean {known.dtype} {list(known.shape)}: they "
                "are not the same model"
            )
        return replace(known, name=ours.name)
    numbers = {"mean": options.numbers("mean", mean), "std": options.numbers("std", std)}
    return find_input_of(ours, layout=layout, value_range=value_range, **numbers)


def transfer_to_address(
    fused: ir.Model,
    address: str,
    data: str,
    samples: int | None,
    output: Path,
    remote: Remote,
    early_loss: float,
    level: Any,
    form: Form,
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
        form: --layout, --range, --mean and --std; what the generator was made for by default.
    """
    from nfkit.data import load as load_data
    from nfkit.graph.fusion.metadata import read_input
    from nfkit.workflows.transfer import transfer_to_answers

    with remote.open(address) as endpoint:
        known = read_input(fused)
        spec = find_spec(endpoint, None, form) if any(form) else replace(known, name=endpoint.about.input.name)
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
    form: Form,
    force: bool,
    json: str | None,
    surrogates: Sequence[Path] = (),
    ber: float | None = None,
) -> None:
    """`nfkit protect ADDRESS`: a front for a base that only answers; the arguments are the options of the command."""
    from nfkit.access.address import parse_address
    from nfkit.remedies.neuralfuse import require_torch
    from nfkit.workflows.answering import protect_answers
    from nfkit.workflows.inputs import find_training_data

    require_torch()
    from nfkit.learn.config import EvidenceConfig

    if not data:
        raise OptionError("nothing to train on: give --data, such as --data train.npz")
    target = output or Path(f"{parse_address(address).name}.front.onnx")
    files = {"the data": data, "the test data": test_data, "the answers": remote.answers}
    console.check_outputs(json, {"-o": target}, files=files, force=force)
    with remote.open(address) as endpoint:
        spec = find_spec(endpoint, None, form)
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
                labels=labels, early_loss=early_loss, surrogates=surrogates, ber=ber,  # type: ignore[arg-type]
                level=level, on_stage=display.say, on_progress=display,
            )  # fmt: skip
        usage = endpoint.record()
    console.write_json({**result.to_dict(), "base": usage}, json)
    if json != "-":
        print("\n".join(result.sentences()))
        print(console.describe_usage(usage))
