"""The `nfkit` program."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nfkit.cli.campaign import campaign
from nfkit.cli.canary import canary
from nfkit.cli.check import check
from nfkit.cli.energy import energy
from nfkit.cli.evaluate import evaluate
from nfkit.cli.examples import epilog
from nfkit.cli.explain import explain
from nfkit.cli.export import export
from nfkit.cli.fold import fold
from nfkit.cli.inject import inject
from nfkit.cli.inspect import inspect
from nfkit.cli.models import models
from nfkit.cli.modes import modes
from nfkit.cli.page import page
from nfkit.cli.plan import plan
from nfkit.cli.plot import plot
from nfkit.cli.protect import protect
from nfkit.cli.quantize import quantize
from nfkit.cli.report import report
from nfkit.cli.search import search
from nfkit.cli.serve import serve
from nfkit.cli.sign import sign
from nfkit.cli.split import split
from nfkit.cli.streams import note, printing
from nfkit.cli.transfer import transfer
from nfkit.cli.tune import tune
from nfkit.cli.verify import verify
from nfkit.cli.vulnerability import vulnerability
from nfkit.errors import NfkitError
from nfkit.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    plan, protect, evaluate, verify, sign, vulnerability, inspect, energy, search, quantize, inject, split, tune,
    modes, canary, transfer, serve, check, export, report, page, plot, fold, explain,
):  # fmt: skip
    app.command(epilog=epilog(command.__name__))(command)
app.add_typer(campaign, name="campaign", epilog=epilog("campaign"))
app.add_typer(models, name="models")


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
    try:
        with printing():
            app()
    except NfkitError as error:
        note(f"nfkit: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        note("nfkit: interrupted")
        sys.exit(130)
