"""From a float model to a quantised one: prepare it, calibrate, quantise, prove that it runs, measure what it cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.access.runtime import Level, Runner, accuracy
from nfkit.data import Dataset
from nfkit.errors import ModelError, OptionError, UnsupportedError
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import find_sites
from nfkit.graph.quantised.from_float import quantize_static
from nfkit.graph.quantised.pack import pack as pack_codes
from nfkit.graph.quantised.pack import packed_opset
from nfkit.graph.quantised.preparation import MIN_OPSET, prepare
from nfkit.model import ModelLike, check_output, load, save, to_bytes
from nfkit.reports.provenance import DataFacts, Provenance
from nfkit.reports.quantization import Quantized

FORMATS = ("qdq",)
_PARITY_TOLERANCE = 1e-4  # of the largest output: float32 sums in another order, after folding batch norm


def quantize(
    source: ModelLike,
    calibration: Dataset,
    test: Dataset,
    spec: InputSpec,
    output: Path,
    *,
    bits: int = 8,
    per_channel: bool = False,
    symmetric: bool = False,
    format: str = "qdq",
    pack: bool = False,
    level: Level = "all",
    force: bool = False,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Quantized:
    """Quantises a float model: weights to b bits, activations to 8, and measures both models.

    Args:
        source: The float model; its file is not touched.
        calibration: Samples whose activations set the ranges; labels are not used.
        test: Labelled samples to measure on.
        spec: The model's input.
        output: Where to write the quantised model.
        bits: Bits of a weight, 2 to 8, held in int8.
        per_channel: Give every output channel a scale of its own.
        symmetric: Quantise activations to int8 with zero point 0 instead of uint8.
        format: Form of the result; `qdq`.
        pack: Store codes of 4 or 2 bits in ONNX's packed types instead of int8.
        level: Optimisation level of ONNX Runtime for both measurements.
        force: Whether to replace an existing output.
        on_stage: Called with a sentence when a new stage begins.

    Raises:
        NfkitError: When model, data, options or output do not fit; nothing is written then.
    """
    check_output(output, source, force)
    if format not in FORMATS:
        raise OptionError(f"unknown format {format!r}: choose {', '.join(FORMATS)}")
    model = load(source)
    refuse_faults(model)
    prepared = prepare(model, packed_opset(bits) if pack else MIN_OPSET)
    x = spec.encode(calibration.x)
    before = Runner(model, level=level)
    test.check_labels(before.classes(x))
    if prepared.changed:
        on_stage("comparing the prepared model with the original")
        _check_parity(model, prepared.model, x)

    on_stage(f"calibrating on {len(x)} samples of {calibration.name}")
    quantised = quantize_static(
        prepared.model, x, bits=bits, per_channel=per_channel,
        symmetric_activations=symmetric, activation="int8" if symmetric else "uint8",
    )  # fmt: skip
    sites = [site for site in find_sites(quantised) if site.role == "weight"]
    if not sites:
        raise ModelError(
            f"graph '{model.graph.name}' has no constant weights to quantise: export it with weights as initializers"
        )
    if pack:
        quantised = pack_codes(quantised)

    on_stage(f"measuring on {len(test)} samples of {test.name}")
    encoded = spec.encode(test.x)
    reference = accuracy(before, encoded, test.y)
    reached = accuracy(Runner(quantised, level=level), encoded, test.y)
    facts = Provenance.of(source, model, test)
    save(quantised, output)
    return Quantized(
        format=format,
        packed=pack,
        level=level,
        calibration=DataFacts.of(calibration),
        model=facts.model,
        data=facts.data,
        versions=facts.versions,
        output=str(output),
        bits=bits,
        per_channel=per_channel,
        symmetric=symmetric,
        lifted_from=prepared.lifted_from,
        folded=prepared.folded,
        sites=len(sites),
        codes=sum(site.count for site in sites),
        float_accuracy=reference,
        accuracy=reached,
        float_bytes=len(to_bytes(model)),
        bytes=output.stat().st_size,
    )


def _check_parity(model: ir.Model, prepared: ir.Model, x: npt.NDArray[Any]) -> None:
    expected, found = (Runner(each, level="basic")(x[:64]) for each in (model, prepared))
    lost = float(np.abs(expected.astype(np.float64) - found).max())
    if not lost <= _PARITY_TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise UnsupportedError(
            f"lifting the opset or folding batch normalisation changes an output by {lost:.3g}: export the model again "
            "at a newer opset, in inference mode"
        )
