"""Functions that call functions: no circles, and no more nodes than can be treated once calls are inlined.

Each of 23 functions that calls the next one twice is a file of a kilobyte and a graph of eight million nodes. So the
size is predicted, by adding up, before anything is inlined or followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import AttributeProto

from nfkit.errors import ModelError

MAX_NODES = 200_000
"""Nodes of a model whose calls are inlined."""
MAX_DEPTH = 100
"""Functions that call each other in a row."""

Key = tuple[str, str, str]


def check_calls(proto: onnx.ModelProto, name: str) -> None:
    """Refuses functions that call each other in a circle, or grow beyond the limits when inlined.

    Args:
        proto: The model.
        name: How to call it in a message.

    Raises:
        ModelError: With the function.
    """
    bodies = {(f.domain, f.name, f.overload): list(_nodes(f.node)) for f in proto.functions}
    if not bodies:
        return
    called = {key: [c for c in map(_key, nodes) if c in bodies] for key, nodes in bodies.items()}
    sizes: dict[Key, int] = {}
    depths: dict[Key, int] = {}
    for first in bodies:
        path: dict[Key, Iterator[Key]] = {} if first in sizes else {first: iter(called[first])}
        while path:
            key, calls = next(reversed(path.items()))
            following = next((c for c in calls if c not in sizes), None)
            if following in path:
                raise ModelError(
                    f"{name} is no valid model: function '{key[1]}' calls itself, directly or through others; "
                    "export it again"
                )
            if following is not None:
                path[following] = iter(called[following])
                continue
            sizes[key] = sum(sizes.get(_key(node), 1) for node in bodies[key])
            depths[key] = 1 + max((depths[c] for c in called[key]), default=0)
            if sizes[key] > MAX_NODES or depths[key] > MAX_DEPTH:
                raise _too_large(name, key[1], sizes[key], depths[key])
            del path[key]
    total = sum(sizes.get(_key(node), 1) for node in _nodes(proto.graph.node))
    if total > MAX_NODES:
        raise _too_large(name, None, total, 0)


def _too_large(name: str, function: str | None, size: int, depth: int) -> ModelError:
    what = "the graph" if function is None else f"function '{function}'"
    grown = f"has {size:,} nodes once its calls are inlined, more than {MAX_NODES:,}"
    deep = f"calls functions {depth} deep, more than {MAX_DEPTH}"
    return ModelError(f"{name}: {what} {grown if size > MAX_NODES else deep}: export it without functions, or in parts")


def _key(node: onnx.NodeProto) -> Key:
    return node.domain, node.op_type, node.overload


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of the bodies in them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (*((attribute.g,) if attribute.type == AttributeProto.GRAPH else ()), *attribute.graphs):
                yield from _nodes(graph.node)
