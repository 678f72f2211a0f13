"""Image files to uint8 arrays of the form that a model takes, by stated rules.

1. The orientation that a camera recorded (EXIF) is applied.
2. Of an animated file the first frame is taken.
3. Grey images are those that store grey, palettes of greys included; transparency is dropped.
4. Where a model takes one channel, colour becomes grey (luma of ITU-R 601); where it takes three, grey is repeated.
5. An image of another size is scaled bilinearly, its sides in proportion, until it just covers the model's height and
   width, and what stands over is cut off evenly on both sides.

Rules 2, 4 and 5 lose something, so they leave a note. Pillow is an optional extra, imported where an image is decoded.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nfkit.data.limits import ImageShape, check_size
from nfkit.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_GREY = frozenset({"1", "L", "LA", "La"})
# More than eight bits a channel: Pillow's conversion clips instead of scaling, so the picture would be lost.
_DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


class ImageReader:
    """Decodes the images of one data set, all to one form, and keeps account of what that changed.

    Args:
        count: How many images there are, for an estimate of their size.
        wanted: What the model takes; None leaves the images as they are, which then must be of one size.
        squeeze: Whether images of another size are scaled out of proportion instead of cropped, without a note.
    """

    def __init__(self, count: int, wanted: ImageShape | None, *, squeeze: bool = False) -> None:
        # A vector of features has no height: images cannot be fitted to it.
        self.wanted = wanted if wanted is not None and wanted[1] > 1 else None
        self.count, self.squeeze = count, squeeze
        self.done: Counter[str] = Counter()
        self.first: tuple[str, tuple[int, int]] | None = None

    def read(self, source: Path | IO[bytes], where: str) -> npt.NDArray[np.uint8]:
        """Decodes one image.

        Args:
            source: The file.
            where: What a message calls it.

        Returns:
            uint8 [H, W, 1] for a grey image, else [H, W, 3].

        Raises:
            DataError: It is unreadable, too deep, or of another size than the first where nothing says which is right.
        """
        try:
            from PIL import Image
        except ImportError as error:
            raise DataError(
                f"{where}: reading image files needs Pillow; install it with `pip install 'nfkit[images]'`."
            ) from error
        with _sentences(where), Image.open(source) as image:
            return self._pixels(image, where)

    def convert(self, picture: Picture, where: str) -> npt.NDArray[np.uint8]:
        """The same for a picture that is open already."""
        with _sentences(where):
            return self._pixels(picture, where)

    def notes(self) -> list[str]:
        """One sentence for each rule that lost something."""
        return [f"{count:,} of {self.count:,} images {what}" for what, count in self.done.items()]

    def _pixels(self, image: Picture, where: str) -> npt.NDArray[np.uint8]:
        from PIL import ImageOps

        if image.mode in _DEEP:
            raise DataError(
                f"{where}: has more than 8 bits a channel (mode {image.mode}); convert it to 8 bits, "
                "or give the inputs as an .npz file."
            )
        self._check(where, image.size, turned=None)  # the orientation may stand behind the pixels
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        self._check(where, image.size, turned)
        if getattr(image, "n_frames", 1) > 1:
            self.done["are animated; their first frame is taken"] += 1
        plain = _plain(ImageOps.exif_transpose(image))
        if self.wanted is None:
            return _array(plain)
        channels = self.wanted[0]
        if channels == 1 and plain.mode == "RGB":
            self.done["are in colour and became grey, as the model takes one channel"] += 1
            plain = plain.convert("L")
        elif channels == 3 and plain.mode == "L":
            self.done["are grey; the model's three channels hold the same"] += 1
            plain = plain.convert("RGB")
        return _array(self._fit(plain))

    def _check(self, where: str, size: tuple[int, int], turned: bool | None) -> None:
        """Looks at the size in an image's header, upright or lying, before its pixels are decoded."""
        if turned is None:
            check_size(where, self.count * int(np.prod(self.wanted or (3, *size), dtype=np.int64)))
        if self.wanted is not None:
            return
        width, height = size[::-1] if turned else size
        if self.first is None:
            if turned is not None:
                self.first = where, (width, height)
            return
        name, (first_width, first_height) = self.first
        fits = [(first_width, first_height), *([(first_height, first_width)] if turned is None else [])]
        if (width, height) not in fits:
            raise DataError(
                f"{where}: is {width} by {height} pixels, but {name} is {first_width} by {first_height}; "
                "resize all images to the model's input size."
            )

    def _fit(self, picture: Picture) -> Picture:
        """Scales a picture until it covers the model's height and width, and cuts the middle out."""
        from PIL import Image

        assert self.wanted is not None
        _, height, width = self.wanted
        if picture.size == (width, height):
            return picture
        if self.squeeze:
            return picture.resize((width, height), Image.Resampling.BILINEAR)
        scale = max(width / picture.width, height / picture.height)
        covering = max(width, round(picture.width * scale)), max(height, round(picture.height * scale))
        self.done[f"were scaled and cropped to {width} by {height} pixels"] += 1
        scaled = picture.resize(covering, Image.Resampling.BILINEAR)
        left, top = (covering[0] - width) // 2, (covering[1] - height) // 2
        return scaled.crop((left, top, left + width, top + height))


@contextmanager
def _sentences(where: str) -> Iterator[None]:
    """Makes whatever Pillow raises over a file into a sentence."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Damaged metadata is no reason to refuse a picture that decodes.
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            yield
    except (
        OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning,
    ) as error:  # fmt: skip
        raise DataError(f"{where}: cannot be read as an image ({error}); replace or remove it.") from error


def _array(picture: Picture) -> npt.NDArray[np.uint8]:
    pixels = np.array(picture, dtype=np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1)


def _plain(image: Picture) -> Picture:
    """The picture as 8-bit grey or colour."""
    grey = image.mode in _GREY
    if image.mode == "P":
        palette = np.frombuffer(image.palette.tobytes(), np.uint8) if image.palette else np.zeros(0, np.uint8)
        step = len(image.palette.mode) if image.palette else 3
        rgb = palette[: len(palette) // step * step].reshape(-1, step)[:, :3]
        grey = bool(len(rgb)) and bool((rgb == rgb[:, :1]).all())
        # By way of RGBA, because a palette may hold transparency, which Pillow warns about.
        image = image.convert("RGBA").convert("RGB")
        return image.getchannel(0) if grey else image
    return image.convert("L" if grey else "RGB")


def stack(images: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Stacks images of one size to [N, H, W, C]; grey ones become colour where any is colour."""
    height, width = images[0].shape[:2]
    channels = max(image.shape[2] for image in images)
    return np.stack([np.broadcast_to(image, (height, width, channels)) for image in images])
