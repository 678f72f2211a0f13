"""How a result is shown: in a terminal within its width, to a pipe in plain lines.

A terminal gets the sentence that matters most in bold, a chart, wrapped text, and a table that breaks its headings
between words and goes on beneath itself where it is too wide. A pipe or file gets one line a sentence and one a row,
which other programs can read. NO_COLOR and TERM=dumb are respected.
"""

from __future__ import annotations

import os
import shutil
import sys
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nfkit.pictures.charts import Chart
    from nfkit.reports.rendering import Overview, Table

_WIDEST_CHART = 100


def is_terminal() -> bool:
    """Whether stdout is a terminal that can do more than print lines."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def show_overview(overview: Overview, chart: Chart | None = None, wanted: bool | None = None) -> None:
    """Prints what a record says.

    Args:
        overview: That, in words and numbers.
        chart: A picture of it.
        wanted: Whether to show the picture; None for wherever a terminal can.

    Raises:
        OptionError: When it is wanted and plotext is missing.
    """
    if not is_terminal():
        print(overview)
        if chart is not None and wanted:
            _show_chart(chart, colour=False)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, emoji=False)
    if overview.first:
        console.print(Text(overview.first, style="bold"))
    if chart is not None and (_can_draw() if wanted is None else wanted):
        _show_chart(chart, colour=not os.environ.get("NO_COLOR"))
    if overview.title:
        console.print(Text(overview.title))
    show_table(overview.table)
    for note in overview.notes:
        console.print(Text(note))


def _show_chart(chart: Chart, *, colour: bool) -> None:
    from nfkit.pictures.terminal import draw

    if drawn := draw(chart, min(_width(), _WIDEST_CHART), colour=colour):
        print(drawn)


def _can_draw() -> bool:
    """Whether the signs of a chart can be printed, and plotext is there to set them."""
    from nfkit.pictures.terminal import available

    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8" and available()


def _width() -> int:
    return shutil.get_terminal_size((80, 24)).columns


def show_table(table: Table) -> None:
    """Prints a table; in a terminal no wider than that, in several beneath each other where it must be."""
    if not table.columns:
        return
    plain = str(table)
    width = _width()
    if not is_terminal() or max(map(len, plain.splitlines())) <= width:
        print(plain)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    rows = [tuple(map(str, row)) for row in table.rows]
    widths = [_least(name, [row[i] for row in rows], width // 2) for i, name in enumerate(table.columns)]
    console = Console(highlight=False, emoji=False, width=width)
    for count, columns in enumerate(_parts(widths, width, table.keys)):
        if count:
            print()
        grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
        for index in columns:
            heading = Text("\n".join(wrap(table.columns[index], widths[index], break_on_hyphens=False)))
            align: Literal["left", "right"] = "left" if index == 0 else "right"
            grid.add_column(heading, justify=align, overflow="fold", width=widths[index])
        for row in rows:
            grid.add_row(*(Text(row[index]) for index in columns))
        console.print(grid)


def _least(heading: str, cells: list[str], most: int) -> int:
    """Columns that a column of a table takes at least: its longest word above, its longest cell below, up to `most`."""
    return max(max(map(len, heading.split()), default=1), min(max(map(len, cells), default=1), most), 1)


def _parts(widths: list[int], width: int, keys: int) -> list[list[int]]:
    """Which columns stand beside each other: as many as fit, those that tell rows apart in every part."""
    while keys > 1 and sum(w + 2 for w in (*widths[:keys], max(widths[keys:], default=0))) > width:
        keys -= 1  # no room would be left for any other
    parts: list[list[int]] = []
    for index in range(keys, len(widths)):
        if not parts or sum(widths[i] + 2 for i in (*parts[-1], index)) > width:
            parts.append(list(range(keys)))
        parts[-1].append(index)
    return parts or [list(range(keys))]
