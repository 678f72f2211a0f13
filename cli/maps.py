"""`nfkit maps`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options
from nfkit.cli.grouped import grouped
from nfkit.cli.groups import Record
from nfkit.errors import OptionError


@grouped
def maps(
    folder: Annotated[Path, typer.Argument(help="Folder of fault maps that were measured, a map or two a voltage.")],
    block: Annotated[
        int, typer.Option("--block", metavar="CELLS", min=1, help="Cells of a block, such as those of a bank.")
    ] = 16_384,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write their voltage curve, for --curve.")
    ] = None,
    vmin: Annotated[
        float | None,
        typer.Option(
            "--vmin", metavar="V", help="Lowest voltage without errors; by default the lowest without faults."
        ),
    ] = None,
    force: options.Force = False,
    *,
    record: Record,
) -> None:
    """Show fault maps that were measured: how many cells fail at each voltage, and how they crowd.

    Where they crowd, it names the generative layout that crowds errors as much, to ask of chips that nobody measured.
    With -o, their voltages and rates become a curve for the --curve of other commands.
    """
    from nfkit.cli import console
    from nfkit.energy.curve_files import format_curve
    from nfkit.outputs import write_atomically
    from nfkit.workflows.fault_maps import describe_maps, measured_curve

    if vmin is not None and output is None:
        raise OptionError("--vmin is for the voltage curve: give -o as well, where to write it")
    console.check_outputs(record.json, {"-o": output}, force=force)
    found = describe_maps(folder, block=block)
    if output is not None:
        write_atomically(output, format_curve(measured_curve(folder, vmin)).encode())
    console.show(found, record.json)
    if output is not None and record.json != "-":
        print(f"{output}: voltages and rates of these maps, for --curve {output}")
