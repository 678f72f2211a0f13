"""What a page holds: models, memories, voltages and samples, as the JavaScript beside this module reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from nfkit.errors import ModelError, UnsupportedError
from nfkit.faults import BitErrors
from nfkit.faults.kinds import Asymmetric, Flip, Stuck
from nfkit.faults.weakness import time_of
from nfkit.faults.words import is_signed, sub_byte
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import WeightSite
from nfkit.pages.modes import PageModes
from nfkit.pages.patchable import Patchable

_DRAWN = (Stuck, Flip, Asymmetric)
"""Kinds of faults that `chip.js` draws."""
_TENSORS = ("float32", "float16", "int8", "uint8", "int32", "uint16", "int16")
"""Types that `session.js` hands to the runtime."""


class Stop(msgspec.Struct, frozen=True):
    """A place on the voltage slider.

    Attributes:
        volts: Supply voltage over Vmin; None where the curve knows none.
        rate: Bit error rate per cell.
        taus: Times until which cells set and clear, as `nfkit.faults.weakness` has them; for stuck cells the first.
        energy: Energy of an access over that at Vmin; None where the curve does not say.
        saving: Share of the weight memory's energy that the protected model saves; None where it cannot be told.
    """

    volts: float | None
    rate: float
    taus: tuple[float, float]
    energy: float | None
    saving: float | None

    @classmethod
    def of(cls, errors: BitErrors, volts: float | None, energy: float | None, saving: float | None) -> Stop:
        """The place of some errors.

        Raises:
            UnsupportedError: When the page cannot draw errors of this kind.
        """
        kind = errors.fault_kind
        if type(kind) not in _DRAWN:
            known = ", ".join(drawn.name for drawn in _DRAWN)
            raise UnsupportedError(f"a page draws errors of the kinds {known}, not '{kind.name}': give --kind")
        if errors.top_rates:
            raise UnsupportedError("a page draws errors of one rate, not of another one in the top bits")
        rates = (errors.rate, 0.0) if isinstance(kind, Stuck) else errors.directed_rates()
        return cls(volts, errors.rate, (time_of(rates[0]), time_of(rates[1])), energy, saving)


class Site(msgspec.Struct, frozen=True):
    """A weight memory.

    Attributes:
        name: Its name, by which its cells are drawn.
        codes: How many codes it holds.
        bits: Bits of a code.
        width: Bits of the word in the file that holds it.
        signed: Whether the word repeats the code's sign.
        exposed: Bit positions that may err.
        size: Bytes in the file.
    """

    name: str
    codes: int
    bits: int
    width: int
    signed: bool
    exposed: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, site: WeightSite, size: int, errors: BitErrors) -> Site:
        """A weight site as the page draws it.

        Raises:
            ModelError: When it has more cells than a chip numbers.
        """
        if site.count * site.bits >= 2**32:
            raise ModelError(f"'{site.name}' has {site.count * site.bits:,} cells, more than a chip numbers")
        width = sub_byte(site.dtype) or 8 * np.dtype(site.dtype).itemsize
        robust = errors.robust_bits(site.name, site.bits)
        exposed = tuple(bit for bit in range(site.bits) if bit not in robust)
        return cls(site.name, site.count, site.bits, width, is_signed(site.dtype), exposed, size)


class Model(msgspec.Struct, frozen=True):
    """A model in the page.

    Attributes:
        name: Which: `base` or `protected`.
        input: Name of its input.
        output: Name of its first output.
        batch: Samples that it insists on at once; None where it does not.
        offsets: Where each site's codes begin in its bytes.
        mode: Where the number of its mode begins; None for a model without modes.
    """

    name: str
    input: str
    output: str
    batch: int | None
    offsets: tuple[int, ...]
    mode: int | None


class Samples(msgspec.Struct, frozen=True):
    """The images, as the model takes them.

    Attributes:
        dtype: NumPy name of their type.
        shape: Extents with the batch in front.
        layout: Order of the axes.
        image: (channels, height, width).
        low: What is shown as black, one number a channel or one for all.
        high: What is shown as white.
        labels: Class of each.
        classes: Names of the classes; empty where nobody names them.
        source: Where they are from.
    """

    dtype: str
    shape: tuple[int, ...]
    layout: str
    image: tuple[int, int, int]
    low: tuple[float, ...]
    high: tuple[float, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    source: str

    @classmethod
    def of(cls, x: npt.NDArray[Any], y: Sequence[int], spec: InputSpec, classes: Sequence[str], source: str) -> Samples:
        """Describes samples [N, *shape] in the model's own input space.

        Raises:
            UnsupportedError: When a browser's runtime is given no input of their type.
        """
        if str(x.dtype) not in _TENSORS:
            raise UnsupportedError(f"input '{spec.name}' takes {x.dtype}, and a page gives {', '.join(_TENSORS)}")
        finite = np.nan_to_num(x.astype(np.float64))
        low = spec.low or (float(finite.min()),)
        high = spec.high or (float(finite.max()),)
        return cls(
            str(x.dtype), x.shape, spec.layout, spec.image_shape, low, high, tuple(map(int, y)), tuple(classes), source
        )


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a page says and holds, without the bytes.

    Attributes:
        title: Name of the file.
        kind: What a faulty cell does.
        sentence: The same in words.
        set_share: Share of errors that write a 1.
        curve: Name of the voltage curve.
        chip: Seed of the first chip.
        start: Index of the stop to begin with.
        stops: By rising voltage.
        sites: The weight memories.
        models: The base, and the protected model if there is one.
        samples: The images.
        versions: Of nfkit and of the runtime.
        modes: The modes of the protected model; None where it has none.
    """

    title: str
    kind: str
    sentence: str
    set_share: float
    curve: str
    chip: int
    start: int
    stops: tuple[Stop, ...]
    sites: tuple[Site, ...]
    models: tuple[Model, ...]
    samples: Samples
    versions: dict[str, str]
    modes: PageModes | None = None


@dataclass(frozen=True)
class Loaded:
    """Contents with their bytes.

    Attributes:
        contents: What the page says.
        pieces: Its bytes by name.
    """

    contents: Contents
    pieces: dict[str, bytes] = field(repr=False)


def describe_models(
    models: dict[str, ir.Model], sites: Sequence[WeightSite], spec: InputSpec, errors: BitErrors
) -> tuple[tuple[Model, ...], tuple[Site, ...], dict[str, bytes]]:
    """Base and protected model, their memories, and their bytes by name; `codes` are those of all memories in a row.

    Args:
        models: The models by name; not changed.
        sites: The weight sites that they share.
        spec: Their input.
        errors: Which bits never err.

    Raises:
        ModelError: When a model does not fit, or the two do not store the same weights.
    """
    described, pieces = list[Model](), dict[str, bytes]()
    memories: tuple[Site, ...] = ()
    for name, model in models.items():
        patchable = Patchable.of(model, sites)
        held = b"".join(patchable.codes)
        if pieces.setdefault("codes", held) != held:
            raise ModelError("base and protected model store different weights: the file was changed since")
        pieces[name] = patchable.content
        batch = spec.batch if isinstance(spec.batch, int) else None
        described.append(
            Model(name, spec.name, str(model.graph.outputs[0].name), batch, patchable.offsets, patchable.mode)
        )
        sizes = map(len, patchable.codes)
        memories = tuple(Site.of(site, size, errors) for site, size in zip(sites, sizes, strict=True))
    return tuple(described), memories, pieces
