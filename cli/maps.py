"""`nfkit maps`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli.grouped import grouped
from nfkit.cli.groups import Record


@grouped
def maps(
    folder: Annotated[Path, typer.Argument(help="Folder of fault maps that were measured, a map or two a voltage.")],
    block: Annotated[
        int, typer.Option("--block", metavar="CELLS", min=1, help="Cells of a block, such as those of a bank.")
    ] = 16_384,
    *,
    record: Record,
) -> None:
    """Show fault maps that were measured: how many cells fail at each voltage, and how they crowd.

    Where they crowd, it names the generative layout that crowds errors as much, to ask of chips that nobody measured.
    """
    from nfkit.cli import console
    from nfkit.workflows.fault_maps import describe_maps

    console.check_outputs(record.json)
    console.show(describe_maps(folder, block=block), record.json)
