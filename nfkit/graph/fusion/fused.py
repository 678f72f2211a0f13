"""What tells a fused model from others: the names that fusing gives, and what it records for splitting.

Everything that the prefix names starts with `nfkit/`, so that nothing can clash, and every node of it carries
`nfkit.role = generator`.
"""

from __future__ import annotations

import onnx_ir as ir

PREFIX = "nfkit/"
GENERATOR_PREFIX = PREFIX + "generator/"
"""Start of the names that the generator itself brings."""
JOINT = PREFIX + "protected"
"""Name of the prefix's last value, which the base reads in place of its input."""
EVIDENCE = "evidence"
"""Name of the value, in a generator's graph, that holds its own scores [N, classes], if it has any."""

BASE_DIGEST_KEY = "nfkit.base.graph_sha256"
"""Digest of the base as nfkit serialises it, which splitting restores."""
BASE_HEADER_KEY = "nfkit.base.header"
"""What fusing changes outside the graph, and splitting restores: IR version and operator sets."""
BASE_SOURCE_KEY = "nfkit.base.sha256"
"""Digest of the file that the base was read from."""
INPUT_KEY = "nfkit.input"
RESULTS_KEY = "nfkit.results"
"""Summary of the evaluation that the file was shipped with."""
GENERATOR_KEY = "nfkit.generator"
GENERATOR_DIGEST_KEY = "nfkit.generator.sha256"


def is_fused(model: ir.Model) -> bool:
    """Whether the model is a generator and a base, fused by nfkit: told by its graph too, where metadata was lost."""
    if any(value.name == JOINT for value in model.graph.outputs):  # a prefix that was split off
        return False
    said = any(key in model.metadata_props for key in (BASE_DIGEST_KEY, BASE_HEADER_KEY, INPUT_KEY))
    return said or any(value.name == JOINT for node in model.graph for value in node.outputs)
