"""Scores of several models in two dimensions, so that samples that are answered alike lie together.

t-SNE of all models' log shares at once (van der Maaten and Hinton, JMLR 9, 2008), so that one place means the same in
each of them; by principal components where samples are too few for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from nfkit.errors import OptionError
from nfkit.reports.single_samples import Answers, ScoreMap

FEWEST = 60
"""Samples of all models together, below which neighbourhoods mean nothing."""

MOST = 150
"""Samples of a map: signs of more lie on each other."""

_FLOOR = 1e-6
_PERPLEXITY = 30.0


def map_scores(answers: Sequence[Answers], seed: int) -> ScoreMap:
    """Places of samples, evenly spaced ones where there are more than `MOST`, for all models.

    Args:
        answers: Models with the same classes, on the same samples.
        seed: Seed of the map.

    Raises:
        OptionError: When scikit-learn is missing, or knows no such seed.
    """
    if not 0 <= seed < 2**32:
        raise OptionError(f"--seed {seed} of a map of scores: give a whole number from 0 to 2^32 - 1")
    if find_spec("sklearn") is None:
        raise OptionError("a map of scores needs scikit-learn: pip install 'nfkit[report]'")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    samples = np.arange(0, len(answers[0].shares), -(-len(answers[0].shares) // MOST))
    scores = np.concatenate([np.log(np.maximum(entry.shares[samples], _FLOOR)) for entry in answers])
    if len(scores) < FEWEST or scores.shape[1] < 3:
        places = PCA(n_components=2, random_state=seed).fit_transform(scores)
    else:
        perplexity = min(_PERPLEXITY, (len(scores) - 1) / 3)
        with threadpool_limits(1):  # so few points cost threads more than they save, and places must not depend on them
            places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(scores)
    return ScoreMap(samples, np.asarray(places, np.float64).reshape(len(answers), -1, 2))
