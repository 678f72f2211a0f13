"""A canary as a file: arrays and a text, with a digest over all of it, so that a damaged one is not believed."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nfkit.deploy.canary import Canary
from nfkit.errors import DataError
from nfkit.measure.device import Calibration, Measure
from nfkit.outputs import PathLike, write_atomically

FORMAT = "nfkit.canary/1"
_ARRAYS = ("x", "clean", "rates", "scores", "answers", "accuracy")
_MEASURES: tuple[Measure, ...] = ("scores", "answers")


def save_canary(canary: Canary, path: PathLike) -> Path:
    """Writes a canary, all of it or nothing.

    Raises:
        OutputError: When the file cannot be written.
    """
    told = canary.calibration
    arrays: dict[str, Any] = {
        "x": canary.x, "clean": told.clean, "rates": np.array(told.rates), "accuracy": canary.accuracy,
        **{str(measure): departures for measure, departures in told.departures.items()},
    }  # fmt: skip
    text = json.dumps(
        {
            "format": FORMAT, "modes": list(canary.modes), "clean_accuracy": list(canary.clean_accuracy),
            "least": canary.least, "about": canary.about, "settings": told.settings,
            "rule": {m: [None if np.isinf(cut) else cut for cut in cuts] for m, cuts in canary.rule.items()},
        },
        sort_keys=True,
    )  # fmt: skip
    stream = io.BytesIO()
    np.savez(stream, **arrays, about=np.array(text), sha256=np.array(_digest(arrays, text)))
    return write_atomically(Path(path), stream.getvalue())


def load_canary(path: PathLike) -> Canary:
    """Reads a canary.

    Raises:
        DataError: When the file is none, or was changed.
    """
    what = f"'{path}' is no canary that can be believed"
    if not Path(path).exists():
        raise DataError(f"no canary at '{path}': nfkit canary builds one, and says where it wrote it")
    try:
        # From memory: of a file that is cut short numpy leaves the handle open.
        with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _ARRAYS}
            text, digest = str(stored["about"]), str(stored["sha256"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{what} ({error}): give a file that nfkit canary wrote") from error
    if _digest(arrays, text) != digest:
        raise DataError(f"{what}: its digest is that of other contents; take the original")
    try:
        about = json.loads(text)
        if about["format"] != FORMAT:
            raise DataError(f"{what}: its format is {about['format']!r}, and not {FORMAT}")
        rule: dict[Measure, list[float]] = {
            m: [float("inf") if cut is None else float(cut) for cut in about["rule"][m]] for m in _MEASURES
        }
        calibration = Calibration(
            arrays["clean"], tuple(float(r) for r in arrays["rates"]), {m: arrays[m] for m in _MEASURES},
            about["settings"],
        )  # fmt: skip
        return Canary(
            arrays["x"], calibration, tuple(about["modes"]), arrays["accuracy"], rule,
            tuple(about["clean_accuracy"]), about["least"], about["about"],
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{what} ({error}): give a file that nfkit canary wrote") from error


def _digest(arrays: dict[str, Any], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in _ARRAYS:
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\0{array.dtype.str}{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
