"""How often the interval at which a campaign stops holds the truth, by simulation.

python benchmarks/stopping.py [--runs 600] [--quick] [--json FILE]

Campaigns of known truth: chips shift the chance of being right by up to 6 points either way, images by 5, and an answer
is a coin of that chance. Each is looked at as `--until` does, from 6 chips to 60, and ends where the interval is
narrower than asked for. Beside the rule of nfkit, whose looks share the 5 % that may miss, stands the one that takes a
plain 95 % interval at every look.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import speed

from nfkit.campaigns.stopping import Look, StopRule
from nfkit.measure.statistics import Tally

TRUTH = 0.65
CHIPS, IMAGES = 60, 600
CHIP_SPREAD, IMAGE_SPREAD = 0.06, 0.05


def main() -> None:
    """Simulates, for some half widths."""
    parser = speed.arguments(__doc__)
    parser.add_argument("--runs", type=int, default=600)
    options = parser.parse_args()
    runs = 20 if options.quick else options.runs
    rows = [
        {"rule": name, "half width": until, **simulate(until, runs, plain=plain)}
        for until in (0.02, 0.03)
        for name, plain in (("looks share 5 %", False), ("95 % at every look", True))
    ]
    speed.report("stopping", {"runs": runs, "seed": 6, "chips": f"6 to {CHIPS}", "images": IMAGES}, rows, options.json)


def simulate(until: float, runs: int, *, plain: bool) -> dict[str, float]:
    """How many intervals hold the truth where a campaign ends, of all and of those that are as narrow as asked for.

    A campaign ends at the last look, too, where it is not.
    """
    rule, random, held, chips, settled = StopRule(6, until, CHIPS), np.random.default_rng(6), [], [], []
    for _ in range(runs):
        chance = CHIP_SPREAD * random.uniform(-1, 1, (CHIPS, 1)) + IMAGE_SPREAD * random.choice([-1, 1], (1, IMAGES))
        look, tally = stop(rule, random.random((CHIPS, IMAGES)) < TRUTH + chance, plain=plain)
        interval = tally.interval(look.level)
        assert interval is not None
        held.append(interval[0] <= TRUTH <= interval[1])
        settled.append(rule.settles(tally, look))
        chips.append(look.chips)
    narrow = np.array(held)[settled]
    return {
        "held %": round(100 * float(np.mean(held)), 1),
        "mean chips": round(float(np.mean(chips)), 1),
        "settled %": round(100 * float(np.mean(settled)), 1),
        "held of the settled %": round(100 * float(narrow.mean()), 1) if len(narrow) else float("nan"),
    }


def stop(rule: StopRule, correct: np.ndarray, *, plain: bool) -> tuple[Look, Tally]:
    """The look that ends a campaign, and what was measured by then."""
    tally = Tally(IMAGES)
    for each in rule.looks():
        look = replace(each, level=0.95) if plain else each
        for row in correct[tally.chips : look.chips]:
            tally.add(row)
        if rule.settles(tally, look):
            break
    return look, tally


if __name__ == "__main__":
    main()
