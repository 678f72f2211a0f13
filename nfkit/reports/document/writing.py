"""A report as the text of one HTML file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files
from importlib.util import find_spec

from nfkit.errors import OptionError
from nfkit.pictures.charts import Chart
from nfkit.pictures.figures import figure, table
from nfkit.pictures.styles import stylesheet
from nfkit.pictures.text import shown
from nfkit.reports.document.sections import Section
from nfkit.reports.document.verdicts import by_model
from nfkit.version import __version__

LARGEST = 2_000_000
"""Bytes of a report, at most: what a mail takes and a phone opens."""

_LONG = 2000  # characters of a sentence that a report holds


def render(
    sections: Sequence[Section], *, title: str = "nfkit report", made: str = "", comparison: Chart | None = None
) -> bytes:
    """Writes a report.

    Args:
        sections: At least one.
        title: What the report is called.
        made: The command that makes it again.
        comparison: A picture of all of them.

    Raises:
        OptionError: When jinja2 is missing, or the report would be larger than `LARGEST`.
    """
    if find_spec("jinja2") is None:
        raise OptionError("a report needs jinja2: pip install 'nfkit[report]'")
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = shown
    environment.filters["sentence"] = _sentence
    # What these give has escaped its texts itself.
    environment.globals["figure"] = lambda picture, ident: Markup(figure(picture, ident))
    environment.globals["table"] = lambda part, name: Markup(table(part.columns, part.rows, name))
    folder = files("nfkit.reports.document")
    template = environment.from_string(folder.joinpath("report.html.j2").read_text(encoding="utf-8"))
    page = template.render(
        title=title, sections=sections, verdicts=by_model(sections), made=made, comparison=comparison,
        version=__version__,
        style=Markup(stylesheet() + folder.joinpath("report.css").read_text(encoding="utf-8")),
        today=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    )  # fmt: skip
    content = page.encode("utf-8", errors="replace")
    if len(content) > LARGEST:
        raise OptionError(
            f"the report would have {len(content) / 1e6:.1f} MB, and a report has {LARGEST / 1e6:.0f} MB at most: give "
            "fewer files, or fewer samples"
        )
    return content


def _sentence(text: str) -> str:
    said = shown(text, _LONG)
    return said[:1].upper() + said[1:] if re.match(r"[a-z]+ ", said) else said
