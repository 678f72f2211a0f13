"""Elements of SVG as a tree, which escapes whatever text it holds."""

from __future__ import annotations

from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from nfkit.pictures.charts import Role
from nfkit.pictures.styles import STYLES, Marker, paint
from nfkit.pictures.text import shown

FAINT = "currentColor"
SIZE = 12
"""Height of letters, in units of the drawing."""


def root(width: float, height: float, title: str, description: str, ident: str) -> Element:
    """A drawing that a screen reader tells by title and description.

    Args:
        width: Width, in units.
        height: Height, in units.
        title: What it shows.
        description: What can be seen in it.
        ident: Identifier, of its own in the page.
    """
    drawing = Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_n(width)} {_n(height)}", role="img",
        style=f"width:100%;max-width:{round(1.4 * width)}px;height:auto;font:{SIZE}px system-ui,sans-serif",
    )  # fmt: skip
    drawing.set("aria-labelledby", f"{ident}-t {ident}-d")
    SubElement(drawing, "title", id=f"{ident}-t").text = shown(title)
    SubElement(drawing, "desc", id=f"{ident}-d").text = shown(description, 1000)
    return drawing


def write(parent: Element, x: float, y: float, text: object, anchor: str = "middle", **more: str) -> Element:
    """Writes a text at a place."""
    place = {"x": _n(x), "y": _n(y), "text-anchor": anchor, "fill": "currentColor", **more}
    element = SubElement(parent, "text", place)
    element.text = shown(text)
    return element


def line(parent: Element, x1: float, y1: float, x2: float, y2: float, **more: str) -> Element:
    """Draws a thin line."""
    ends = {"x1": _n(x1), "y1": _n(y1), "x2": _n(x2), "y2": _n(y2)}
    return SubElement(parent, "line", {**ends, "stroke": FAINT, "stroke-opacity": ".22", **_dashed(more)})


def stroke(parent: Element, places: list[tuple[float, float]], role: Role, width: float = 2) -> None:
    """Joins places in the colour and dash of a role."""
    points = " ".join(f"{_n(x)},{_n(y)}" for x, y in places)
    look = {"points": points, "fill": "none", "style": f"stroke:{paint(role)}", "stroke-width": _n(width)}
    SubElement(parent, "polyline", look | _dash(role))


def area(parent: Element, places: list[tuple[float, float]], role: Role, opacity: float = 0.16) -> None:
    """Fills the polygon of some places in the colour of a role."""
    points = " ".join(f"{_n(x)},{_n(y)}" for x, y in places)
    SubElement(parent, "polygon", {"points": points, "style": f"fill:{paint(role)}", "fill-opacity": _n(opacity)})


def block(parent: Element, x: float, y: float, width: float, height: float, role: Role, opacity: float = 1) -> Element:
    """Fills a rectangle in the colour of a role."""
    extent = {"x": _n(x), "y": _n(y), "width": _n(max(width, 0)), "height": _n(height)}
    return SubElement(parent, "rect", {**extent, "style": f"fill:{paint(role)}", "fill-opacity": _n(opacity)})


def marker(parent: Element, x: float, y: float, role: Role, r: float = 4) -> Element | None:
    """Draws the marker of a role; None where it has none."""
    style = {"style": f"fill:{paint(role)}"}
    kind: Marker = STYLES[role].marker
    if kind == "none":
        return None
    if kind == "circle":
        return SubElement(parent, "circle", {"cx": _n(x), "cy": _n(y), "r": _n(r), **style})
    if kind == "square":
        return block(parent, x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r, role)
    if kind == "cross":
        d = f"M{_n(x - r)} {_n(y - r)}L{_n(x + r)} {_n(y + r)}M{_n(x - r)} {_n(y + r)}L{_n(x + r)} {_n(y - r)}"
        return SubElement(
            parent, "path", {"d": d, "fill": "none", "stroke-width": "2", "style": f"stroke:{paint(role)}"}
        )
    height = 1.25 * r
    ends = [(x, y - height), (x + height, y), (x, y + height), (x - height, y)]
    if kind == "triangle":
        ends = [(x, y - height), (x + height, y + 0.8 * height), (x - height, y + 0.8 * height)]
    points = " ".join(f"{_n(a)},{_n(b)}" for a, b in ends)
    return SubElement(parent, "polygon", {"points": points, **style})


def whisker(parent: Element, x: float, top: float, bottom: float, role: Role) -> None:
    """Draws an interval as an upright line."""
    ends = {"x1": _n(x), "y1": _n(top), "x2": _n(x), "y2": _n(bottom)}
    SubElement(
        parent, "line", {**ends, "style": f"stroke:{paint(role)}", "stroke-width": "1.5", "stroke-opacity": ".7"}
    )


def swatch(role: Role, sign: Literal["line", "dashes", "marker", "block"]) -> str:
    """The sign of a series for a legend, as markup; it says nothing to a screen reader."""
    drawing = Element("svg", {"viewBox": "0 0 34 12", "width": "34", "height": "12", "aria-hidden": "true"})
    if sign == "block":
        block(drawing, 10, 0, 14, 12, role)
        return markup(drawing)
    if sign != "marker":
        stroke(drawing, [(1, 6), (33, 6)], role)
    if sign != "dashes":
        marker(drawing, 17, 6, role)
    return markup(drawing)


def markup(drawing: Element) -> str:
    """The drawing as markup, as it stands in HTML."""
    return tostring(drawing, encoding="unicode")


def _dash(role: Role) -> dict[str, str]:
    return {"stroke-dasharray": STYLES[role].dash} if STYLES[role].dash else {}


def _dashed(more: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in more.items()}


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
