"""Samples in two dimensions, each a sign for its class, painted by whether it was answered rightly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nfkit.pictures import elements
from nfkit.pictures.charts import Role
from nfkit.pictures.styles import paint

SIGNS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Signs of classes; those beyond are dots."""

_SIZE, _EDGE = 400, 16


@dataclass(frozen=True)
class Cloud:
    """Samples in two dimensions.

    Attributes:
        title: Whose.
        caption: How it is to be read, in sentences.
        places: (x, y) of each sample.
        classes: Its true class, as an index into `names`.
        right: Whether it was answered rightly.
        names: Names of the classes.
        frame: Least and largest x, least and largest y, so that several clouds share their scale.
    """

    title: str
    caption: str
    places: tuple[tuple[float, float], ...]
    classes: tuple[int, ...]
    right: tuple[bool, ...]
    names: tuple[str, ...]
    frame: tuple[float, float, float, float]

    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the table: places say nothing in numbers, classes do."""
        return ("sign", "class", "samples", "answered rightly")

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """One row a class."""
        classes, right = np.array(self.classes), np.array(self.right)
        rows = []
        for index, name in enumerate(self.names):
            of = classes == index
            rows.append((_sign(index), name, str(int(of.sum())), str(int(right[of].sum()))))
        return tuple(rows)


KEY: tuple[tuple[str, Role], ...] = (("answered rightly", "protected"), ("answered wrongly, underlined", "base"))
"""What the two colours mean."""


def draw(cloud: Cloud, ident: str) -> str:
    """A cloud as an SVG element; empty where it has no samples.

    Args:
        cloud: The cloud.
        ident: Identifier, of its own in the page.
    """
    if not cloud.places:
        return ""
    wrong = cloud.right.count(False)
    said = f"{len(cloud.places)} samples, {wrong} of them answered wrongly; {cloud.caption}"
    drawing = elements.root(_SIZE, _SIZE, cloud.title, said, ident)
    left, right, low, high = cloud.frame
    span = _SIZE - 2 * _EDGE
    frame = elements.block(drawing, 0.5, 0.5, _SIZE - 1, _SIZE - 1, "clean", 0)
    frame.set("stroke", elements.FAINT)
    frame.set("stroke-opacity", ".22")
    # Wrong ones last, so that they lie on top.
    for index in sorted(range(len(cloud.places)), key=lambda i: not cloud.right[i]):
        x, y = cloud.places[index]
        role: Role = "protected" if cloud.right[index] else "base"
        place_x = _EDGE + span * (x - left) / ((right - left) or 1)
        place_y = _SIZE - _EDGE - span * (y - low) / ((high - low) or 1)
        style = f"fill:{paint(role)}{'' if cloud.right[index] else ';font-weight:700;text-decoration:underline'}"
        elements.write(drawing, place_x, place_y + 4, _sign(cloud.classes[index]), style=style)
    return elements.markup(drawing)


def _sign(index: int) -> str:
    return SIGNS[index] if index < len(SIGNS) else "·"
