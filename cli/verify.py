"""`nfkit verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def verify(
    file: Annotated[Path, typer.Argument(help="A protected model (*.nf.onnx), a front, or one of two files.")],
    base: Annotated[
        Path | None, typer.Option("--base", help="The base's own file: what is inside must be it, bit for bit.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", help="The record of the protection: the file must be what it speaks of.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", metavar="PEM", help="The key by which the file must be signed.")
    ] = None,
    signature: Annotated[
        Path | None, typer.Option("--signature", help="Where the signature lies; FILE.sig by default.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Samples to measure the recorded figures on again, as in evaluate.")
    ] = None,
    bom: Annotated[
        Path | None,
        typer.Option("--bom", help="Where to write a bill of materials (CycloneDX 1.6), unless something is wrong."),
    ] = None,
    chips: Annotated[int, typer.Option("--chips", min=1, help="Chips to measure them on.")] = 5,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Use only the first samples.")] = None,
    optimization: options.Level = "all",
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Prove that a protected file is what nfkit wrote: base, generator, answer, and nothing besides.

    One line a check. Exit codes: 0 all is proven, 1 something is not as it should be, 3 nothing is wrong, but something
    could not be proven, as of files without a seal.
    """
    from nfkit.cli import console
    from nfkit.deploy.bom import write_bom
    from nfkit.model import load
    from nfkit.workflows.verification import verify as verify_file

    models = {"the model": file, **({"the base": base} if base else {})}
    files = {"the record": record, "the data": data, "the signature": signature}
    console.check_outputs(json, {"--bom": bom}, models=models, files=files, force=force)
    with console.working("nothing is written") as display:
        found = verify_file(
            file, base=base, record=record, public_key=public_key, signature=signature, data=data, chips=chips,
            samples=samples, level=optimization, on_progress=display,  # type: ignore[arg-type]
        )  # fmt: skip
    if bom is not None and found.outcome != "wrong":
        write_bom(load(file), file, bom)
    console.show(found, json)
    raise typer.Exit(found.exit_code)
