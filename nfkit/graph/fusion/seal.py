"""The seal of a file that nfkit made: digests of its parts, by which any later change of its meaning is seen.

They stand in the file's own metadata, so they tell what changed, and not who changed it: whoever can write a file can
seal it anew. Against that stand a signature, the base's own file, and the record of the protection.

The parts: the `base` as its own file had it, the `generator`, the `answer` stage, the `interface` (inputs, outputs,
versions of operators), what nfkit's `metadata` says; and the `whole`, which leaves nothing out.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import onnx_ir as ir

from nfkit.errors import ModelError
from nfkit.graph.fusion.early import is_condition
from nfkit.graph.fusion.fused import (
    ANSWER_PREFIX,
    BASE_HEADER_KEY,
    BASE_OUTPUT,
    INPUT_KEY,
    JOINT,
    PREFIX,
    ROLE_ANSWER,
    SEAL_KEY,
)
from nfkit.graph.fusion.metadata import read_header
from nfkit.graph.identity import Identity, Scribe, header_items, identify, metadata_items
from nfkit.graph.memory.bits import BITS_KEY
from nfkit.graph.memory.sites import ROLE_KEY
from nfkit.graph.memory.storage import bodies
from nfkit.rim.external import with_data

VERSION = 1
"""Version of the seal."""
_OURS = "nfkit."
_ELSEWHERE = "\0"  # no name of a model holds it: what reads past a joint is not what it was


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Digests of the parts of a file, SHA-256.

    Attributes:
        whole: The file without the seal.
        interface: Inputs, outputs, operator sets and IR version.
        metadata: All metadata of nfkit but the seal.
        base: The base as its own file had it; None where the file holds none, as a front.
        generator: The generator with the steps to and from its input; None where there is none, as in a back.
        answer: The answer stage; None where the base answers by itself.
        version: Version of the seal.
    """

    whole: str
    interface: str
    metadata: str
    base: str | None = None
    generator: str | None = None
    answer: str | None = None
    version: int = VERSION


def seal(model: ir.Model) -> None:
    """Writes the seal of a finished file into its metadata, in place; one that is there is replaced."""
    model.metadata_props[SEAL_KEY] = msgspec.json.encode(seal_of(model)).decode()


def read_seal(model: ir.Model) -> Seal | None:
    """The seal that a file bears; None where it bears none, as those of earlier versions.

    Raises:
        ModelError: When it is damaged.
    """
    text = model.metadata_props.get(SEAL_KEY)
    if text is None:
        return None
    try:
        found = msgspec.json.decode(text, type=Seal)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"metadata '{SEAL_KEY}' is damaged ({error}): the file was changed after nfkit wrote it; take the original"
        ) from error
    if found.version != VERSION:
        raise ModelError(
            f"metadata '{SEAL_KEY}' is of version {found.version}, and this nfkit reads {VERSION}: take the nfkit that "
            "wrote the file"
        )
    return found


def seal_of(model: ir.Model) -> Seal:
    """The seal that fits a file as it is.

    Args:
        model: What nfkit made: a protected file, a front, or one of two files with early answers; not changed.

    Raises:
        ModelError: When it does not say what its base's input was, or its operator sets.
    """
    model = with_data(model)
    generator, answer = (_part(model, role) for role in ("generator", ROLE_ANSWER))
    interface = Scribe().ends(model.graph.inputs, model.graph.outputs)
    interface |= header_items(model.ir_version, model.opset_imports)
    return Seal(
        whole=identify(model, lambda key: key != SEAL_KEY).digest,
        interface=Identity(interface).digest,
        metadata=Identity(metadata_items(model, lambda key: key.startswith(_OURS) and key != SEAL_KEY)).digest,
        base=base_identity(model).digest if _own_nodes(model) else None,
        generator=generator.digest if generator.items else None,
        answer=answer.digest if answer.items else None,
    )


def counts_for_base(key: str) -> bool:
    """Whether metadata is the base's own."""
    return not key.startswith(_OURS) or key == BITS_KEY


