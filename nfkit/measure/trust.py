"""Fitting how far a fused file trusts base and evidence, on data that neither was trained on.

The temperature T of the evidence makes its shares true probabilities: least negative log likelihood (NLL) of the
generator alone. Then sharpness t, doubt e and weight b make those of the answer so, over chips at the rate of
operation: the likelihood is that of softmax(u log((1 - e) softmax(t s) + e / C) + v log softmax(z / T)), and b = v / u,
since a common factor ranks no class differently. The base alone is v = 0, the generator alone e = 1: both are among
what is searched, and are tried by themselves as well, so that on the data of the fit the answer is never less likely
than either.

A base looks better than it is on images that it was trained on, and is then trusted too far. Where such images are
all there is, and its accuracy on others is known, `unseen_weights` weighs its errors up to what that accuracy says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, softmax

from nfkit.errors import DataError, OptionError
from nfkit.graph.fusion.trust import Trust

Array = npt.NDArray[np.float64]

_TEMPERATURES = (0.02, 50.0)
_SHARPEST = 1e3  # scores whose spread over classes is 1 say all or nothing at t = 1000, and nothing at 1 / 1000
_FACTOR = 3.0  # common factors, which rank no class differently, stay within e^-3 to e^3
_DOUBTS = (1e-4, 1 - 1e-4)
_MOST = 3_000_000  # scores in a fit: four numbers need no more, and it stays a matter of seconds
_CLOSE = 1e-7  # share of the likelihood below which nothing is gained any more
_NONE = 1e-3  # a weight below which the evidence, or the base, has no part


@dataclass(frozen=True)
class Fit:
    """A fit of the trust numbers.

    Attributes:
        trust: The numbers.
        nll: Mean negative log likelihood of the answer, in nats.
        base_nll: The same of the base alone, at the best common factor.
        generator_nll: The same of the generator alone.
        samples: Images that were fitted on.
        chips: Faulty bases that were fitted on.
    """

    trust: Trust
    nll: float
    base_nll: float
    generator_nll: float
    samples: int
    chips: int

    def to_dict(self) -> dict[str, Any]:
        """The fit for a record."""
        return {**vars(self), "trust": self.trust.to_dict()}


def fit_temperature(evidence: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> float:
    """The temperature at which shares of the evidence are likeliest.

    Args:
        evidence: z, [N, C].
        y: Labels [N].

    Raises:
        DataError: When there are no samples.
    """
    z = _checked(evidence, y)

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(z / np.exp(log_temperature), axis=1)[np.arange(len(y)), y].mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(_TEMPERATURES)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def fit_trust(
    scores: npt.NDArray[Any],
    evidence: npt.NDArray[Any],
    y: npt.NDArray[np.int64],
    weights: npt.NDArray[Any] | None = None,
    start: Trust | None = None,
) -> Fit:
    """Fits t, e, b and T.

    Args:
        scores: s of each faulty base, [chips, N, C], in log form up to a summand a sample.
        evidence: z, [N, C].
        y: Labels [N].
        weights: How much each image counts, [N]; all alike by default.
        start: Where to look for them: the fit of a like voltage, say. By default the search begins in three places.

    Returns:
        The numbers, with what they and the two special cases score.

    Raises:
        DataError: When shapes do not fit, or there is nothing to fit on.
    """
    z, s = _checked(evidence, y), np.asarray(scores, np.float64)
    if s.ndim != 3 or s.shape[1:] != z.shape or not len(s):
        raise DataError(f"scores of shape {s.shape} and evidence of shape {z.shape} are not of the same images")
    if s.size > _MOST:  # evenly spaced, so that no class is left out of sorted data
        used = np.linspace(0, len(y) - 1, max(1, _MOST // (s.shape[0] * s.shape[2])), dtype=np.int64)
        weights = None if weights is None else np.asarray(weights)[used]
        s, z, y = s[:, used], z[used], y[used]
    share = np.full(len(y), 1 / len(y)) if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
    temperature = fit_temperature(z, y)
    q = log_softmax(z / temperature, axis=1)
    problem = _Problem(s, q, y, share)
    blunt, sharp = problem.sharpnesses
    middle, plain = (blunt + sharp) / 2, float(np.clip(0.0, blunt, sharp))
    starts = [(plain, -1.0, 0.0, 1.0), (plain, 1.0, 0.0, 1.0), (middle + 1, -3.0, 0.0, 0.5)]
    doubts = [float(np.log(d / (1 - d))) for d in _DOUBTS]
    if start is not None:
        kept = float(np.clip(start.doubt, *_DOUBTS))
        starts = [(float(np.log(start.sharpness)), float(np.log(kept / (1 - kept))), 0.0, start.weight)]
    bounds: list[tuple[float, float]] = [
        (blunt, sharp), (doubts[0], doubts[1]), (-_FACTOR, _FACTOR), (0.0, float(np.exp(_FACTOR))),
    ]  # fmt: skip
    low, high = (np.array(ends) for ends in zip(*bounds, strict=True))
    runs = [
        minimize(
            problem, np.clip(np.array(point), low, high), jac=True, method="L-BFGS-B", bounds=bounds,
            options={"ftol": _CLOSE},
        )
        for point in starts
    ]  # fmt: skip
    best = min(runs, key=lambda run: float(run.fun))
    log_t, logit_e, log_u, v = best.x
    found = Trust(float(np.exp(log_t)), float(expit(logit_e)), float(v / np.exp(log_u)), temperature)
    base = problem.best_factor(log_softmax(s, axis=2), problem.sharpnesses)
    alone = problem.best_factor(np.broadcast_to(q, s.shape), (-_FACTOR, _FACTOR))
    candidates = [
        (float(best.fun), found),
        (base, Trust(weight=0.0, temperature=temperature)),
        (alone, Trust(doubt=1.0, temperature=temperature)),
    ]
    nll, trust = min(candidates, key=lambda candidate: candidate[0])
    if trust is found and found.weight < _NONE:
        trust = candidates[1][1]
    return Fit(trust, nll, base, alone, len(y), len(s))


def unseen_weights(correct: npt.NDArray[np.bool_], accuracy: float) -> Array:
    """Weights of images that a base has seen, such that it errs on them as often as on others.

    Args:
        correct: Where the base without errors is right, [N].
        accuracy: Its accuracy on images that it has not seen, a share.

    Returns:
        Weights [N], of mean 1; all 1 where it is no better here than there.

    Raises:
        OptionError: When the accuracy is no share between 0 and 1.
        DataError: When the base makes no error at all, so that there is none to weigh up.
    """
    if not 0 < accuracy < 1:
        raise OptionError(f"base accuracy {accuracy}: give a share between 0 and 1, such as 0.91")
    seen = float(np.mean(correct))
    if seen <= accuracy:
        return np.ones(len(correct))
    if seen == 1:
        raise DataError("the base makes no error on the data that trust is fitted on: give data that it has not seen")
    return np.where(correct, accuracy / seen, (1 - accuracy) / (1 - seen))


class _Problem:
    """Mean NLL of an answer with its gradient, as a function of (log t, logit e, log u, v)."""

    def __init__(self, s: Array, q: Array, y: npt.NDArray[np.int64], share: Array) -> None:
        self.s, self.q, self.y = s, q, y
        self.weight = share[None, :] / len(s)  # [1, N], adds up to 1 over chips and images
        self.right = np.zeros_like(q)
        self.right[np.arange(len(y)), y] = 1.0

    def __call__(self, point: Array) -> tuple[float, Array]:
        t, e, u, v = np.exp(point[0]), expit(point[1]), np.exp(point[2]), point[3]
        scaled = t * self.s
        p = softmax(scaled, axis=2)
        mixed = (1 - e) * p + e / p.shape[2]
        logs = np.log(mixed)
        logits = u * logs + v * self.q
        likely = log_softmax(logits, axis=2)
        value = -float((self.weight * (likely * self.right).sum(2)).sum())
        slope = self.weight[..., None] * (softmax(logits, axis=2) - self.right)  # by the logits
        by_mixed = u * slope / mixed
        by_e = (by_mixed * (1 / p.shape[2] - p)).sum()
        by_scaled = (1 - e) * p * (by_mixed - (by_mixed * p).sum(2, keepdims=True))
        gradient = [
            (by_scaled * scaled).sum(), by_e * e * (1 - e), u * (slope * logs).sum(), (slope * self.q).sum(),
        ]  # fmt: skip
        return value, np.array(gradient)

    @property
    def sharpnesses(self) -> tuple[float, float]:
        """The least and the largest log t that tell scores apart, whatever unit they are in.

        Relative to the spread of the scores over classes: logits of a base may be hundreds, or hundredths.
        """
        spread = float(np.sqrt(np.mean(np.var(self.s, axis=2))))
        centre = -float(np.log(spread)) if spread > 0 else 0.0
        return centre - float(np.log(_SHARPEST)), centre + float(np.log(_SHARPEST))

    def best_factor(self, logs: Array, bounds: tuple[float, float]) -> float:
        """Least NLL of some scores over a common factor, whose logarithm lies within bounds."""

        def loss(log_factor: float) -> float:
            likely = log_softmax(np.exp(log_factor) * logs, axis=2)
            return -float((self.weight * (likely * self.right).sum(2)).sum())

        return float(minimize_scalar(loss, bounds=bounds, method="bounded").fun)


def _checked(evidence: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> Array:
    z = np.asarray(evidence, np.float64)
    if z.ndim != 2 or len(z) != len(y) or not len(y):
        raise DataError(f"evidence of shape {z.shape} does not fit {len(y)} labels: give one row of scores an image")
    return z
