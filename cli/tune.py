"""`nfkit tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nfkit.cli import options
from nfkit.cli.grouped import parse_share


def tune(
    protected: Annotated[Path, typer.Argument(help="A protected model (*.nf.onnx).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the changed model.")],
    caution: Annotated[
        float | None, typer.Option("--caution", help="Of a hint: more leaves more to the base; above 0.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="BER", help="Trust as it was fitted for a bit error rate; 0: nominal."),
    ] = None,
    trust: Annotated[
        float | None, typer.Option("--trust", help="Weight of the generator's evidence (b); 0 is the base alone.")
    ] = None,
    doubt: Annotated[
        float | None, typer.Option("--doubt", help="Doubt in the base (e), 0 to 1; 1 is the generator alone.")
    ] = None,
    sharpness: Annotated[float | None, typer.Option("--sharpness", help="Factor on the base's scores (t).")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", help="Of the evidence (T).")] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Of early answers: probability from which on the base is spared."),
    ] = None,
    mode: Annotated[
        str | None, typer.Option("--mode", help="Of a file with modes: the one where a host names none.")
    ] = None,
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Shift the balance between generator and base in a protected model, without training.

    The base stays as it is: measure the result with nfkit evaluate.
    """
    from nfkit.cli import console
    from nfkit.errors import OptionError
    from nfkit.graph.fusion.caution import read_caution, with_caution
    from nfkit.graph.fusion.dial import dial
    from nfkit.graph.fusion.modes.record import mode_of, set_mode
    from nfkit.model import load, save, sha256
    from nfkit.reports.written import Ends, Switch, Tune, WrittenFile

    console.check_outputs(json, {"-o": output}, models={"the model": protected}, force=force)
    model = changed = load(protected)
    moved: dict[str, dict[str, float]] = {}
    if caution is not None:
        changed = with_caution(changed, caution)
        moved["caution"] = {"before": read_caution(model), "after": caution}
    given = {"weight": trust, "doubt": doubt, "sharpness": sharpness, "temperature": temperature}
    numbers = {name: number for name, number in given.items() if number is not None}
    if numbers or at is not None or threshold is not None:
        rate = None if at is None else parse_share("--at", at)
        changed, changes = dial(changed, numbers, at=rate, threshold=threshold)
        moved |= changes
    told = ", ".join(
        f"{name} {ends['after']:g} in place of {ends['before']:g}"
        for name, ends in moved.items()
        if ends["after"] != ends["before"]
    )
    switched: Switch | None = None
    if mode is not None:
        switched = Switch(mode_of(changed).name, mode)
        changed = set_mode(changed, mode)
        told = f"mode '{mode}' in place of '{switched.before}'"
    if not moved and mode is None:
        raise OptionError("nothing to change: give --caution, --at, --trust, --doubt, --mode or another number")
    told = told or "the numbers that it had"
    save(changed, output)
    written = WrittenFile(str(output), sha256(output if output.is_file() else changed))
    numbers_moved: dict[str, Any] = {name: Ends(**change) for name, change in moved.items()}
    record = Tune(source=str(protected), output=written, mode=switched, **numbers_moved)
    console.write_record(record, json)
    if json != "-":
        print(f"{output}: {told}; nothing was trained, measure it")
