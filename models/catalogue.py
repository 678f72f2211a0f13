"""The models that come with nfkit: bases of random weights, generators before training, and trained bases.

`nfkit models` shows this list. Generators need torch; nothing else here does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import onnx_ir as ir

from nfkit.energy import count_parameters
from nfkit.errors import OptionError
from nfkit.model import load
from nfkit.models.bases import BASES
from nfkit.models.bases import build as build_base
from nfkit.models.generators import GENERATORS, HINTS
from nfkit.models.zoo import ZOO
from nfkit.models.zoo import path as zoo_path

Kind = Literal["base", "generator", "trained base"]

_OPSET = 20  # of generators; the bases' own


@dataclass(frozen=True)
class Entry:
    """A model that comes with nfkit.

    Attributes:
        name: What `build` knows it by.
        kind: A base of random weights, a generator before training, or a trained base.
        parameters: Numbers that training adjusts, for images of 3x32x32 and 10 classes (a trained base: its own); None
            for a generator where torch is not installed to tell.
    """

    name: str
    kind: Kind
    parameters: int | None

    def to_dict(self) -> dict[str, Any]:
        """The entry for a record."""
        return dict(vars(self))


def catalogue() -> list[Entry]:
    """Lists the models that `build` knows."""
    entries = [Entry(name, "base", count_parameters(build_base(name))) for name in BASES]
    entries += [Entry(name, "generator", _generator_parameters(name)) for name in GENERATORS]
    return entries + [Entry(name, "trained base", count_parameters(load(zoo_path(name)))) for name in ZOO]


def build(
    name: str,
    shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    *,
    seed: int | None = None,
    quantised: bool = True,
) -> ir.Model:
    """Builds or reads a model that comes with nfkit; the same arguments give the same model.

    Args:
        name: Name of an entry of `catalogue`.
        shape: Channels, height and width of the images; (3, 32, 32) by default. A trained base has its own.
        classes: Number of classes, 10 by default. Only bases of random weights and hint generators have the choice.
        seed: Seed of random weights; 0 by default.
        quantised: Whether a base's weights are int8. Generators are float until they are trained.

    Raises:
        OptionError: When there is no such model, it has no such choice, or a generator is asked for without torch.
    """
    key = name.lower()
    if not 0 <= (seed or 0) < 2**63:
        raise OptionError(f"--seed {seed}: give a whole number from 0 to 2^63 - 1")
    if key in BASES:
        return build_base(
            key, shape or (3, 32, 32), 10 if classes is None else classes, seed=seed or 0, quantised=quantised
        )
    if key in ZOO:
        given = {"image size": shape, "number of classes": classes, "seed": seed, "choice of float": not quantised}
        _refuse(name, "is trained and stored as it is", given)
        return load(zoo_path(key))
    if key in GENERATORS:
        if key not in HINTS:
            _refuse(name, "is a generator that knows no classes", {"number of classes": classes})
        return _untrained_generator(key, shape or (3, 32, 32), 10 if classes is None else classes, seed or 0)
    raise OptionError(f"there is no model {name!r}: choose one of {', '.join((*BASES, *GENERATORS, *ZOO))}")


def _refuse(name: str, reason: str, given: Mapping[str, object]) -> None:
    for what, value in given.items():
        if value is not None and value is not False:
            raise OptionError(f"'{name}' {reason}: it takes no {what}; leave that out")


def _generator_parameters(name: str) -> int | None:
    if find_spec("torch") is None:
        return None
    from nfkit.models.generators import count_parameters as count

    return count(name)


def _untrained_generator(name: str, shape: tuple[int, int, int], classes: int, seed: int) -> ir.Model:
    if find_spec("torch") is None:
        raise OptionError(f"'{name}' is a generator, which needs torch to be built: pip install 'nfkit[train]'")
    if min(shape) < 1:
        raise OptionError(f"an image has at least one channel, row and column, got {'x'.join(map(str, shape))}")
    from nfkit.learn.export import export_untrained

    return export_untrained(name, shape, opset=_OPSET, classes=classes, seed=seed)
