"""A base that only answers, measured as it is: accuracy, agreement with its clean model, the bit error rate behind."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import onnx_ir as ir

from nfkit.access.address import parse_address
from nfkit.access.base import Base, GraphBase
from nfkit.access.endpoint import Endpoint
from nfkit.access.guarded import Guarded
from nfkit.access.input import find_input_of
from nfkit.access.runtime import Level
from nfkit.data import load as load_data
from nfkit.data.download import cache_folder
from nfkit.errors import OptionError, OutputError
from nfkit.faults import BitErrors, Layout
from nfkit.graph.fusion.metadata import read_input
from nfkit.graph.input.spec import InputSpec
from nfkit.measure.answering import Share, measure_answers
from nfkit.measure.device import RATES, calibrate, estimate_device
from nfkit.model import load, sha256
from nfkit.reports.answered import Answered, Asked, CleanFacts, FrontFacts, Part
from nfkit.reports.provenance import versions
from nfkit.workflows.inputs import find_spec


@dataclass(frozen=True)
class Simulated:
    """The chips that a device is compared with.

    Attributes:
        errors: Kind of their errors.
        layout: How they hold weights.
        chips: Their seeds.
        rates: Their bit error rates; some customary ones by default.
    """

    errors: BitErrors
    layout: Layout
    chips: Sequence[int]
    rates: Sequence[float] | None = None


def evaluate_answers(
    endpoint: Endpoint,
    data: str,
    *,
    clean: Path | None = None,
    front: Path | None = None,
    simulated: Simulated | None = None,
    samples: int | None = None,
    level: Level = "all",
    on_stage: Callable[[str], None] = lambda stage: None,
    on_rate: Callable[[float], None] = lambda rate: None,
    **form: Any,
) -> Answered:
    """Measures what answers behind an address.

    Args:
        endpoint: What answers.
        data: Labelled samples, as `--data` names them.
        clean: The same model without errors, to compare with.
        front: A front to measure it behind.
        simulated: The chips by which the device's bit error rate is estimated; None to leave that out.
        samples: How many samples; all by default.
        level: Optimisation level of ONNX Runtime.
        on_stage: Called with a sentence before the base is asked.
        on_rate: Called with each bit error rate that was simulated.
        form: What the input is, where that is not known: arguments of `find_base_spec`.

    Raises:
        NfkitError: When something does not fit, or the base does not answer.
    """
    if simulated is not None and clean is None:
        raise OptionError("--chip-behind compares a device with its model without errors: give --clean MODEL")
    if simulated is not None and front is not None:
        raise OptionError("--chip-behind measures a device without a front: leave --front out")
    graph = None if clean is None else load(clean)
    if front is not None and not any(form.values()):
        spec = replace(read_input(load(front)), name=endpoint.about.input.name)
    else:
        spec = find_base_spec(endpoint, graph, **form)
    dataset = load_data(data, "test", spec.image_shape)
    dataset = dataset.take(min(samples, len(dataset))) if samples else dataset
    x = spec.encode(dataset.x)
    if front is None:
        on_stage(f"{endpoint.address}: {endpoint.count_missing(x)} of {len(x)} samples to ask for")
    guarded = None if front is None else Guarded(front, endpoint, level=level)
    reference = None if graph is None else GraphBase(graph, level=level)
    measured = measure_answers(guarded or endpoint, dataset, spec, reference)
    usage, behind = endpoint.record(), None
    if simulated is not None and graph is not None and measured.reference_scores is not None:
        calibration = calibrate(
            graph, x, measured.reference_scores, simulated.errors, simulated.layout,
            rates=simulated.rates or RATES, chips=simulated.chips, level=level, on_rate=on_rate,
        )  # fmt: skip
        device = estimate_device(calibration, measured.scores, usage["answers"])
        behind = device.to_dict() | calibration.settings | {"sentence": device.sentence()}
    return Answered(
        base=usage, data=Asked(dataset.name, len(dataset), dataset.sha256), accuracy=_part(measured.accuracy),
        agreement=_known(measured.agreement), clean_accuracy=_known(measured.reference),
        front=None if guarded is None else FrontFacts(str(front), sha256(str(front)), guarded.asked, guarded.spared),
        clean=None if clean is None else CleanFacts(str(clean), sha256(clean), level),
        chip_behind=behind, versions=versions(),
    )  # fmt: skip


def find_base_spec(
    base: Base,
    graph: ir.Model | None = None,
    *,
    input_layout: str | None = None,
    value_range: tuple[float, float] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> InputSpec:
    """What a base takes: as it says itself, and for layout and range as the same model in a file does.

    Args:
        base: What answers.
        graph: The same model in a file, where there is one.
        input_layout: Layout of the input, if it cannot be told: NCHW, NHWC, NHW or NC.
        value_range: Valid range of the input.
        mean: Mean that images in [0, 1] were normalised with, one number or one a channel.
        std: Standard deviation to go with it.

    Raises:
        OptionError: When base and file take other inputs, or something has to be given.
        UnsupportedError: When the input is no image and no feature vector.
    """
    ours = base.about.input
    if graph is None or any(given is not None for given in (input_layout, value_range, mean, std)):
        return find_input_of(ours, layout=input_layout, value_range=value_range, mean=mean, std=std)
    known = find_spec(graph)
    if (known.dtype, known.shape) != (ours.dtype, ours.sample):
        raise OptionError(
            f"{base.about.name} takes {ours}, the model given with --clean {known.dtype} {list(known.shape)}: they are "
            "not the same model"
        )
    return replace(known, name=ours.name)


def default_answers(address: str) -> Path:
    """Where answers of an address are kept unless a file is named: in the user's cache."""
    text = str(parse_address(address))
    folder = cache_folder() / "answers"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make '{folder}' ({error.strerror}): name a file with --answers") from error
    readable = re.sub(r"[^A-Za-z0-9]+", "-", text.partition("://")[2]).strip("-")[:80]
    return folder / f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.sqlite"


def _part(share: Share) -> Part:
    return msgspec.convert(share.to_dict(), Part)


def _known(share: Share | None) -> Part | None:
    return None if share is None else _part(share)
