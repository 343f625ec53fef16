"""Swept keys: keys with numbers as values, and the lines of arms over them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headstart.report.statistics.seed_intervals import Interval, Verdict

LEAST = 3  # values that a curve needs
_NAMES = ("seed", "fold")  # numbers that name something and have no order
_COUNTS = ("shots", "fraction", "per_class")  # more of it is more labelled images


@dataclass(frozen=True)
class ReachedLevel:
    """What an arm reached, and how it compares with the baseline in the same setting."""

    mean: Interval  # as it was measured
    difference: Interval | None = None  # above 0 = better; None: not compared
    verdict: Verdict | None = None
    corrected_p: float = math.nan
    against: str = ""  # what it is compared with, where that is not the baseline's line


@dataclass(frozen=True)
class PlacedArm:
    """An arm, its setting and its levels."""

    label: str
    setting: frozenset[str]
    is_baseline: bool
    levels: dict[str, ReachedLevel]  # by metric


@dataclass(frozen=True)
class AxisPoint:
    """A place on a line."""

    at: float
    text: str  # the value as it was written
    levels: dict[str, ReachedLevel]


@dataclass(frozen=True)
class AxisLine:
    """Arms that differ in nothing but the axis (and the seed)."""

    label: str
    arm: str  # the label without what else sets it apart
    rest: frozenset[str]  # the setting without the axis
    is_baseline: bool
    is_constant: bool  # the baseline where it has no value of the axis: the same everywhere
    points: tuple[AxisPoint, ...]  # by `at`


@dataclass(frozen=True)
class SweptAxis:
    """A key whose values are numbers, and what lies along it."""

    key: str
    metrics: tuple[str, ...]
    places: tuple[tuple[float, str], ...]  # each value, in order
    lines: tuple[AxisLine, ...]  # the baseline's first

    def baseline_of(self, line: AxisLine) -> AxisLine | None:
        """The baseline's line that a line is compared with: that with the largest setting within its own."""
        candidates = [candidate for candidate in self.lines if candidate.is_baseline and candidate.rest <= line.rest]
        return max(candidates, key=lambda candidate: len(candidate.rest), default=None)

    @property
    def counts_images(self) -> bool:
        """Whether more of it is more labelled images."""
        return self.key.rpartition(".")[2] in _COUNTS


def axes_of(placed: Sequence[PlacedArm]) -> tuple[SweptAxis, ...]:
    """An axis for each key that takes three numbers or more while all else but the seed stays the same.

    Keys that only name (seed, fold) are none. An arm whose value is no number, as null, has no place on it. A
    baseline without a value is drawn along the whole axis.
    """
    axes = [_axis(key, placed) for key in _keys(placed)]
    return tuple(axis for axis in axes if any(len(line.points) >= LEAST for line in axis.lines if not line.is_constant))


def _axis(key: str, placed: Sequence[PlacedArm]) -> SweptAxis:
    with_value = [(arm, value) for arm in placed if (value := _value(arm.setting, key)) is not None]
    common = frozenset.intersection(*(arm.setting for arm, _ in with_value)) if with_value else frozenset()
    lines: dict[tuple[str, frozenset[str]], list[tuple[PlacedArm, float, str]]] = {}
    for arm, (at, text) in with_value:
        rest = frozenset(o for o in arm.setting if _key(o) != key)
        lines.setdefault((arm.label, rest), []).append((arm, at, text))
    places = {at: text for of_line in lines.values() for _, at, text in of_line}
    lines_of_axis = [
        AxisLine(
            label=" ".join([label, *sorted(rest - common)]),
            arm=label,
            rest=rest,
            is_baseline=of_line[0][0].is_baseline,
            is_constant=False,
            points=tuple(AxisPoint(at, text, arm.levels) for arm, at, text in sorted(of_line, key=lambda p: p[1])),
        )
        for (label, rest), of_line in lines.items()
        if len(of_line) > 1
    ]
    drawn = sorted(places.items())
    for arm in placed:
        has_value = any(_key(override) == key for override in arm.setting)
        if arm.is_baseline and not has_value and (arm.label, arm.setting) not in lines:
            points = tuple(AxisPoint(at, text, arm.levels) for at, text in drawn)
            label = " ".join([arm.label, *sorted(arm.setting - common)])
            lines_of_axis.append(AxisLine(label, arm.label, arm.setting, True, True, points))
    return SweptAxis(
        key=key,
        metrics=tuple(dict.fromkeys(metric for arm, _ in with_value for metric in arm.levels)),
        places=tuple(drawn),
        lines=tuple(sorted(lines_of_axis, key=lambda line: not line.is_baseline)),
    )


def _keys(placed: Iterable[PlacedArm]) -> list[str]:
    values: dict[str, set[float]] = {}
    for arm in placed:
        for override in arm.setting:
            value = _value(arm.setting, _key(override))
            if value is not None:
                values.setdefault(_key(override), set()).add(value[0])
    return sorted(key for key, numbers in values.items() if len(numbers) >= LEAST)


def _value(setting: Iterable[str], key: str) -> tuple[float, str] | None:
    """The number that a setting gives a key, and its text; None where it gives none."""
    if key.rpartition(".")[2] in _NAMES:
        return None
    for override in setting:
        if _key(override) == key:
            text = override.partition("=")[2]
            try:
                at = float(text)
            except ValueError:
                return None
            return (at, text) if math.isfinite(at) else None
    return None


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")
