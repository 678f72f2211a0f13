"""Arrays as small images inside a page."""

from __future__ import annotations

import base64
import io
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from nfkit.errors import OptionError

LARGEST = 64
"""Pixels of the longer side of an image in a page."""


def data_uri(image: npt.NDArray[Any]) -> str:
    """An image as a PNG that stands in the page itself.

    Args:
        image: [C, H, W] in [-1, 1], what is beyond is cut off; of other channels than one or three, the first.

    Raises:
        OptionError: When Pillow is missing.
    """
    if find_spec("PIL") is None:
        raise OptionError("images in a report need Pillow: pip install 'nfkit[report]'")
    from PIL import Image

    channels = image if len(image) in (1, 3) else image[:1]
    levels = np.nan_to_num(np.clip(channels, -1, 1)) * 127.5 + 127.5
    pixels = np.rint(levels).astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
