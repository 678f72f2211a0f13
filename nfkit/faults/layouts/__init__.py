"""Which SRAM cell holds which bit of which weight.

A layout maps the cells of a weight site to faulty cells of a chip:

* `iid`: every weight has cells of its own; errors in different weights are independent.
* `array`: one SRAM array of rows x columns is filled again and again as weights stream through. Weight i of every
  site starts over at row 0, so a faulty cell hits many weights, and the same ones on every inference.
* `reference`: the map of the published NeuralFuse code: an array of 8192 x 128 cells drawn by NumPy's legacy
  generator, in which besides every row of 16 weights is repeated 16 times in a row. It reproduces the published
  collapse and its spread; it is a property of that code more than of SRAM.
* `cluster`: every weight has cells of its own, and errors crowd in some blocks of them.
* `measured`: weights stream through a memory whose faulty cells were measured, from a place of each chip's own.

Cells are numbered from the least significant bit of the first word on; `nfkit.faults.codes` says what a word holds.

A new layout is a module here with a class that fits `Layout`, and a line in `LAYOUTS`.
"""

from __future__ import annotations

from nfkit.errors import OptionError
from nfkit.faults.layouts.array import Array
from nfkit.faults.layouts.base import Drawn, Layout, Memory
from nfkit.faults.layouts.clustered import Clustered
from nfkit.faults.layouts.iid import Iid
from nfkit.faults.layouts.measured import Measured
from nfkit.faults.layouts.reference import Reference

LAYOUTS: dict[str, type[Layout]] = {
    "iid": Iid,
    "array": Array,
    "reference": Reference,
    "cluster": Clustered,
    "measured": Measured,
}
"""All layouts by the name that their text begins with; the first is the default."""

__all__ = ["LAYOUTS", "Array", "Clustered", "Drawn", "Iid", "Layout", "Measured", "Memory", "Reference", "parse_layout"]


def parse_layout(text: str) -> Layout:
    """Reads a layout from its name, as `str` gives it: `NAME` or `NAME:SETTINGS`.

    Examples:
        >>> import nfkit
        >>> nfkit.parse_layout("array:64x32")
        Array(rows=64, columns=32)
        >>> nfkit.parse_layout("array:64x")
        Traceback (most recent call last):
            ...
        nfkit.errors.OptionError: unknown layout 'array:64x': choose iid, array, ...

    Raises:
        OptionError: When the text names no layout.
    """
    name, colon, settings = text.partition(":")
    try:
        if name in LAYOUTS and bool(colon) == bool(settings):
            return LAYOUTS[name].parse(settings)
    except ValueError:  # settings that do not read
        pass
    *others, last = (usage for layout in LAYOUTS.values() for usage in layout.usage)
    raise OptionError(f"unknown layout {text!r}: choose {', '.join(others)} or {last}")
