"""`nfkit fold`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def fold(
    model: Annotated[Path, typer.Argument(help="ONNX file with floating weights that its graph quantises.")],
    output: options.Output,
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Write a copy that stores its weights as the integers that its graph makes of them (exports of QAT, QONNX)."""
    from nfkit.cli import console
    from nfkit.graph.memory.sites import fault_sites
    from nfkit.graph.quantised.fold import fold as fold_weights
    from nfkit.model import load, save
    from nfkit.reports.written import Fold

    console.check_outputs(json, {"-o": output}, models={"the model": model}, force=force)
    result = fold_weights(load(model))
    sites = fault_sites(result)
    save(result, output)
    console.write_record(Fold(output=str(output), sites=tuple(site.name for site in sites)), json)
    if json != "-":
        print(f"{output}: {len(sites)} weight sites, {sum(site.count for site in sites)} codes")
