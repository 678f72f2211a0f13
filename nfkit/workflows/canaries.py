"""Canaries: built for a file with modes, and asked where it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nfkit.access.runtime import Level
from nfkit.access.switched import Switched
from nfkit.deploy.canary import Canary, build_canary
from nfkit.deploy.canary_file import load_canary, save_canary
from nfkit.deploy.figures import read_errors
from nfkit.deploy.health import Health, look_after
from nfkit.errors import OptionError
from nfkit.graph.fusion.modes.record import read_modes
from nfkit.graph.fusion.seal import base_identity
from nfkit.model import ModelLike, load
from nfkit.outputs import PathLike
from nfkit.progress import Counter, OnProgress, silent
from nfkit.workflows import inputs
from nfkit.workflows.inputs import DataLike
from nfkit.workflows.intake import data_for_measuring

SUFFIX = ".canary.npz"
SAMPLES = 500
"""Samples that a canary is chosen from where no other number is wanted."""


def make_canary(
    switched: ModelLike,
    output: PathLike,
    data: DataLike | None = None,
    *,
    n: int = 32,
    least: float | None = None,
    chips: int = 16,
    samples: int = SAMPLES,
    level: Level = "all",
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: OnProgress = silent,
) -> Canary:
    """Builds the canary of a file with modes, and writes it beside the file.

        nfkit.make_canary("switched.nf.onnx", "switched.canary.npz", "test.npz")

    Args:
        switched: A file with modes: a path, a ModelProto or an onnx-ir model; never changed.
        output: Where to write the canary.
        data: Labelled samples that the generator was not trained on; by default looked for beside the file.
        n: How many inputs to choose.
        least: Accuracy below which the voltage should be raised.
        chips: How many simulated chips calibrate, at each of 8 rates.
        samples: How many of the first samples to choose from.
        level: Optimisation level of ONNX Runtime.
        on_stage: Called with a sentence about data that was found.
        on_progress: Told how far it is.

    Raises:
        NfkitError: When the file has no modes, or something does not fit; nothing is written then.
    """
    model = load(switched)
    if not read_modes(model):
        raise OptionError("the file has no modes between which a canary could choose: give it some (nfkit modes)")
    spec, (errors, layout) = inputs.find_spec(model), read_errors(model)
    taken = data_for_measuring(model, switched, data, spec, samples=samples, level=level)
    for sentence in taken.sentences:
        on_stage(sentence)
    counter = Counter("simulating chips", 8 * (8 + chips), on_progress)
    canary = build_canary(
        model, taken.test, spec, errors, layout, n=n, least=least, chips=chips, level=level,
        about={"base": base_identity(model).digest, "data": {"name": taken.test.name, "sha256": taken.test.sha256}},
        on_chip=lambda rate, chip: counter(f"{100 * rate:.2g} %, chip {chip}"),
    )  # fmt: skip
    save_canary(canary, output)
    return canary


def check_health(canary: PathLike | Canary, switched: Switched | PathLike, *, level: Level = "all") -> Health:
    """Asks a file with modes its canary, where it runs, and switches it to the mode that does best.

        switched = nfkit.Switched("switched.nf.onnx")
        print(nfkit.check_health("switched.canary.npz", switched).sentence())

    Args:
        canary: The canary, or its file.
        switched: The file as it runs, which is left in the chosen mode; or its path.
        level: Optimisation level of ONNX Runtime, where a path is given.

    Raises:
        DataError: When the canary was changed.
        OptionError: When it is that of another file.
    """
    told = canary if isinstance(canary, Canary) else load_canary(canary)
    running = switched if isinstance(switched, Switched) else Switched(Path(switched), level=level)
    if told.about.get("base") not in (None, running.base):
        raise OptionError("the canary was made for another base: build one for this file (nfkit canary)")
    return look_after(running, told)
