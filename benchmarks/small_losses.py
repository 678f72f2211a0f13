"""How often a small loss is called smaller than it is, by simulation.

python benchmarks/small_losses.py [--runs 20000] [--quick] [--json FILE]

Images are lost, or gained, by themselves, alike on all chips, as early answers lose them. What decides a plan is the
upper end of the interval of the loss: of one of 95 %, it lies below the true loss in 2.5 % of the cases.
"""

from __future__ import annotations

import numpy as np
import speed

from nfkit.measure.statistics import difference_interval

LOSSES = (0.0025, 0.005, 0.01)
GAINS = (0.0, 0.005, 0.02)
IMAGES = (250, 500, 2000)


def main() -> None:
    """Simulates the whole grid."""
    parser = speed.arguments(__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    options = parser.parse_args()
    runs = 50 if options.quick else options.runs
    rows = [simulate(loss, gained, images, runs) for images in IMAGES for loss in LOSSES for gained in GAINS]
    speed.report("small_losses", {"runs": runs, "seed": 0}, rows, options.json)


def simulate(loss: float, gained: float, images: int, runs: int) -> dict[str, float]:
    """One cell of the grid."""
    random = np.random.default_rng([0, round(1e4 * loss), round(1e4 * gained), images])
    held = smaller = 0
    for lost, won, _ in random.multinomial(images, (loss + gained, gained, 1 - loss - 2 * gained), size=runs):
        difference = np.repeat(np.int8([1, -1, 0]), (lost, won, images - lost - won))
        interval = difference_interval(np.tile(difference, (2, 1)))
        assert interval is not None
        smaller += interval[1] < loss
        held += interval[0] <= loss <= interval[1]
    return {
        "images": images,
        "lost %": 100 * (loss + gained),
        "gained %": 100 * gained,
        "called smaller %": round(100 * smaller / runs, 1),
        "held %": round(100 * held / runs, 1),
    }


if __name__ == "__main__":
    main()
