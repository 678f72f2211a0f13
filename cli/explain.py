"""`nfkit explain`."""

from __future__ import annotations

from typing import Annotated

import typer


def explain(
    term: Annotated[
        list[str] | None, typer.Argument(help="A word of an output; all of them are listed without.")
    ] = None,
) -> None:
    """Say what a word in an output means: bit error rate, pair, trust, interval and the like."""
    from textwrap import fill

    from nfkit.cli.streams import width
    from nfkit.reports.terms import TERMS, find_term

    if not term:
        print(fill(", ".join(TERMS), width()))
        return
    found = find_term(" ".join(term))
    print(found.name)
    print(fill(found.text, width(), initial_indent="  ", subsequent_indent="  "))
    if found.see:
        print(f"  More: docs/{found.see}")
