from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it where Python lacks it

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def packages_on_disk() -> list[str]:
    folders = {"nfkit": ROOT / "nfkit"} | {name: ROOT / path for name, path in SETUPTOOLS["package-dir"].items()}
    return sorted(
        ".".join((package, *init.parent.relative_to(folder).parts))
        for package, folder in folders.items()
        for init in folder.rglob("__init__.py")
    )


def test_every_package_is_listed() -> None:
    assert sorted(SETUPTOOLS["packages"]) == packages_on_disk()


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {
        path.parent for tree in ("nfkit", *SETUPTOOLS["package-dir"].values()) for path in (ROOT / tree).rglob("*.py")
    }
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("name", ["cli", "models"])
def test_nothing_else_is_importable_at_top_level(name: str) -> None:
    script = (
        "import importlib.util, nfkit.cli, nfkit.models\n"
        f"spec = importlib.util.find_spec({name!r})\n"
        "print(spec and (spec.origin or list(spec.submodule_search_locations)))\n"
    )
    # From /, because Python puts the current folder on the path of a -c script.
    result = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "None"


def test_the_program_begins_where_interrupts_are_answered() -> None:
    # Not where the commands are imported: what comes before that is a traceback on Ctrl-C.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"nfkit": "nfkit.cli.start:main"}
