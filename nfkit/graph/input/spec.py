"""What goes into a model: type, layout, shape and valid range of its input.

The generator works on images [N, C, H, W] in [-1, 1]; a model may want int8 codes, channels last, or normalised
floats. `InputSpec` is the bijection between the two: encoding brings data into the model's own input space, and
`bounds` says which affine map leads from there to [-1, 1]; `nfkit.graph.input.affine` carries it out.

The clip range of the generator is the range that valid inputs have *in the model's input space*: (0 - mean) / std to
(1 - mean) / std for a network that takes normalised images, not [-1, 1].
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.errors import DataError, OptionError
from nfkit.graph.input.affine import carry_out, image_to_levels, input_to_levels, levels_to_input

LAYOUTS = ("NCHW", "NHWC", "NHW", "NC")
"""Known layouts: images with channels first or last, one-channel images, and flat features."""

CODES_OF = "codes of "
"""How the source of a range begins that is no customary one, but that of the model's first quantiser."""


@dataclass(frozen=True)
class InputSpec:
    """The input of a model.

    Attributes:
        name: Name of the graph input.
        dtype: NumPy name of its type.
        layout: One of `LAYOUTS`.
        shape: Extents of all axes but the batch.
        batch: Fixed batch size, or the name of the symbolic one.
        low: Smallest valid value, one number or one a channel; None where neither graph nor user says.
        high: Largest valid value, of the same length.
        source: Where the range comes from, for reports.
    """

    name: str
    dtype: str
    layout: str
    shape: tuple[int, ...]
    batch: int | str
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None
    source: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) as the generator sees the input."""
        if self.layout == "NCHW":
            return self.shape  # type: ignore[return-value]
        if self.layout == "NHWC":
            return self.shape[2], self.shape[0], self.shape[1]
        return (1, *self.shape) if self.layout == "NHW" else (1, 1, self.shape[0])  # type: ignore[return-value]

    @property
    def stated(self) -> bool:
        """Whether user or graph say which values are valid; the codes of a calibrated quantiser only hint at it."""
        return self.low is not None and not self.source.startswith(CODES_OF)

    def bounds(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Centre and half width of the valid range, each [C, 1, 1] or [1, 1, 1]: x = (v - centre) / half_width.

        Raises:
            OptionError: When the range is not known.
        """
        if self.low is None or self.high is None:
            raise OptionError(
                f"the valid range of input '{self.name}' cannot be told from the graph: "
                "give --range LOW HIGH, or --mean and --std of the normalisation it was trained with"
            )
        low, high = np.array(self.low, np.float64), np.array(self.high, np.float64)
        centre, half_width = (high + low) / 2, (high - low) / 2
        return centre.astype(np.float32).reshape(-1, 1, 1), half_width.astype(np.float32).reshape(-1, 1, 1)

    def encode(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Brings data into the model's input space.

        Args:
            x: uint8 images [N, H, W, C], whose 0 to 255 become the valid range; or an array that already has the
                model's type (any float counts as float32) and its shape, channels first or last.

        Returns:
            An array [N, *shape] of the model's type.

        Raises:
            DataError: When type, shape or values do not fit.
        """
        C, H, W = self.image_shape
        last = (H, W, C) if self.layout != "NC" else self.shape
        if x.dtype == np.uint8 and x.shape[1:] in (last, (H, W, C)):
            return carry_out(image_to_levels(self) + levels_to_input(self), x)
        wanted, given = np.dtype(self.dtype), x.dtype
        both_float = np.issubdtype(wanted, np.floating) and np.issubdtype(given, np.floating)
        if wanted != given and not both_float:
            raise DataError(
                f"the data is {given} {list(x.shape[1:])}, input '{self.name}' takes {wanted} {list(self.shape)}: "
                f"give uint8 images {[H, W, C]} or {wanted} arrays in the model's own input space"
            )
        if x.shape[1:] == self.shape:
            encoded = x
        elif self.layout == "NCHW" and x.shape[1:] == last:
            encoded = x.transpose(0, 3, 1, 2)
        elif self.layout == "NHWC" and x.shape[1:] == (C, H, W):
            encoded = x.transpose(0, 2, 3, 1)
        else:
            raise DataError(
                f"the data has shape {list(x.shape[1:])} a sample, input '{self.name}' takes {list(self.shape)} "
                f"({self.layout}): resize or transpose the data"
            )
        encoded = np.ascontiguousarray(encoded.astype(wanted, copy=False))
        self._check_range(encoded)
        return encoded

    def normalise(self, v: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Model input [N, *shape] -> float32 [N, C, H, W] in [-1, 1]."""
        v = np.asarray(v)
        return carry_out(input_to_levels(self), v.reshape(len(v), *self.shape)).astype(np.float32, copy=False)

    def denormalise(self, x: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """float32 [N, C, H, W] in [-1, 1] -> model input [N, *shape], rounded half to even for integer types."""
        return carry_out(levels_to_input(self), x)

    def to_dict(self) -> dict[str, Any]:
        """The input for a report."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> InputSpec:
        """The inverse of `to_dict`, for what was stored in a file."""
        tupled: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
        return cls(**tupled)

    def _check_range(self, v: npt.NDArray[Any]) -> None:
        if self.low is None or self.high is None or np.issubdtype(v.dtype, np.integer):
            return
        slack = 0.02 * (max(self.high) - min(self.low))
        if not (v.min() >= min(self.low) - slack and v.max() <= max(self.high) + slack):
            raise DataError(
                f"the data spans {v.min():.4g} to {v.max():.4g}, input '{self.name}' takes {min(self.low):.4g} to "
                f"{max(self.high):.4g} ({self.source}): preprocess the data as for the model, or give --range"
            )
