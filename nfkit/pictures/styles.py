"""How what a chart shows is told apart: by colour, by marker and by dash, so that no one of them is needed alone.

The colours are those of Okabe and Ito (Color Universal Design, 2008), which colour-blind people tell apart, darkened
until each stands out from white by 3 to 1, and lightened for dark pages. The shade of grids lets letters be read on it.
A page may set them anew by the custom properties `--nf-…`; a drawing without a page, as in a notebook, keeps the light
ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nfkit.pictures.charts import Role

Marker = Literal["circle", "square", "triangle", "diamond", "cross", "none"]


@dataclass(frozen=True)
class Style:
    """The style of a series.

    Attributes:
        light: Colour on a light page, as #rrggbb.
        dark: Colour on a dark page.
        dash: Lengths of strokes and gaps; empty for a whole line.
        marker: The marker.
        terminal: Name of the colour in a terminal.
    """

    light: str
    dark: str
    dash: str
    marker: Marker
    terminal: str


STYLES: dict[Role, Style] = {
    "protected": Style("#0072b2", "#56b4e9", "", "circle", "blue"),
    "base": Style("#c24e00", "#ff9a5c", "7 3", "square", "orange"),
    "clean": Style("#5f6368", "#a8adb4", "2 3", "none", "gray"),
    "alone": Style("#00785a", "#3fd0a4", "8 3 2 3", "triangle", "green"),
    "milder": Style("#a64d84", "#e6a0cb", "4 2", "diamond", "magenta"),
    "other": Style("#8a6100", "#f0b94a", "1 2", "cross", "yellow"),
    "heat": Style("#7db8e0", "#235f8c", "", "none", "blue"),
}


def paint(role: Role) -> str:
    """The colour of a role as a CSS value, which a page can set."""
    return f"var(--nf-{role},{STYLES[role].light})"


def stylesheet() -> str:
    """Rules that set the colours for light and dark pages."""
    light = "".join(f"--nf-{role}:{style.light};" for role, style in STYLES.items())
    dark = "".join(f"--nf-{role}:{style.dark};" for role, style in STYLES.items())
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
