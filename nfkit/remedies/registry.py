"""Remedies by name."""

from __future__ import annotations

import re
from collections.abc import Callable

from nfkit.errors import OptionError
from nfkit.remedies.bare import Bare
from nfkit.remedies.base import Combined, Remedy
from nfkit.remedies.ecc import Ecc
from nfkit.remedies.mixed_voltage import MixedVoltage
from nfkit.remedies.robust_bits import RobustBits
from nfkit.remedies.storage import Storage
from nfkit.remedies.trained import NeuralFuse

REMEDIES: dict[str, Callable[[str], Remedy]] = {
    "bare": lambda _: Bare(),
    "robust-bits": RobustBits.parse,
    "storage": Storage.parse,
    "ecc": Ecc.parse,
    "mixed-voltage": MixedVoltage.parse,
    "neuralfuse": NeuralFuse.parse,
}
"""What reads the settings of each remedy."""


def parse_remedy(text: str) -> Remedy:
    """Reads a remedy from its name: `NAME` or `NAME:SETTING`, several of them joined by `+`.

    Such as `bare`, `robust-bits:2`, `storage:sign-magnitude+robust-bits:1`, `ecc:secded-64`,
    `mixed-voltage:conv1_w,fc_w`, `neuralfuse:model.nf.onnx`.

    Raises:
        OptionError: When there is no such remedy, or no such setting.
        NfkitError: When a file that is named cannot be read.
    """
    remedies = []
    # Names of files and sites may hold a plus of their own.
    for part in re.split(rf"\+(?=(?:{'|'.join(REMEDIES)})(?:[:+]|$))", text):
        name, _, setting = part.partition(":")
        if name not in REMEDIES:
            raise OptionError(f"unknown remedy {part!r}: choose from {', '.join(REMEDIES)}")
        remedies.append(REMEDIES[name](setting))
    return remedies[0] if len(remedies) == 1 else Combined(remedies)
