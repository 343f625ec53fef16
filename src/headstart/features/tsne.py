"""t-SNE of features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PERPLEXITY = 30.0


def tsne(features: NDArray[np.floating[Any]], *, seed: int) -> NDArray[np.float32]:
    """t-SNE of features (N, D) -> their places (N, 2), from the principal plane on; N and D from 2 up.

    By scikit-learn, with a perplexity of 30, of few features a third of the others. Takes numbers of no random state
    but its own. van der Maaten & Hinton 2008, Visualizing Data using t-SNE (JMLR 9).
    """
    from sklearn.manifold import TSNE  # here: it takes a second, and only pictures need it

    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    places: NDArray[np.float32] = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)
    return places
