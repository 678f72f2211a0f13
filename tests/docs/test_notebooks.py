"""The notebooks in docs/ run from their first cell to their last, and are kept as they ran."""

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))
NEEDS = {"protect": ("torch", "jinja2", "sklearn"), "measure": ("matplotlib", "jinja2"), "campaign": ()}


def test_each_has_its_requirements():
    assert {book.stem for book in BOOKS} == set(NEEDS)


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_as_it_ran(path):
    book = nbformat.read(path, as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds <= {"stream", "execute_result", "display_data"}
    assert any("<svg" in output.get("data", {}).get("text/html", "") for cell in cells for output in cell.outputs)
    assert path.stat().st_size < 300_000
    # Nothing of the machine that ran it, and no output that goes on and on.
    shown = "".join(str(output.get("data", output.get("text"))) for cell in cells for output in cell.outputs)
    assert not re.search(r"/(tmp|home|root|work|var)/", shown)
    told = [output.text for cell in cells for output in cell.outputs if output.output_type == "stream"]
    assert all(len(line) <= 400 for text in told for line in text.splitlines())
    assert max((len(text.splitlines()) for text in told), default=0) <= 20


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end(path, monkeypatch):
    for module in NEEDS[path.stem]:
        pytest.importorskip(module, reason=f"{module} is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = nbformat.read(path, as_version=4)
    kept = [[output.output_type for output in cell.get("outputs", ())] for cell in book.cells]
    where = {"metadata": {"path": str(FOLDER)}}
    nbclient.NotebookClient(
        book, timeout=600, kernel_name="python3", resources=where
    ).execute()  # an error in a cell is an exception here
    shown = [
        [o.output_type for o in cell.get("outputs", ()) if not (o.output_type == "stream" and o.name == "stderr")]
        for cell in book.cells
    ]
    assert shown == kept
