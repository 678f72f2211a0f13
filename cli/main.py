"""The `nfkit` program."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from nfkit.cli.commands import Commands
from nfkit.cli.streams import note, printing
from nfkit.errors import NfkitError
from nfkit.version import __version__

app = typer.Typer(
    cls=Commands,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"nfkit {__version__}")
        raise typer.Exit


@app.callback()
def nfkit(
    version: Annotated[
        bool, typer.Option("-V", "--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Protect frozen quantised ONNX models against the bit errors of low-voltage SRAM.

    Results go to stdout, progress to stderr. Exit codes: 0 done, 1 something that you can mend, 2 wrong usage.
    The same model, data, seed and version give the same faults on every machine.
    """


def main() -> None:
    """Runs the program; what the user can mend is one sentence, anything else a traceback."""
    together = {"TORCHELASTIC_RUN_ID", "WORLD_SIZE"} <= os.environ.keys()  # as torchrun starts it
    try:
        with printing():
            if together:
                _run_once()
            else:
                app()
    except NfkitError as error:
        note(f"nfkit: {error}")
        if together:
            _leave(1)
        sys.exit(1)


def _run_once() -> None:
    """Started several times: one process does what was asked, the others help it train."""
    from nfkit.workflows.torchrun import divided

    code: object = 0
    try:
        with divided() as leads:
            if leads:
                app()
    except SystemExit as end:
        code = end.code
    _leave(code if isinstance(code, int) else int(code is not None))


def _leave(code: int) -> None:
    """Ends the process at once: threads of torch's process group may abort an interpreter that ends at its leisure."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
