"""What the site holds besides the pages of this folder: README, CONTRIBUTING, changelog, notebooks, and the reference.

Links that lead out of this folder are turned to where the site has what they name: README to its first page, packages
to the reference of rooms; other files of the repository are named without a link.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

import nfkit

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])+)\]\(([^)\s]+)\)")
_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are made."""
    for source, page in _PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_relink(text, ROOT, page)))
    for notebook in sorted((DOCS / "notebooks").glob("*.ipynb")):
        page = f"notebooks/{notebook.stem}.md"
        files.append(File.generated(config, page, content=_relink(as_markdown(notebook), notebook.parent, page)))
    files.append(File.generated(config, "reference/nfkit.md", content=_names()))
    files.append(File.generated(config, "reference/rooms.md", content=_rooms()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns the links of the pages that stand in this folder."""
    path = page.file.src_uri
    made = page.file.generated_by is not None
    return markdown if made else _relink(markdown, (DOCS / path).parent, path)


def as_markdown(notebook: Path) -> str:
    """An executed notebook as a page: its texts, its code, and what that gave."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:
                parts.append("<div>\n" + "".join(data["text/html"]) + "\n</div>")
            elif text := "".join(data.get("text/plain", output.get("text", []))):
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def _relink(text: str, folder: Path, page: str) -> str:
    up = "../" * page.count("/")

    def turned(match: re.Match[str]) -> str:
        picture, name, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match.group(0)
        path, mark, anchor = target.partition("#")
        found = (folder / path).resolve()
        if not found.exists():
            return match.group(0)  # the build says that it is broken
        if found == DOCS / "notebooks" or found.suffix == ".ipynb":
            return f"[{name}]({up}notebooks/{found.stem if found.suffix else 'measure'}.md)"
        if found.is_relative_to(DOCS):
            inside = found.relative_to(DOCS).as_posix()
            return f"{picture}[{name}]({up}{inside}{mark}{anchor})" if found.is_file() else name
        inside = found.relative_to(ROOT).as_posix()
        if inside in _PAGES:
            return f"[{name}]({up}{_PAGES[inside]}{mark}{anchor})"
        package = Path(inside).parent if found.name == "__init__.py" else Path(inside)
        if (ROOT / package / "__init__.py").exists():
            dotted = ".".join(package.parts if package.parts[0] == "nfkit" else ("nfkit", *package.parts))
            return f"[{name}]({up}reference/rooms.md#{dotted})"
        return name  # a file of the repository that is no page

    return _LINK.sub(turned, text)


def _names() -> str:
    """The public names of `nfkit`."""
    homes = {name: getattr(nfkit, name) for name in nfkit.__all__ if name != "__version__"}
    parts = ["# The library", "Everything here is a name of `nfkit`: `nfkit.protect`, `nfkit.evaluate` and so on."]
    for name, thing in homes.items():
        options = (
            "    options:\n      show_root_heading: false\n      show_root_toc_entry: false\n      heading_level: 3"
        )
        parts.append(f"## nfkit.{name}\n\n::: {thing.__module__}.{getattr(thing, '__qualname__', name)}\n{options}")
    return "\n\n".join(parts) + "\n"


def _rooms() -> str:
    """What belongs into each package, by its own words; read and not imported, so that torch is not needed."""
    parts = ["# Rooms", "What each package holds, what it may import, and how one thing is added to it."]
    for folder in ("nfkit", "models", "cli"):
        for file in sorted((ROOT / folder).rglob("__init__.py")):
            dotted = ".".join(file.parent.relative_to(ROOT).parts)
            name = dotted if folder == "nfkit" else f"nfkit.{dotted}"
            said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            parts.append(f"## {name} {{ #{name} }}\n\n{said}")
    return "\n\n".join(parts) + "\n"
