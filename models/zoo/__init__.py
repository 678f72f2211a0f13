"""Frozen quantised models that travel with the package, each with its recipe and its card.

Images for each lie beside it in the repository, under its own name, where a command without data looks first.

Importing this package imports neither torch nor onnx: it only knows where the files are.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from nfkit.errors import OptionError

__all__ = ["ZOO", "images", "path"]

_FILES = {"resnet8-fashion-mnist": ("resnet8_fashion_mnist_int8.onnx", "resnet8_fashion_mnist_int8.npz")}

ZOO: tuple[str, ...] = tuple(_FILES)
"""Names of the models."""


def path(name: str) -> Path:
    """Returns the ONNX file of a model in `ZOO`.

    Raises:
        OptionError: There is no model of this name.
    """
    return _find(name, 0)


def images(name: str) -> Path:
    """Returns the `.npz` of images that go with a model in `ZOO`.

    It holds `x_train` and `x_test`, uint8 [N, H, W, C], and `y_train` and `y_test`, int64 [N]. It lies beside the model
    in the repository; an installed wheel carries no images.

    Raises:
        OptionError: There is no model of this name, or it was installed without its images.
    """
    found = _find(name, 1)
    if not found.is_file():
        raise OptionError(f"the images of '{name}' travel with the repository, not with the wheel: give other data")
    return found


def _find(name: str, which: int) -> Path:
    if name not in _FILES:
        raise OptionError(f"There is no zoo model {name!r}: choose one of {', '.join(ZOO)}.")
    return Path(str(resources.files(__name__) / _FILES[name][which]))
