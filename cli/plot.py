"""`nfkit plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def plot(
    records: Annotated[
        list[Path], typer.Argument(help="Records of nfkit evaluate or protect --json, of protected models.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Picture to write: .svg or .png.")],
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Draw accuracy under errors against energy saved, one point a generator and bit error rate."""
    from nfkit.cli import console
    from nfkit.outputs import write_atomically
    from nfkit.reports.tradeoff import draw, read_tradeoffs

    files = {f"the record '{path}'": path for path in records}
    console.check_outputs(json, {"-o": output}, files=files, force=force)
    points = read_tradeoffs(records)
    write_atomically(output, draw(points, output.suffix.lower().lstrip(".")))
    console.write_json({"schema": "nfkit.plot/1", "output": str(output), "points": [p.to_dict() for p in points]}, json)
    if json != "-":
        print(f"{output}: {len(points)} points")
