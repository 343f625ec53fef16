"""Overrides that vary from job to job of a sweep, and their values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from headstart.cli.checking.closest_name import listed
from headstart.cli.config_composing import Composer
from headstart.types import UserError

MOST = 1000  # values of one axis that are looked at; more would take seconds


@dataclass(frozen=True)
class Axis:
    """One swept override: key and the text of its values."""

    key: str  # as the override writes it, with + or @
    group_or_key: str
    values: tuple[str, ...]
    is_interval: bool = False  # the values are then its ends

    @property
    def overrides(self) -> list[str]:
        """The override of each value."""
        return [f"{self.key}={value}" for value in self.values]


def axis(composer: Composer, override: Override) -> Axis:
    """The values that a swept override goes through; of a range or interval its ends, as it is monotone.

    Raises UserError where it goes through none.
    """
    key = override.get_key_element()
    value = override.value()
    if isinstance(value, IntervalSweep):
        values = [str(value.start), str(value.end)]
    elif isinstance(value, RangeSweep):
        if value.step == 0:
            raise UserError(f"{override.input_line} has a step of 0, which leads nowhere; try a step of 1")
        steps = [str(step) for step in islice(value.range(), MOST)]
        values = [steps[0], steps[-1]] if len(steps) > 1 else steps
    else:
        values = list(islice(override.sweep_string_iterator(), MOST))
    if not values:
        group = override.key_or_group
        valid = f"; {group} has {listed(composer.options(group))}" if composer.is_group(group) else ""
        raise UserError(f"{override.input_line} goes through no value at all{valid}")
    return Axis(key, override.key_or_group, tuple(values), isinstance(value, IntervalSweep))
