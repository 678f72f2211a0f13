"""Fewer bits for the weights of a model that is quantised already, without retraining.

The rule is the one of the NeuralFuse paper: symmetric, W is about scale * code, scale = max|W| / (2^(b-1) - 1), for a
tensor or for each channel, as the file has it. Codes that fit b bits as they are stay. The new codes are held in the
type of the old ones, so that the file's form and everything besides the weights stay the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.fused import BASE_DIGEST_KEY, BASE_ORIGINAL_KEY, is_fused
from nfkit.graph.fusion.modes.taking import run_always
from nfkit.graph.fusion.seal import seal
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.record import refuse_faults
from nfkit.graph.memory.bits import record_bits
from nfkit.graph.memory.sites import WeightSite, codes, fault_sites
from nfkit.graph.quantised.recode import recode
from nfkit.model import sha256

MIN_BITS = 2
"""One bit and a sign: with fewer, a symmetric code could only be 0."""


def requantise(model: ir.Model, bits: int) -> ir.Model:
    """A copy of a quantised model whose weights have b bits.

    Of a fused file only the base changes: its generator keeps its own precision. Weights that have b bits already are
    left as they are.

    Args:
        model: A quantised model, bare or fused.
        bits: Bits of a weight, b >= 2; no more than any weight has.

    Raises:
        OptionError: When there are no such codes, or they would have more bits than those of the model.
        UnsupportedError: When the graph does not say what a weight's codes stand for.
        ModelError: When the model stores no weights as integers, or holds injected faults.
    """
    if bits < MIN_BITS:
        raise OptionError(f"codes of {bits} bits can hold no signed weight: give at least {MIN_BITS}")
    refuse_faults(model)
    model = run_always(model)  # for codes inside a branch nothing can be recorded; the answers stay the same
    changed = model.clone()
    changed_sites = {site.name: bits for site in fault_sites(model) if _requantise_site(changed, site, bits)}
    record_bits(changed, changed_sites)
    if is_fused(model):
        # The digest that proves the base in a fused file is from now on that of the requantised one.
        changed.metadata_props.pop(BASE_ORIGINAL_KEY, None)
        changed.metadata_props[BASE_DIGEST_KEY] = sha256(requantise(split(model)[1], bits))
        seal(changed)
    return changed


def requantise_codes(
    stored: npt.NDArray[np.int64], bits: int, axis: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Codes of b bits for the same weights.

    Args:
        stored: Codes whose zero point is 0.
        bits: b.
        axis: Axis along which the scales vary; None for one scale.

    Returns:
        The new codes, and by how much one step has grown: a number, or one a channel.
    """
    most = 2 ** (bits - 1) - 1
    others = tuple(i for i in range(stored.ndim) if axis is None or i != axis % stored.ndim)
    high, low = stored.max(axis=others, keepdims=True), stored.min(axis=others, keepdims=True)
    fits = (low >= -most - 1) & (high <= most)
    growth = np.where(fits, 1.0, np.maximum(high, -low) / most)
    # Halves are exact in float64, so this rounds half to even as the true quotient would.
    return np.rint(stored / growth).astype(np.int64), growth.reshape(() if axis is None else -1)


def _requantise_site(model: ir.Model, site: WeightSite, bits: int) -> bool:
    """Requantises one weight in place; whether its codes now have fewer bits than before."""
    if bits > site.bits:
        raise OptionError(f"initializer '{site.name}' has codes of {site.bits} bits, which cannot become {bits}")
    if bits == site.bits or site.count == 0:
        return False
    stored = codes(model, site).astype(np.int64)
    zero = np.zeros(1, np.int64) if site.zero_point is None else np.array(site.zero_point, np.int64)
    if zero.size > 1 and site.axis is not None and zero.size != stored.shape[site.axis]:
        raise ModelError(
            f"initializer '{site.name}' has {zero.size} zero points for {stored.shape[site.axis]} channels: damaged"
        )
    if site.axis is not None and zero.size > 1:
        zero = zero.reshape([-1 if i == site.axis % stored.ndim else 1 for i in range(stored.ndim)])
    elif zero.size > 1:
        zero = zero[:1]
    new, growth = requantise_codes(stored - zero.reshape(zero.shape if zero.size > 1 else ()), bits, site.axis)
    # Unsigned codes keep their 0 in the middle of what b bits can hold.
    middle = 0 if np.issubdtype(np.dtype(site.dtype), np.signedinteger) else 2 ** (bits - 1)
    recode(model, site.name, new + middle, growth, middle)
    return True