def base_identity(model: ir.Model) -> Identity:
    """The identity of the base inside a file, as `identify` has it of the base's own file.

    Args:
        model: The file; not changed.

    Raises:
        ModelError: When the file does not say what its base's input was, or its operator sets.
    """
    model = with_data(model)
    graph, scribe = model.graph, Scribe(_renamed(model))
    opsets, ir_version = model.opset_imports, model.ir_version
    if BASE_HEADER_KEY in model.metadata_props:  # the second of two files keeps the base's own
        header = read_header(model)
        # Fusing adds operator sets and raises the IR version, and changes none: a version that the file says the base
        # had, and by which it is not run, is none of the base's.
        opsets = {domain: v if opsets.get(domain) == v else 0 for domain, v in header.opset_imports.items()}
        ir_version = min(ir_version, header.ir_version)
    holders = [graph, *(body for node in graph if is_condition(node) for _, body in bodies(node))]
    stored = [value for holder in holders for name, value in holder.initializers.items() if not name.startswith(PREFIX)]
    inputs = [value for value in graph.inputs if not str(value.name).startswith(PREFIX)]
    return Identity(
        {
            **scribe.nodes(_own_nodes(model)),
            **scribe.tensors(stored),
            **Scribe().ends(inputs, graph.outputs),
            **header_items(ir_version, opsets),
            **scribe.functions(model),
            **metadata_items(model, counts_for_base),
        }
    )


def _own_nodes(model: ir.Model) -> list[ir.Node]:
    """The nodes of the base, wherever they stand."""
    found = []
    for node in model.graph:
        if is_condition(node):
            found += [inner for _, body in bodies(node) for inner in body if ROLE_KEY not in inner.metadata_props]
        elif ROLE_KEY not in node.metadata_props:
            found.append(node)
    return found


def _entry(model: ir.Model) -> str:
    """Name of the base's input. Only that is read here: the rest is for `read_input`, which doubts it."""

    class Named(msgspec.Struct):
        name: str

    try:
        return msgspec.json.decode(model.metadata_props.get(INPUT_KEY, ""), type=Named).name
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"metadata '{INPUT_KEY}' of the protected file is damaged ({error}): it was changed after nfkit wrote the "
            "file; take the original"
        ) from error


def _renamed(model: ir.Model) -> Callable[[str], str]:
    """Names in the fused graph as the base had them.

    Where a joint stands between the base and its input, what reads the input itself reads past the joint, and is called
    otherwise; so with the output.
    """
    graph = model.graph
    nodes = [n for node in graph for n in (node, *(inner for _, body in bodies(node) for inner in body))]
    made = {value.name for node in nodes for value in node.outputs}
    names: dict[str, str] = {}
    if JOINT in made:
        entry = _entry(model)
        names |= {JOINT: entry, entry: _ELSEWHERE + entry}
    if BASE_OUTPUT in made and graph.outputs:
        output = str(graph.outputs[0].name)
        names |= {BASE_OUTPUT: output, output: _ELSEWHERE + output}
    return lambda name: names.get(name, name)


def _part(model: ir.Model, role: str) -> Identity:
    """The generator, or the answer stage."""
    answers, graph, scribe = role == ROLE_ANSWER, model.graph, Scribe()
    nodes = [node for node in graph if node.metadata_props.get(ROLE_KEY) == role]
    items = scribe.nodes(node for node in nodes if not is_condition(node))
    for gate in (node for node in nodes if is_condition(node)):
        items |= {"gate": repr([str(v.name) for v in (*gate.inputs, *gate.outputs) if v is not None])}
        for name, body in bodies(gate):
            marked = [inner for inner in body if ROLE_KEY in inner.metadata_props]
            within = {**scribe.nodes(marked), **scribe.ends(body.inputs, body.outputs, typed=False)}
            items |= {f"{name}: {item}": digest for item, digest in within.items()}
    ours = [value for name, value in graph.initializers.items() if name.startswith(PREFIX)]
    stored = [value for value in ours if str(value.name).startswith(ANSWER_PREFIX) == answers]
    if answers and not items:  # a file whose base answers has no numbers of an answer
        return Identity({})
    return Identity({**items, **scribe.tensors(stored)})
