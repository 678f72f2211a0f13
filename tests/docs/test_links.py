"""Links between the pages lead somewhere, and the paths and registries that architecture.md names are there."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "models" / "zoo").glob("*.md"))
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def prose(page: Path) -> str:
    """The page without its code, fenced or indented, in which a bracket is no link."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^    .*$", "", text, flags=re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """File and anchor of every link of a page that stays in the repository."""
    # A line may break within a link's text.
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for path, anchor in links(page):
        assert path.exists(), path
        assert path.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(path), f"{path.name}#{anchor}"


def test_links_are_seen():
    assert (ROOT / "docs" / "statistics.md", "the-verdict") in set(links(ROOT / "README.md"))
    assert "answers-of-both-ends" in anchors(ROOT / "docs" / "artifact.md")


def test_every_page_is_reached_from_the_readme():
    reached = {path for path, _ in links(ROOT / "README.md")}
    assert [page.name for page in PAGES if page.parent == ROOT / "docs" and page not in reached] == []


def test_paths_that_the_architecture_names_exist():
    words = re.findall(r"`((?:nfkit|cli|models|tests|docs)/[\w/.]+|\w+\.(?:toml|txt))`", prose(ARCHITECTURE))
    new = {word for word in words if "NAME" in Path(word).name}
    assert len(words) - len(new) >= 40
    assert [word for word in words if word not in new and not (ROOT / word).exists()] == []
    assert [word for word in new if not (ROOT / word).parent.is_dir()] == []


def test_registries_that_the_architecture_names_are_where_it_says():
    named = re.findall(r"`(_?[A-Z][A-Z_]+)` (?:in|of) `([\w/.]+)`", prose(ARCHITECTURE))
    assert len(named) >= 14
    for registry, path in named:
        assert re.search(rf"^{registry}\b.*=", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), (
            registry,
            path,
        )
