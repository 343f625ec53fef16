"""Importance of each setting: the share of the figure's variance that it explains alone, by functional ANOVA."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from headstart.report.leaderboard.setting_groups import SettingGroup

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

LEAST = 8  # settings below which shares say nothing
MOST = 256  # settings of which the trees are made: of more, an even choice
TREES = 32
LOGARITHMIC = 10.0  # the largest value over the smallest, from which on a number counts by its logarithm
EXTRA = "pip install 'headstart[optuna]'"  # what the computation needs


class SettingShare(NamedTuple):
    """A setting and its share of the variance."""

    key: str
    share: float


class SettingImportance(NamedTuple):
    """The shares of all settings.

    Attributes:
        shares: The largest first; empty where they cannot be computed.
        settings: How many settings they are of.
        why: Why there are none; empty where there are.
    """

    shares: tuple[SettingShare, ...]
    settings: int
    why: str = ""


def importance_of(groups: Sequence[SettingGroup], keys: Sequence[str], figure: str) -> SettingImportance:
    """The share of the variance between settings that each key explains alone (Hutter, Hoos, Leyton-Brown 2014).

    The rest is what keys do together, and chance. Each setting counts once, by its mean.

    Args:
        groups: The settings.
        keys: That differ.
        figure: The column that is explained.
    """
    measured = [group for group in groups if math.isfinite(group.means[figure])]
    varying = [key for key in keys if len({group.settings[key] for group in measured}) > 1]
    count = len(measured)
    if count < LEAST or not varying:
        return SettingImportance((), count, f"it takes {LEAST} settings or more, with a figure each; there are {count}")
    if len({group.means[figure] for group in measured}) == 1:
        return SettingImportance((), count, "all settings have the same figure")
    if find_spec("optuna") is None:
        return SettingImportance((), count, f"it is computed by Optuna: {EXTRA}")
    chosen = [measured[i] for i in np.linspace(0, count - 1, min(count, MOST)).round().astype(int)]
    shares = _fanova([group.settings for group in chosen], varying, [group.means[figure] for group in chosen])
    ranked = sorted(shares, key=lambda entry: -entry.share)
    return SettingImportance(tuple(ranked), len(chosen))


def _fanova(settings: Sequence[dict[str, str]], keys: Sequence[str], figures: Sequence[float]) -> list[SettingShare]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.trial import create_trial

    scales = {key: _scale([setting[key] for setting in settings]) for key in keys}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
        study.add_trials(
            [
                create_trial(
                    params={key: _value(setting[key], scales[key]) for key in keys}, distributions=scales, value=figure
                )
                for setting, figure in zip(settings, figures, strict=True)
            ]
        )
        evaluator = FanovaImportanceEvaluator(n_trees=TREES, seed=0)
        shares = evaluator.evaluate(study, params=list(keys))
    finally:
        optuna.logging.set_verbosity(verbosity)
    return [SettingShare(key, float(shares[key])) for key in keys]


def numbers_of(values: Sequence[str]) -> list[float] | None:
    """The values as numbers; None where one is none.

    Args:
        values: As they were written.
    """
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def is_logarithmic(numbers: Sequence[float]) -> bool:
    """Whether equal ratios of these numbers should be equally far apart.

    Args:
        numbers: The values of a setting.
    """
    return min(numbers) > 0 and max(numbers) >= LOGARITHMIC * min(numbers)


def _scale(values: Sequence[str]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    numbers = numbers_of(values)
    if numbers is None:
        return CategoricalDistribution(sorted(set(values)))
    return FloatDistribution(min(numbers), max(numbers), log=is_logarithmic(numbers))


def _value(text: str, scale: BaseDistribution) -> Any:
    from optuna.distributions import FloatDistribution

    return float(text) if isinstance(scale, FloatDistribution) else text
