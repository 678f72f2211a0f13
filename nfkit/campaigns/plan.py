"""What a campaign measures, as its TOML file says it.

Every model is combined with every remedy, kind, layout, storage code and rate: that makes a cell, which is measured on
the same chips as all others, so that any two of them can be compared chip by chip.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nfkit.errors import OptionError
from nfkit.faults import EVALUATION_CHIPS

Figure = Literal["accuracy", "loss"]
"""Whose interval says whether a cell is known well enough."""

DEFAULT_RATES = (0.01,)
DEFAULT_CHIPS = 10
MAX_CHIPS = 10_000
"""Chips at which the stop rule ends where `max_chips` says nothing."""


class ModelEntry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A model of a plan; in the file its path alone will do.

    Attributes:
        file: Path of the ONNX file, a base or a protected one.
        name: What results call it; its file by default.
        data: Its data, in place of the plan's.
        input_layout: Layout of the input, if it cannot be told: NCHW, NHWC, NHW or NC.
        range: Valid range of the input.
        mean: Mean that images in [0, 1] were normalised with, one number or one a channel.
        std: Standard deviation to go with it.
    """

    file: str
    name: str = ""
    data: tuple[str, ...] = ()
    input_layout: str | None = None
    range: tuple[float, float] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @property
    def label(self) -> str:
        """What results call it."""
        return self.name or self.file


class CampaignPlan(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A campaign.

    Attributes:
        models: What is measured.
        data: Samples, as `--data` takes them, each for every model; none to look for them beside each model.
        metric: What judges a model's outputs, `module:function` or `file.py:function` as `nfkit.score` takes it, in
            place of the classes that it gives; data are then samples and targets of any form.
        samples: Use only so many of the first samples.
        labels: Whose labels: `data` (the data's own) or `base` (the clean base's answers).
        remedies: What is done against errors, as `nfkit.remedies.registry.parse_remedy` reads it.
        kinds: What a faulty cell does, `stuck`, `flip` or `asymmetric`; with a share of errors that write a 1 behind
            a colon, such as `stuck:0.2`.
        layouts: Which cell holds what.
        storage: How memory holds a code.
        rates: Bit error rates per cell.
        voltages: Supply voltages over Vmin, in place of rates.
        curve: Voltage curve, by name or path.
        extrapolate: Whether to go on beyond the ends of the curve.
        chips: How many chips each cell is measured on; with `until`, how many at the first look.
        first_chip: Seed of the first.
        until: Half width of each cell's interval at which it is known well enough; None to measure `chips` of each.
        figure: Whose interval: that of the `accuracy`, or of the `loss` against the same file without errors, sample by
            sample, which takes fewer chips and images.
        max_chips: Chips at which a cell ends whatever is known; `MAX_CHIPS` by default.
        level: Optimisation level of ONNX Runtime.
    """

    models: tuple[ModelEntry, ...]
    data: tuple[str, ...] = ()
    metric: str | None = None
    samples: int | None = None
    labels: str = "data"
    remedies: tuple[str, ...] = ("bare",)
    kinds: tuple[str, ...] = ("stuck",)
    layouts: tuple[str, ...] = ("iid",)
    storage: tuple[str, ...] = ("as-stored",)
    rates: tuple[float, ...] = ()
    voltages: tuple[float, ...] = ()
    curve: str = "stutz-2021"
    extrapolate: bool = False
    chips: int = DEFAULT_CHIPS
    first_chip: int = EVALUATION_CHIPS[0]
    until: float | None = None
    figure: Figure = "accuracy"
    max_chips: int | None = None
    level: str = "all"

    @property
    def most_chips(self) -> int:
        """Chips of a cell at most."""
        return self.chips if self.until is None else (self.max_chips or MAX_CHIPS)

    @property
    def seeds(self) -> range:
        """Seeds of all chips that may be measured."""
        return range(self.first_chip, self.first_chip + self.most_chips)


def parse_kind(text: str) -> tuple[str, float]:
    """A kind and the share of errors that write a 1: `stuck`, or `stuck:0.2`.

    Raises:
        OptionError: When what stands behind the colon is no number.
    """
    name, colon, share = text.partition(":")
    try:
        return name, float(share) if colon else 0.5
    except ValueError:
        raise OptionError(
            f"kind {text!r}: a share of errors that write a 1 stands behind the colon, as in stuck:0.2"
        ) from None


TEMPLATE = """\
# A campaign of nfkit: nfkit campaign {name} -o DIR
# Every model is combined with every remedy, kind, layout, storage code and rate: each combination is a cell, and all
# cells are measured on the same chips. Paths are relative to the folder in which the command runs.

models = [{model}]
{data}
# samples = 1000                      # only the first samples
# labels = "base"                     # accuracy as agreement with the clean base
# metric = "metrics.py:rmse"          # for models that are no classifiers: (outputs, targets) -> a number a sample

remedies = ["bare", "robust-bits:2", "ecc:secded-64"]   # also storage:CODE, neuralfuse:FILE, A+B; nfkit explain remedy
kinds = ["stuck"]                     # flip, asymmetric:0.2 (a fifth of the errors write a 1)
layouts = ["iid"]                     # array, reference, cluster, measured:FOLDER
storage = ["as-stored"]               # sign-magnitude, offset-binary, gray
rates = ["0.5%", "1%"]                # or voltages = [0.85, 0.83], by the curve
# curve = "stutz-2021"

chips = 10                            # of each cell; with until: how many at the first look
# until = "1%"                        # go on until the interval of each cell is within +- 1 %
# figure = "loss"                     # of the loss against the clean file, in place of the accuracy
# max_chips = 1000
"""
"""A plan to begin with."""
