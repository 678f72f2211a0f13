"""The caution of a fused hint: one number of the file, which can be changed without training.

It says how fast the patterns of a hint fade where its evidence is weak. More of it leaves more to the base.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.fused import GENERATOR_DIGEST_KEY, GENERATOR_PREFIX, PLAN_KEY, is_fused, refuse_modes
from nfkit.graph.fusion.seal import seal

_NAME = GENERATOR_PREFIX + "generator.caution"
OUTDATED = ("nfkit.results", "nfkit.advice", PLAN_KEY, GENERATOR_DIGEST_KEY)  # true of the file as it was


def read_caution(fused: ir.Model) -> float:
    """The caution of a fused model.

    Raises:
        ModelError: When it has no hint in front.
    """
    value = fused.graph.initializers.get(_NAME)
    if not is_fused(fused) or value is None or value.const_value is None:
        raise ModelError(
            "the model has no hint generator in front that changes its input, so it has no caution: protect it with "
            "--generator hint-64 --answer base, say"
        )
    return float(value.const_value.numpy())


def with_caution(fused: ir.Model, caution: float) -> ir.Model:
    """A copy of a fused model with another caution.

    Args:
        fused: A model behind a hint; it stays as it is.
        caution: The exponent of the evidence, above 0.

    Returns:
        The copy. What the model recorded of its own results is left behind.

    Raises:
        ModelError: When it has no hint in front.
        OptionError: When `caution` is no number above 0.
    """
    if not (math.isfinite(caution) and caution > 0):
        raise OptionError(f"--caution {caution}: give a number above 0")
    refuse_modes(fused)
    read_caution(fused)
    changed = fused.clone()
    changed.graph.initializers[_NAME].const_value = ir.tensor(np.float32(caution), name=_NAME)
    for key in OUTDATED:
        changed.metadata_props.pop(key, None)
    seal(changed)
    return changed
