"""The stated rules by which images of any kind become what a model takes."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nfkit.data import load
from nfkit.data.images import ImageReader
from nfkit.errors import DataError

RANDOM = np.random.default_rng(0)


def write(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (8, 8), (16, 12), (300, 17)])
def test_images_are_scaled_to_cover_and_cropped_at_the_centre(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    pixels = RANDOM.integers(0, 256, (height, width, 3), np.uint8)
    read = ImageReader(1, (3, 12, 16)).read(write(tmp_path / "a.png", pixels), "a")
    scale = max(16 / width, 12 / height)
    covering = (max(16, round(width * scale)), max(12, round(height * scale)))
    scaled = np.array(Image.fromarray(pixels).resize(covering, Image.Resampling.BILINEAR))
    left, top = (covering[0] - 16) // 2, (covering[1] - 12) // 2
    assert 0 in (left, top)  # one side fits exactly
    assert read.tolist() == scaled[top : top + 12, left : left + 16].tolist()


def test_an_image_that_fits_is_kept_to_the_bit(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 256, (12, 16, 3), np.uint8)
    reader = ImageReader(1, (3, 12, 16))
    assert reader.read(write(tmp_path / "a.png", pixels), "a").tolist() == pixels.tolist()
    assert reader.notes() == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_recorded_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    pixels = RANDOM.integers(0, 256, (3, 5, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = write(tmp_path / "a.png", pixels, exif=exif)
    # As the standard defines: where row 0 and column 0 of the stored pixels are to be seen.
    upright = {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1],
        5: pixels.transpose(1, 0, 2), 6: np.rot90(pixels, -1), 7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]  # fmt: skip
    assert ImageReader(1, None).read(path, "a").tolist() == upright.tolist()


def test_the_first_frame_of_an_animation_is_taken_and_noted(tmp_path: Path) -> None:
    frames = [Image.new("L", (4, 4), value) for value in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    reader = ImageReader(1, None)
    assert np.unique(reader.read(tmp_path / "a.gif", "a")).tolist() == [10]
    assert reader.notes() == ["1 of 1 images are animated; their first frame is taken"]


def test_a_grey_palette_is_grey(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 256, (4, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.gif")
    Image.fromarray(pixels).convert("P").save(tmp_path / "b.png")
    for name in ("a.gif", "b.png"):
        assert ImageReader(1, None).read(tmp_path / name, "a").tolist() == pixels[..., None].tolist()
    coloured = RANDOM.integers(0, 2, (4, 4, 3), np.uint8) * 255
    Image.fromarray(coloured).convert("P", palette=Image.Palette.WEB).save(tmp_path / "c.png")
    assert ImageReader(1, None).read(tmp_path / "c.png", "a").tolist() == coloured.tolist()


def test_channels_follow_the_model_and_are_noted(tmp_path: Path) -> None:
    colour = write(tmp_path / "a.png", np.full((4, 4, 3), (200, 100, 50), np.uint8))
    reader = ImageReader(1, (1, 4, 4))
    luma = round((299 * 200 + 587 * 100 + 114 * 50) / 1000)
    assert np.unique(reader.read(colour, "a")).tolist() == [luma]
    assert reader.notes() == ["1 of 1 images are in colour and became grey, as the model takes one channel"]
    grey = write(tmp_path / "b.png", np.full((4, 4), 70, np.uint8))
    reader = ImageReader(1, (3, 4, 4))
    assert reader.read(grey, "b").tolist() == np.full((4, 4, 3), 70).tolist()
    assert reader.notes() == ["1 of 1 images are grey; the model's three channels hold the same"]


def png(width: int, height: int) -> bytes:
    """A small PNG whose header announces so many grey pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_sizes_are_read_off_the_headers(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write(tmp_path / "a" / "0.png", np.zeros((4, 4), np.uint8))
    (tmp_path / "a" / "1.png").write_bytes(png(9400, 9400))  # holds no pixels, so decoding it would fail otherwise
    with pytest.raises(DataError, match=r"1\.png: is 9400 by 9400 pixels, but .*0\.png is 4 by 4"):
        load(tmp_path, "test")


def test_images_that_would_fill_the_memory_are_refused_by_the_first_header(tmp_path: Path) -> None:
    reader = ImageReader(10**9, None)
    (tmp_path / "0.png").write_bytes(png(9400, 9400))
    with pytest.raises(DataError, match="more than half of this machine's memory"):
        reader.read(tmp_path / "0.png", "0.png")


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_decompression_bombs_are_refused(tmp_path: Path, side: int) -> None:
    (tmp_path / "a.png").write_bytes(png(side, side))
    with pytest.raises(DataError, match=r"cannot be read as an image .*exceeds limit"):
        ImageReader(1, (3, 8, 8)).read(tmp_path / "a.png", "a.png")
