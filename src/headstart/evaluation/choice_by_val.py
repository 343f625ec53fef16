"""The choice among models by their metrics on val, in the metric's own direction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from headstart.system.metric_direction import lower_is_better

LOSS = "val/loss"


def best_first(metrics: Sequence[Mapping[str, float]], metric: str) -> list[int]:
    """The numbers of the models, the best first; of equal ones that of the lower loss, then the earlier.

    A model whose metric or loss is nan or infinite is left out.

    Args:
        metrics: Of each model: metric and LOSS.
        metric: That decides, of errors and losses the lower.
    """
    finite = [number for number, of in enumerate(metrics) if math.isfinite(of[metric]) and math.isfinite(of[LOSS])]
    return sorted(finite, key=lambda number: (-_benefit(metrics[number], metric), metrics[number][LOSS], number))


def is_no_worse(metrics: Mapping[str, float], than: Mapping[str, float], metric: str) -> bool:
    """Whether a model's metric is as good as another one's; nan never is.

    Args:
        metrics: Of the model.
        than: Of the other one.
        metric: As in best_first.
    """
    return _benefit(metrics, metric) >= _benefit(than, metric)


def _benefit(metrics: Mapping[str, float], metric: str) -> float:
    """The metric, of an error its negative."""
    return -metrics[metric] if lower_is_better(metric) else metrics[metric]
