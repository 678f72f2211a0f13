"""Who may import whom, read off the syntax of every module, so that imports inside functions count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Folders of the repository, and what they install as.
TREES = {"nfkit": "nfkit", "cli": "nfkit.cli", "models": "nfkit.models"}

# Each room and the rooms that it may import besides itself. The package itself names the public functions of all.
FOUNDATION = {
    "nfkit.errors",
    "nfkit.version",
    "nfkit.model",
    "nfkit.outputs",
    "nfkit.rim",
    "nfkit.parallel",
    "nfkit.progress",
}
BELOW_REMEDIES = FOUNDATION | {
    "nfkit.faults", "nfkit.graph", "nfkit.data", "nfkit.energy", "nfkit.access", "nfkit.measure", "nfkit.learn",
    "nfkit.reports", "nfkit.pictures", "nfkit.models.generators",
}  # fmt: skip
ROOMS: dict[str, set[str]] = {
    "nfkit.errors": set(),
    "nfkit.version": set(),
    "nfkit.parallel": set(),
    "nfkit.progress": set(),
    "nfkit.outputs": {"nfkit.errors"},
    "nfkit.rim": {"nfkit.errors", "nfkit.outputs"},
    "nfkit.model": {"nfkit.errors", "nfkit.version", "nfkit.outputs", "nfkit.rim"},
    "nfkit.faults": FOUNDATION,
    "nfkit.graph": FOUNDATION | {"nfkit.faults"},
    "nfkit.data": FOUNDATION,
    "nfkit.energy": FOUNDATION | {"nfkit.faults", "nfkit.graph"},
    "nfkit.models.bases": FOUNDATION,
    "nfkit.models.generators": FOUNDATION,
    "nfkit.learn": FOUNDATION | {"nfkit.faults", "nfkit.graph", "nfkit.data", "nfkit.models.generators"},
    "nfkit.access": FOUNDATION | {"nfkit.faults", "nfkit.graph"},
    "nfkit.pictures": {"nfkit.errors", "nfkit.outputs"},
    "nfkit.reports": FOUNDATION | {"nfkit.graph", "nfkit.data", "nfkit.pictures"},
    "nfkit.measure": FOUNDATION | {"nfkit.faults", "nfkit.graph", "nfkit.data", "nfkit.access", "nfkit.reports"},
    "nfkit.deploy": FOUNDATION
    | {"nfkit.faults", "nfkit.graph", "nfkit.data", "nfkit.access", "nfkit.reports", "nfkit.measure", "nfkit.pages"},
    "nfkit.remedies": BELOW_REMEDIES,
    "nfkit.pages": FOUNDATION | {"nfkit.faults", "nfkit.graph", "nfkit.data"},
    "nfkit.plans": BELOW_REMEDIES | {"nfkit.remedies"},
    "nfkit.campaigns": BELOW_REMEDIES | {"nfkit.remedies"},
    "nfkit.workflows": BELOW_REMEDIES
    | {"nfkit.remedies", "nfkit.plans", "nfkit.pages", "nfkit.campaigns", "nfkit.deploy"},
    "nfkit.models.zoo": FOUNDATION | {"nfkit.faults", "nfkit.graph", "nfkit.data", "nfkit.measure", "nfkit.access"},
    "nfkit.models.catalogue": FOUNDATION
    | {"nfkit.energy", "nfkit.learn", "nfkit.models.bases", "nfkit.models.generators", "nfkit.models.zoo"},
    "nfkit.models": FOUNDATION,
}
OPEN = {"nfkit", "nfkit.cli"}

# Heavy third parties, and the only rooms or modules that may import them.
HEAVY = {
    "torch": ("nfkit.learn", "nfkit.models.generators", "nfkit.models.zoo"),
    "onnxruntime": ("nfkit.access", "nfkit.measure", "nfkit.graph.quantised.from_float"),
}


def module_files() -> dict[str, Path]:
    """Every module that installs, by its dotted name."""
    found = {}
    for folder, package in TREES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((package, *(part for part in parts if part != "__init__")))] = path
    return found


FILES = module_files()


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def room_of(module: str) -> str:
    """The longest room that holds the module; "nfkit" for the modules that join rooms."""
    rooms = [room for room in (*ROOMS, *OPEN) if is_within(module, room)]
    return max(rooms, key=len)


def imports(source: str) -> Iterator[str]:
    """Dotted names of all modules that a source imports; `from a import b` gives a.b where that is one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES else node.module


def violations(module: str, source: str) -> list[str]:
    room = room_of(module)
    found = []
    for imported in sorted(set(imports(source))):
        top = imported.partition(".")[0]
        if top in HEAVY and not any(is_within(module, allowed) for allowed in HEAVY[top]):
            found.append(f"{module} imports {imported}; only {', '.join(HEAVY[top])} may")
        if top == "nfkit" and room not in OPEN:
            target = room_of(imported)
            if target != room and target not in ROOMS[room]:
                found.append(f"{module} imports {imported}, but {room} may not import {target}")
        if room == "nfkit" and module != "nfkit.__main__" and is_within(imported, "nfkit.cli"):
            found.append(f"{module} imports {imported}; the library does not know its command line")
    return found


@pytest.mark.parametrize("module", FILES)
def test_imports_keep_to_the_layers(module: str) -> None:
    assert violations(module, FILES[module].read_text(encoding="utf-8")) == []


def test_every_package_has_its_rule() -> None:
    packages = {name for name, path in FILES.items() if path.name == "__init__.py"}
    assert [name for name in sorted(packages - OPEN) if room_of(name) == "nfkit"] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nfkit.graph.memory.sites", "import torch"),
        ("nfkit.graph.memory.sites", "def f():\n    from onnxruntime.quantization import QuantType"),
        ("nfkit.protect", "import torch.nn as nn"),
        ("nfkit.learn.train", "from nfkit.measure import evaluate"),
        ("nfkit.measure.evaluation", "import nfkit.learn.train"),
        ("nfkit.measure.evaluation", "from nfkit import learn"),
        ("nfkit.faults.kinds", "from nfkit.graph.memory.sites import WeightSite"),
        ("nfkit.data.npz", "import nfkit"),
        ("nfkit.protect", "from nfkit.cli.main import main"),
    ],
)
def test_violations_are_seen(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("nfkit.graph.quantised.from_float", "import onnxruntime"),
        (
            "nfkit.learn.train",
            "import torch\nfrom nfkit.faults import Chip\nfrom nfkit.learn.gradients import find",
        ),
        ("nfkit.cli.main", "from nfkit import learn, measure"),
        ("nfkit.protect", "import nfkit.learn, nfkit.measure.evaluation"),
        ("nfkit.data.npz", "import numpy\nimport torchlike"),
    ],
)
def test_lawful_imports_pass(module: str, source: str) -> None:
    assert violations(module, source) == []
