"""Image files to uint8 arrays. Pillow is an optional extra, so it is imported where an image is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from nfkit.errors import DataError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_GREY = frozenset({"1", "L", "LA"})
# More than eight bits a channel: Pillow's conversion clips instead of scaling, so the picture would be lost.
_DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


def decode(source: Path | IO[bytes], where: str, size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """Decodes one image.

    Args:
        source: The file.
        where: What a message calls it.
        size: (height, width) to resize to, bilinearly; as it is where None.

    Returns:
        uint8 [H, W, 1] for a grey image, else [H, W, 3]; transparency is dropped.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(
            f"{where}: reading image files needs Pillow; install it with `pip install 'nfkit[images]'`."
        ) from error
    try:
        with Image.open(source) as image:
            if image.mode in _DEEP:
                raise DataError(
                    f"{where}: has more than 8 bits a channel (mode {image.mode}); convert it to 8 bits, "
                    "or give the inputs as an .npz file."
                )
            # By way of RGBA, because a palette may hold transparency, which Pillow warns about.
            plain = image.convert("RGBA") if image.mode == "P" else image
            plain = plain.convert("L" if image.mode in _GREY else "RGB")
            if size is not None:
                plain = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            pixels = np.array(plain, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: cannot be read as an image ({error}); replace or remove it.") from error
    return pixels.reshape(*pixels.shape[:2], -1)


def stack(images: list[npt.NDArray[np.uint8]], names: list[str]) -> npt.NDArray[np.uint8]:
    """Stacks images of one size to [N, H, W, C]; grey ones become colour where any is colour.

    Raises:
        DataError: An image differs in size from the first one; the message names it.
    """
    height, width = images[0].shape[:2]
    for image, name in zip(images, names, strict=True):
        if image.shape[:2] != (height, width):
            raise DataError(
                f"{name}: is {image.shape[1]} by {image.shape[0]} pixels, but {names[0]} is "
                f"{width} by {height}; resize all images to the model's input size."
            )
    channels = max(image.shape[2] for image in images)
    return np.stack([np.broadcast_to(image, (height, width, channels)) for image in images])
