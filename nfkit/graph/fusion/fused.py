"""What tells a fused model from others: the names that fusing gives, and what it records for splitting.

Everything that fusing names starts with `nfkit/`, so that nothing can clash. Every node of the prefix carries
`nfkit.role = generator`, every node of the answer stage behind the base `nfkit.role = answer`.
"""

from __future__ import annotations

import onnx_ir as ir

from nfkit.errors import ModelError
from nfkit.graph.memory.storage import BASE_OUTPUT as BASE_OUTPUT
from nfkit.model import check_loaded

PREFIX = "nfkit/"
GENERATOR_PREFIX = PREFIX + "generator/"
"""Start of the names that the generator itself brings."""
JOINT = PREFIX + "protected"
"""Name of the prefix's last value, which the base reads in place of its input."""
ANSWER_PREFIX = PREFIX + "answer/"
"""Start of the names that an answer stage brings."""
BASE_IF_NEEDED = ANSWER_PREFIX + "base_if_needed"
"""Name of the If whose else branch is the base, where early answers may spare it."""
THRESHOLD = "threshold"
"""Name, behind that prefix, of the probability from which on the evidence answers early."""
MODE = PREFIX + "mode"
"""Name of the number, an input with a default, by which a file with modes is switched."""
MODE_PREFIX = MODE + "/"
"""Start of the names that modes bring."""
ROLE_ANSWER = "answer"
"""Role of the nodes of an answer stage."""
EVIDENCE = "evidence"
"""Name of the value, in a generator's graph, that holds its own scores [N, classes], if it has any."""

BASE_DIGEST_KEY = "nfkit.base.graph_sha256"
"""Digest of the base as nfkit serialises it, which splitting restores."""
BASE_HEADER_KEY = "nfkit.base.header"
"""What fusing changes outside the graph, and splitting restores: IR version and operator sets."""
BASE_SOURCE_KEY = "nfkit.base.sha256"
"""Digest of the file that the base was read from."""
BASE_ORIGINAL_KEY = "nfkit.base.original"
"""Outline of that file; see `nfkit.graph.memory.original`. Absent where writing the base gives its bytes."""
INPUT_KEY = "nfkit.input"
RESULTS_KEY = "nfkit.results"
"""Summary of the evaluation that the file was shipped with."""
GENERATOR_KEY = "nfkit.generator"
GENERATOR_DIGEST_KEY = "nfkit.generator.sha256"
ANSWER_KEY = "nfkit.answer"
"""How the file answers, where not by the base alone: form of the output, trust, threshold (JSON)."""
FITS_KEY = "nfkit.answer.fits"
"""Trust fitted for several bit error rates (JSON)."""
PLAN_KEY = "nfkit.plan"
"""The operating point that a plan chose for the file: voltage, expected accuracy and saving (JSON)."""
DEVICE_KEY = "nfkit.device"
"""The one device that the file was made for: chip, layout, errors (JSON)."""
MODES_KEY = "nfkit.modes"
"""The modes of a file, the nominal one first: rate, trust, what was measured (JSON)."""
SEAL_KEY = "nfkit.seal"
"""Digests of the parts of the file (JSON); see `nfkit.graph.fusion.seal`."""


def has_answer(model: ir.Model) -> bool:
    """Whether evidence and base answer together in a fused model."""
    made = {value.name for node in model.graph for value in node.outputs}
    return ANSWER_KEY in model.metadata_props or bool(made & {BASE_OUTPUT, f"{BASE_IF_NEEDED}_output"})


def has_modes(model: ir.Model) -> bool:
    """Whether a file can be switched between the base alone and levels of low voltage."""
    chosen = model.graph.initializers.get(MODE)
    return chosen is not None and chosen.const_value is not None and chosen.const_value.size == 1


def refuse_modes(model: ir.Model) -> None:
    """Refuses a file with modes, each of which has its own numbers.

    Raises:
        ModelError: When it has.
    """
    if has_modes(model):
        raise ModelError(
            "the file has modes, each with its own numbers: choose one (nfkit tune --mode), or take them out first "
            "(nfkit modes --remove)"
        )


def is_fused(model: ir.Model) -> bool:
    """Whether the model is a generator and a base, fused by nfkit: told by its graph too, where metadata was lost."""
    check_loaded(model)
    ours = {JOINT, GENERATOR_PREFIX + EVIDENCE}
    if any(value.name in ours for value in model.graph.outputs):  # a prefix that was split off
        return False
    said = any(key in model.metadata_props for key in (BASE_DIGEST_KEY, BASE_HEADER_KEY, INPUT_KEY))
    return said or any(value.name in ours for node in model.graph for value in node.outputs)
