"""How often the two-way intervals hold the truth, by simulation.

python benchmarks/coverage.py [--runs 400] [--quick] [--json FILE]

Every chip and every image shifts the logit of being right by a normal amount; whether a chip is right about an image is
then a coin of that probability. The true mean follows by Gauss-Hermite quadrature. How far chips spread goes with the
accuracy, as it does in docs/results: hardly at a mild voltage, most where the base breaks down. Images spread by 2.5,
so that most are easy or hopeless. Beside the accuracy, a paired difference of three points on the same chips and images
is estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import speed
from scipy.optimize import brentq
from scipy.special import expit

from nfkit.measure.statistics import accuracy_interval, difference_spread

# Accuracy of a base, and the spread of its chips on the logit scale that gives the standard deviations of docs/results.
REGIMES = ((0.15, 0.35), (0.30, 0.6), (0.60, 1.0), (0.80, 0.5), (0.90, 0.2), (0.95, 0.1))
CHIPS = (5, 10, 20, 50)
IMAGES = (200, 1000, 5000)
IMAGE_SPREAD = 2.5
DIFFERENCE = 0.03


@dataclass(frozen=True)
class World:
    """Chips and images of one kind.

    Attributes:
        accuracy: True accuracy over all of them.
        chip_spread: Standard deviation of chips, in logits.
    """

    accuracy: float
    chip_spread: float

    @cache  # noqa: B019
    def centre(self, accuracy: float) -> float:
        """The logit around which chips and images spread so that the mean is an accuracy."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(81)
        both = np.outer(weights, weights) / weights.sum() ** 2
        spread = self.chip_spread * nodes[:, None] + IMAGE_SPREAD * nodes
        return float(brentq(lambda c: float((both * expit(c + spread)).sum()) - accuracy, -30, 30))

    def draw(
        self, random: np.random.Generator, chips: int, images: int
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Answers [chips, images] of a system, and of one that is `DIFFERENCE` less accurate."""
        ease = self.chip_spread * random.standard_normal((chips, 1), np.float32)
        ease = ease + IMAGE_SPREAD * random.standard_normal((1, images), np.float32)
        centres = np.float32(self.centre(self.accuracy)), np.float32(self.centre(self.accuracy - DIFFERENCE))
        one, other = (random.random((chips, images), np.float32) < expit(centre + ease) for centre in centres)
        return one, other


def main() -> None:
    """Simulates the whole grid."""
    parser = speed.arguments(__doc__)
    parser.add_argument("--runs", type=int, default=400)
    options = parser.parse_args()
    runs = 20 if options.quick else options.runs
    rows = []
    for accuracy, chip_spread in REGIMES:
        world = World(accuracy, chip_spread)
        for chips in CHIPS[:2] if options.quick else CHIPS:
            for images in IMAGES[:1] if options.quick else IMAGES:
                rows.append(simulate(world, chips, images, runs))
                print(rows[-1], flush=True)
    held = [row["accuracy held %"] for row in rows] + [row["difference held %"] for row in rows]
    print(f"{min(held):.1f} to {max(held):.1f} % of the intervals hold the truth")
    setting = {"runs": runs, "image spread": IMAGE_SPREAD, "difference": DIFFERENCE, "seed": 0}
    speed.report("coverage", setting, rows, options.json)


def simulate(world: World, chips: int, images: int, runs: int) -> dict[str, float]:
    """One cell of the grid."""
    random = np.random.default_rng([0, round(1000 * world.accuracy), chips, images])
    held, widths, deviations = np.zeros(2), [], []
    for _ in range(runs):
        one, other = world.draw(random, chips, images)
        interval, difference = accuracy_interval(one), difference_spread(one, other).ci95
        assert interval is not None
        assert difference is not None
        held += [
            interval[0] <= world.accuracy <= interval[1],
            difference[0] <= DIFFERENCE <= difference[1],
        ]
        widths.append(interval[1] - interval[0])
        deviations.append(one.mean(axis=1).std(ddof=1))
    return {
        "accuracy": world.accuracy,
        "chips": chips,
        "images": images,
        "deviation of chips": round(100 * float(np.mean(deviations)), 1),
        "accuracy held %": round(100 * float(held[0]) / runs, 1),
        "difference held %": round(100 * float(held[1]) / runs, 1),
        "width": round(100 * float(np.mean(widths)), 1),
    }


if __name__ == "__main__":
    main()
