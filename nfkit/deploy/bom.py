"""A bill of materials of a protected file: CycloneDX 1.6, by its own library, and valid by its own schema.

What the file says of itself goes in: the base, the generator, the data that it was trained and measured on, the version
of nfkit, and licences where the base states any. Digests of bytes are hashes; digests of graphs, which no tool can
compute from bytes, are properties. The same file gives the same text.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnx_ir as ir

from nfkit.data.found import DATA_KEY
from nfkit.errors import ModelError, OptionError
from nfkit.graph.fusion.fused import BASE_SOURCE_KEY, GENERATOR_KEY, RESULTS_KEY
from nfkit.graph.fusion.modes.record import read_modes
from nfkit.graph.fusion.seal import counts_for_base, seal_of
from nfkit.model import sha256
from nfkit.outputs import PathLike, write_atomically

_LICENCES = ("license", "licence", "spdx", "license_id")
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "nfkit:bill-of-materials")


def write_bom(model: ir.Model, file: PathLike, output: PathLike) -> Path:
    """Writes the bill of materials of a file.

    Args:
        model: The file as read.
        file: Where it lies.
        output: Where to write the JSON text.

    Raises:
        OptionError: When the library is missing.
        ModelError: When metadata of the file that goes in is damaged.
        OutputError: When the text cannot be written.
    """
    if find_spec("cyclonedx") is None:
        raise OptionError("a bill of materials needs the extra 'bom': pip install 'nfkit[bom]'")
    return write_atomically(Path(output), (describe(model, Path(file)) + "\n").encode())


def describe(model: ir.Model, file: Path) -> str:
    """The bill of materials as JSON text; arguments and errors are those of `write_bom`."""
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion

    digest, seal, said = sha256(file), seal_of(model), model.metadata_props

    def component(kind: ComponentType, name: str, hashed: str | None = None, **properties: Any) -> Component:
        return Component(
            type=kind,
            name=name,
            bom_ref=f"{kind.value}:{name}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashed)] if hashed else [],
            properties=[
                Property(name=f"nfkit:{key}", value=str(value))
                for key, value in properties.items()
                if value is not None
            ],
        )

    learned = ComponentType.MACHINE_LEARNING_MODEL
    whole = component(learned, file.name, digest, graph_sha256=seal.whole, answer_sha256=seal.answer,
                      interface_sha256=seal.interface, **dict(_figures(model)))  # fmt: skip
    whole.bom_ref.value = "file"
    parts = []
    if seal.base is not None:
        base = component(learned, f"base of {file.name}", said.get(BASE_SOURCE_KEY), graph_sha256=seal.base)
        base.licenses = _licences(model)
        parts.append(base)
    if seal.generator is not None:
        name = said.get(GENERATOR_KEY, "generator")
        parts.append(component(learned, name, graph_sha256=seal.generator))
    data = [component(ComponentType.DATA, f"{entry['name']} ({part})", entry["sha256"], samples=entry["n"],
                      labels=entry["labels"]) for part, entry in _data(model)]  # fmt: skip
    tool = Component(type=ComponentType.APPLICATION, name="nfkit", version=said.get("nfkit.version"), bom_ref="nfkit")
    bom = Bom(serial_number=uuid.uuid5(_SPACE, digest), components=[*parts, *data])
    bom.metadata.component = whole
    bom.metadata.tools.components.add(tool)
    stamp: Any = None  # the same file gives the same text, whenever it is asked for
    bom.metadata.timestamp = stamp
    bom.register_dependency(whole, parts)
    for part in parts[-1:] if seal.generator is not None else []:
        bom.register_dependency(part, data)
    text: str = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    return text


def _licences(model: ir.Model) -> list[Any]:
    """Licences that the base's own metadata states."""
    from cyclonedx.contrib.license.factories import LicenseFactory

    own = {key: value for key, value in model.metadata_props.items() if counts_for_base(key)}
    stated = [value for key, value in own.items() if key.lower().rpartition(".")[2] in _LICENCES and value.strip()]
    return [LicenseFactory().make_from_string(value) for value in dict.fromkeys(stated)]


def _figures(model: ir.Model) -> Iterator[tuple[str, Any]]:
    """What was measured, one property a rate and mode."""
    for mode in read_modes(model):
        stated = (mode.facts or {}).get("accuracy", {})
        yield f"mode:{mode.name}", json.dumps({"ber": mode.ber, "accuracy": stated.get("mean")})
    for entry in _read(model, RESULTS_KEY, []):
        protected = (entry.get("protected") or {}).get("mean")
        yield f"accuracy:{entry['ber']:g}", json.dumps({"base": entry["base"]["mean"], "protected": protected})


def _data(model: ir.Model) -> Iterator[tuple[str, dict[str, Any]]]:
    recorded = _read(model, DATA_KEY, {})
    for part in ("train", "test"):
        if part in recorded:
            entry = recorded[part]
            yield part, {key: entry.get(key) for key in ("name", "n", "sha256", "labels")}


def _read(model: ir.Model, key: str, otherwise: Any) -> Any:
    try:
        return json.loads(model.metadata_props[key]) if key in model.metadata_props else otherwise
    except ValueError as error:
        raise ModelError(f"metadata '{key}' is damaged ({error}): it was changed after nfkit wrote the file") from error
