"""The numbers of an answer, changed in a finished file without training."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.answer import Answer
from nfkit.graph.fusion.fused import (
    ANSWER_KEY,
    ANSWER_PREFIX,
    FITS_KEY,
    PLAN_KEY,
    THRESHOLD,
    is_fused,
    refuse_modes,
)
from nfkit.graph.fusion.metadata import read_answer
from nfkit.graph.fusion.seal import seal
from nfkit.graph.fusion.trust import Trust

OUTDATED = ("nfkit.results", "nfkit.advice", PLAN_KEY)
"""Metadata that is true of a file as it was, and not when its answer was changed."""


def answer_of(fused: ir.Model) -> Answer:
    """How a fused file answers.

    Raises:
        ModelError: When its base answers by itself.
    """
    refuse_modes(fused)
    answer = read_answer(fused) if is_fused(fused) else None
    if answer is None:
        raise ModelError("the base of this file answers by itself, so there is no trust to change: see --answer both")
    return answer


def with_trust(fused: ir.Model, trust: Trust, threshold: float | None = None) -> ir.Model:
    """A copy of a fused model that trusts base and evidence otherwise.

    Args:
        fused: A model with an answer stage; it stays as it is.
        trust: The numbers.
        threshold: Another threshold of early answers; None leaves it.

    Returns:
        The copy. What the model recorded of its own results is left behind.

    Raises:
        ModelError: When the base of the file answers by itself, or a threshold is given and it has no early answers.
        OptionError: When the threshold is no probability.
    """
    answer = answer_of(fused)
    numbers: dict[str, float] = trust.to_dict()
    if threshold is not None:
        if answer.threshold is None:
            raise ModelError("the file has no early answers, so it has no threshold: protect the base with --early")
        numbers[THRESHOLD] = check_threshold(threshold)
        answer = replace(answer, threshold=threshold)
    changed = fused.clone()
    for name, number in numbers.items():
        value = changed.graph.initializers[ANSWER_PREFIX + name]
        value.const_value = ir.tensor(np.array(number, np.float32), name=value.name)
    changed.metadata_props[ANSWER_KEY] = json.dumps(answer.with_trust(trust).to_dict(), sort_keys=True)
    for key in OUTDATED:
        changed.metadata_props.pop(key, None)
    seal(changed)
    return changed


def dial(
    fused: ir.Model, numbers: Mapping[str, float], *, at: float | None = None, threshold: float | None = None
) -> tuple[ir.Model, dict[str, dict[str, float]]]:
    """A copy of a fused model with some numbers of its answer changed.

    Args:
        fused: The model; it stays as it is.
        numbers: Numbers of `Trust` by name.
        at: Bit error rate whose fitted trust is the start; the model's own numbers by default.
        threshold: Threshold of early answers.

    Returns:
        The copy, and what changed: name, before and after.

    Raises:
        ModelError: As `with_trust` and `fitted_trust`.
        OptionError: When a number is outside its range.
    """
    answer = answer_of(fused)
    start = answer.trust if at is None else fitted_trust(fused, at)
    trust = replace(start, **numbers)
    before, after = answer.trust.to_dict(), trust.to_dict()
    moved = {name: {"before": before[name], "after": after[name]} for name in after if before[name] != after[name]}
    if threshold is not None and answer.threshold is not None:
        moved[THRESHOLD] = {"before": answer.threshold, "after": threshold}
    if not moved:  # asked for what is there already
        moved = {name: {"before": before[name], "after": after[name]} for name in after}
    return with_trust(fused, trust, threshold), moved


def check_threshold(threshold: float) -> float:
    """A probability from which on the evidence answers alone; above 1 it never does.

    Raises:
        OptionError: When it is no number from 0 on.
    """
    if not (math.isfinite(threshold) and threshold >= 0):
        raise OptionError(f"threshold {threshold}: give a probability, or a number above 1 for no early answers")
    return threshold


def record_fits(fused: ir.Model, fits: dict[float, Trust]) -> None:
    """Records, in place, the trust fitted for several bit error rates; 0 stands for the nominal voltage."""
    record = [{"ber": rate, "trust": trust.to_dict()} for rate, trust in sorted(fits.items())]
    fused.metadata_props[FITS_KEY] = json.dumps(record, sort_keys=True)
    seal(fused)


def fitted_trust(fused: ir.Model, rate: float) -> Trust:
    """The trust that was fitted for a bit error rate.

    Raises:
        ModelError: When the file records no fits.
        OptionError: When there is none for the rate.
    """
    try:
        known = {float(entry["ber"]): Trust(**entry["trust"]) for entry in json.loads(fused.metadata_props[FITS_KEY])}
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError("the file records no trust for other bit error rates, or a damaged record of it") from error
    found = next((trust for ber, trust in known.items() if math.isclose(ber, rate, rel_tol=1e-6, abs_tol=1e-12)), None)
    if found is None:
        rates = ", ".join(f"{ber:g}" for ber in known)
        raise OptionError(f"no trust was fitted for a bit error rate of {rate:g}: choose from {rates}")
    return found
