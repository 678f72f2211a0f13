"""`nfkit.report`: records as one HTML file that anyone can open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Union

from nfkit.errors import DataError, OptionError
from nfkit.outputs import write_atomically
from nfkit.reports.document.sections import Section, section_of
from nfkit.reports.document.writing import render
from nfkit.reports.reading import read
from nfkit.reports.rendering import Readable
from nfkit.workflows import inputs

Source = Union[str, "os.PathLike[str]", Readable]
"""What a report is made of: a record, or the JSON file that holds one."""


def report(sources: Source | Sequence[Source], output: str | os.PathLike[str], *, command: str = "") -> Path:
    """Writes records as one HTML file: verdict, pictures, tables, and what the numbers depend on.

        nfkit.report(nfkit.evaluate("model.nf.onnx", "test.npz", ber=[0.01, 0.005]), "report.html")

    Args:
        sources: Records, or JSON files that hold them.
        output: The file; it is replaced.
        command: How to make it again, for its foot.

    Returns:
        The file. It needs no network and no script, and has 2 MB at most.

    Raises:
        DataError: When a file is no whole record.
        OptionError: When there is nothing to report, jinja2 is missing, or the file would be too large.
        OutputError: When it cannot be written.
    """
    given = [sources] if isinstance(sources, (str, os.PathLike, Readable)) else list(sources)
    if not given:
        raise OptionError("nothing to report: give records, or files that nfkit wrote with --json")
    sections = [_section(source) for source in given]
    title = f"nfkit report: {sections[0].name}" if len(sections) == 1 else "nfkit report"
    return write_atomically(output, render(sections, title=title, made=command))


def _section(source: Source) -> Section:
    if isinstance(source, Readable):
        return section_of(source, _name(source))
    path = inputs.as_path(source, "a record")
    if path.is_dir():
        raise DataError(f"'{path}' is a folder: give the record in it, such as front.json of a search")
    return section_of(read(path), path.name)


def _name(record: Readable) -> str:
    """What a record that has no file is called: by the model that it is of."""
    measured = getattr(record, "evaluation", record)
    model = getattr(measured, "model", None)
    return Path(str(getattr(model, "path", model) or type(record).__name__.lower())).name
