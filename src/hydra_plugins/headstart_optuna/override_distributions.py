"""What a swept override lets a search choose from: Optuna's distribution of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from headstart.search.trial_storage import optuna
from headstart.types import UserError

REPLICATES = (
    "seed",
    "target.fold",
)  # several values of these are no choice: a trial runs with each, its value is the mean


@dataclass(frozen=True)
class SearchSpace:
    """The overrides of a search, taken apart.

    Attributes:
        fixed: Overrides that every job has.
        replicates: Values of seed and fold by their keys, all of which each trial runs with.
        distributions: What is searched, by key.
    """

    fixed: list[str]
    replicates: dict[str, list[str]]
    distributions: dict[str, Any]


def search_space(overrides: list[Override]) -> SearchSpace:
    """The space of these overrides, of which the last one of a key counts.

    Raises:
        UserError: No override is to be searched, or one goes through no value.
    """
    by_key = {override.get_key_element(): override for override in overrides}
    fixed, replicates, distributions = [], {}, {}
    for key, override in by_key.items():
        if not override.is_sweep_override():
            fixed.append(f"{key}={override.get_value_element_as_str()}" if not override.is_delete() else key)
        elif key.lstrip("+") in REPLICATES:
            if isinstance(override.value(), IntervalSweep):
                raise UserError(
                    f"{override.input_line}: a trial runs with each {key}, so that values are listed: {key}=0,1,2"
                )
            replicates[key] = list(override.sweep_string_iterator())
        else:
            distributions[key] = _distribution(override)
    if not distributions:
        raise UserError(
            "hydra/sweeper=optuna searches what several values are given for, got none besides seeds and folds; try: "
            "'optimizer.lr=tag(log, interval(1e-4, 1e-1))'"
        )
    return SearchSpace(fixed, replicates, distributions)


def _distribution(override: Override) -> Any:
    library, value = optuna().distributions, override.value()
    log = "log" in getattr(value, "tags", ())
    try:
        if isinstance(value, IntervalSweep):
            ends = value.start, value.end
            if all(isinstance(end, int) for end in ends):
                return library.IntDistribution(*ends, log=log)
            return library.FloatDistribution(*ends, log=log)
        if isinstance(value, RangeSweep):
            return _of_range(value, log)
    except ValueError as error:
        raise UserError(f"{override.input_line} cannot be searched: {' '.join(str(error).split())}") from error
    return library.CategoricalDistribution(list(override.sweep_string_iterator()))


def _of_range(sweep: RangeSweep, log: bool) -> Any:
    values = list(sweep.range())
    if not values:
        raise ValueError("it goes through no value at all")
    library, low, high, step = optuna().distributions, min(values), max(values), abs(sweep.step)
    if all(isinstance(value, int) for value in values):
        return library.IntDistribution(low, high, step=int(step) if len(values) > 1 else 1, log=log)
    return library.FloatDistribution(low, high, step=None if log else float(step))


def override_of(key: str, value: Any) -> str:
    """`key=value` of a value that was chosen."""
    return f"{key}={value!r}" if isinstance(value, int | float) else f"{key}={value}"
