"""How a result is shown: in a terminal within its width, to a pipe in plain lines.

A terminal gets the sentence that matters most in bold, wrapped text, and a table that breaks its cells rather than its
lines. A pipe or file gets one line a sentence and one a row, which other programs can read. NO_COLOR and TERM=dumb are
respected.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nfkit.reports.rendering import Overview, Table


def is_terminal() -> bool:
    """Whether stdout is a terminal that can do more than print lines."""
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def show_overview(overview: Overview) -> None:
    """Prints what a record says."""
    if not is_terminal():
        print(overview)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, emoji=False)
    if overview.first:
        console.print(Text(overview.first, style="bold"))
    if overview.title:
        console.print(Text(overview.title))
    show_table(overview.table)
    for note in overview.notes:
        console.print(Text(note))


def show_table(table: Table) -> None:
    """Prints a table; in a terminal no wider than that, with cells of several lines where they must be."""
    plain = str(table)
    width = shutil.get_terminal_size((80, 24)).columns
    if not is_terminal() or max(map(len, plain.splitlines())) <= width:
        print(plain)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for number, name in enumerate(table.columns):
        grid.add_column(Text(name), justify="left" if number == 0 else "right", overflow="fold")
    for row in table.rows:
        grid.add_row(*(Text(str(cell)) for cell in row))
    Console(highlight=False, emoji=False, width=width).print(grid)
