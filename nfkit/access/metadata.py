"""What an endpoint says of its model, and what has to be given where it says too little."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nfkit.access.base import Answers, Tensor
from nfkit.access.replies import Reply
from nfkit.access.wire import WireError, datatype, loads, numpy_type
from nfkit.errors import AccessError, OptionError


@dataclass(frozen=True)
class Metadata:
    """A model behind an address, as described by its server, or in its place by the user.

    Attributes:
        input: What it takes.
        output: Where its answers are; None where neither says.
        versions: Versions that the server has.
        platform: What runs it.
    """

    input: Tensor
    output: Tensor | None
    versions: tuple[str, ...]
    platform: str

    @property
    def answers(self) -> Answers:
        """Whether every class is scored, or the best one named."""
        single = self.output is not None and all(extent == 1 for extent in self.output.sample)
        return "top-1" if single and np.dtype(self.output.dtype).kind in "iu" else "scores"  # type: ignore[union-attr]

    def count_classes(self, address: str) -> int | None:
        """Number of classes; None where nothing says.

        Raises:
            AccessError: When the output is no score a class.
        """
        if self.output is None or self.answers == "top-1":
            return None
        extents = [extent for extent in self.output.sample if extent != 1]
        if not extents or len([extent for extent in extents if extent > 0]) > 1:
            raise AccessError(f"{address} answers with {self.output}, which is no score a class, [N, classes]")
        return extents[0] if len(extents) == 1 and extents[0] > 0 else None


def read_server(reply: Reply) -> list[str]:
    """Extensions of the protocol that a server knows.

    Raises:
        WireError: When the reply is no description of a server.
    """
    fields = loads(reply.body)
    extensions = fields.get("extensions", []) if isinstance(fields, dict) else None
    if not isinstance(extensions, list):
        raise WireError("no description of a server")
    return [str(extension) for extension in extensions]


def read_metadata(reply: Reply, address: str, given: Tensor | None, output: str | None) -> Metadata:
    """The description of a model.

    Args:
        reply: To a GET of the model's address.
        address: For messages.
        given: The input in place of what is described.
        output: Name of the output with the scores.

    Raises:
        WireError: When the reply is no description of a model.
        AccessError: When the model is described, and is nothing that classifies images.
        OptionError: When something has to be given that is not described.
    """
    fields = loads(reply.body)
    if not isinstance(fields, dict):
        raise WireError("no description of a model")
    inputs, outputs = (_tensors(fields, key) for key in ("inputs", "outputs"))
    versions = fields.get("versions") or []
    if not isinstance(versions, list):
        raise WireError("'versions' is no list")
    return Metadata(
        input=given or _find_input(inputs, address),
        output=_find_output(outputs, output, address),
        versions=tuple(str(version)[:80] for version in versions),
        platform=str(fields.get("platform", ""))[:80],
    )


def parse_tensor(text: str) -> Tensor:
    """Reads an input as options give it: `NAME:TYPE:EXTENTS`, such as `image:FP32:-1x3x32x32`.

    Raises:
        OptionError: When it is something else.
    """
    match = re.fullmatch(r"(?P<name>.+):(?P<type>[A-Z0-9]+):(?P<extents>-1|\d+)(?P<more>(x\d+)+)", text)
    try:
        if match is None:
            raise WireError("it has another form")
        dtype = numpy_type(match["type"])
    except WireError as error:
        raise OptionError(f"--input {text!r}: {error}; give NAME:TYPE:EXTENTS, such as image:FP32:-1x3x32x32") from None
    return Tensor(match["name"], dtype, (int(match["extents"]), *map(int, match["more"][1:].split("x"))))


def _tensors(fields: Mapping[str, Any], key: str) -> list[Tensor]:
    entries = fields.get(key) or []
    if not isinstance(entries, list):
        raise WireError(f"{key!r} is no list")
    found = []
    for entry in entries:
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if not isinstance(shape, list) or not all(type(e) is int and e >= -1 for e in shape) or not shape:
            raise WireError(f"an entry of {key!r} has no shape with a batch axis")
        found.append(Tensor(str(entry.get("name", ""))[:200], numpy_type(entry.get("datatype")), tuple(shape)))
    return found


def _find_input(inputs: list[Tensor], address: str) -> Tensor:
    form = "give --input NAME:TYPE:EXTENTS, such as image:FP32:-1x3x32x32"
    if not inputs:
        raise OptionError(f"{address} does not say what its model takes: {form}")
    if len(inputs) > 1:
        raise AccessError(f"{address} takes {len(inputs)} inputs ({', '.join(map(str, inputs))}): nfkit asks with one")
    found = inputs[0]
    if len(found.shape) < 2 or any(extent < 1 for extent in found.sample):
        ours = f"{found.name}:{datatype(found.dtype)}:-1x..."
        raise OptionError(f"{address} leaves axes of its input {found} open: {form} (here {ours})")
    return found


def _find_output(outputs: list[Tensor], name: str | None, address: str) -> Tensor | None:
    if name is None:
        if len(outputs) > 1:
            raise OptionError(
                f"{address} gives several outputs ({', '.join(map(str, outputs))}): say with --output-tensor NAME "
                "which one scores the classes"
            )
        return outputs[0] if outputs else None
    found = [output for output in outputs if output.name == name]
    if not found:
        listed = ", ".join(map(str, outputs)) or "none"
        raise OptionError(f"--output-tensor {name}: the outputs of {address} are {listed}")
    return found[0]
