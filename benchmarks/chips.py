"""A new chip against a dense draw of the same faults' distribution, and against a copy of the weights.

python benchmarks/chips.py [--quick] [--json FILE]

The dense draw takes one uniform number a bit cell, compares it with the rate, draws a polarity for every cell, packs
both into masks and applies them. It is another map with the same distribution; all three start from the same codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import speed

from nfkit.faults import BitErrors, Chip

RATE = 0.01
SIZES = {"resnet18": 11_173_962, "resnet20": 268_336}
BITS = 8


@dataclass(frozen=True)
class Memory:
    """Codes of one site."""

    name: str
    count: int
    bits: int = BITS


def dense(codes: npt.NDArray[np.int8], rng: np.random.Generator) -> npt.NDArray[np.int8]:
    """The codes that a chip returns whose cells are drawn one by one."""
    faulty = rng.random((codes.size, BITS), np.float32) < RATE
    ones = rng.random((codes.size, BITS), np.float32) < 0.5
    setting = np.packbits(faulty & ones, axis=1).ravel()
    clearing = np.packbits(faulty & ~ones, axis=1).ravel()
    return ((codes.view(np.uint8) | setting) & ~clearing).view(np.int8)


def measure(name: str, count: int, repeats: int) -> dict[str, Any]:
    """Median seconds of a fresh chip, a dense draw and a copy."""
    codes = np.random.default_rng(0).integers(-127, 128, count, np.int8)
    rng, memory, errors = np.random.default_rng(1), Memory(name, count), BitErrors(RATE)
    seeds = iter(range(50_000, 60_000))
    changed = {}

    def chip() -> None:
        changed["chip"] = Chip(next(seeds)).faults(memory, errors).apply(codes)

    def draw() -> None:
        changed["dense"] = dense(codes, rng)

    times = speed.medians({"chip": chip, "dense": draw, "copy": codes.copy}, repeats)
    return {
        "size": name,
        "weights": count,
        **{f"{key} ms": 1e3 * value for key, value in times.items()},
        "dense / chip": times["dense"] / times["chip"],
        "chip / copy": times["chip"] / times["copy"],
        **{f"{key} changed": float((read != codes).mean()) for key, read in changed.items()},
    }


def main() -> None:
    """Measures every size."""
    options = speed.arguments(__doc__).parse_args()
    sizes = {"quick": 20_000} if options.quick else SIZES
    rows = [measure(name, count, 2 if options.quick else 15) for name, count in sizes.items()]
    speed.report("chips", {"rate": RATE, "kind": "stuck", "layout": "iid"}, rows, options.json)


if __name__ == "__main__":
    main()
