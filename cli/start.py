"""Where the program begins, before anything that takes time is imported: Ctrl-C is answered from then on."""

from __future__ import annotations

import sys

from nfkit.cli.interrupts import INTERRUPTED, interruptible
from nfkit.cli.streams import note


def main() -> None:
    """Runs the program; interrupted, it says so in a line and its exit code is 130."""
    try:
        with interruptible() as settle:
            from nfkit.cli.main import main as run  # typer and rich take most of the program's start

            settle()
            run()
    except KeyboardInterrupt:
        note("nfkit: interrupted")
        sys.exit(INTERRUPTED)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer's answer to an interrupt within a command
            note("nfkit: interrupted")
        raise
