"""`nfkit report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def report(
    files: Annotated[list[Path], typer.Argument(help="Records: what nfkit wrote with --json, of any command.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page to write.")] = Path("report.html"),
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Show records as one HTML file: verdict, pictures, tables, and what the numbers depend on.

    It needs no network and no script, and opens anywhere.
    """
    from nfkit.cli import console
    from nfkit.workflows.reporting import report as run

    read: dict[str, str | Path | None] = {f"the file '{path}'": path for path in files}
    console.check_outputs(json, {"-o": output}, files=read, force=force)
    written = run(files, output, command=console.command_line())
    size = written.stat().st_size if written.is_file() else 0
    record = {"schema": "nfkit.report/1", "output": str(output), "files": [str(path) for path in files], "bytes": size}
    console.write_json(record, json)
    if json != "-":
        print(f"{output}: {len(files)} record{'s' * (len(files) > 1)}, {size / 1000:.0f} KB")
