"""What is the comparison of a study made of?"""

from __future__ import annotations

from dataclasses import dataclass

from headstart.report.adaptation import Adapted
from headstart.report.arms import Arm
from headstart.report.axes import Axis
from headstart.report.levels import LevelArm
from headstart.report.measures import Measured, Reach
from headstart.report.runs import Levels, Other
from headstart.report.statistics import Interval, Verdict


@dataclass(frozen=True)
class ArmSummary:
    """An arm and its figures."""

    label: str
    arm: Arm
    runs: tuple[Measured, ...]
    means: dict[str, Interval]  # by measure, over seeds; of rates the geometric mean
    tests: dict[str, Interval]  # final figures of the best checkpoint by tag, over seeds, as they were logged
    reach: tuple[Reach, ...]  # of the baseline's asymptote; empty without a baseline
    rate_known: bool
    source: SourceCost | None


@dataclass(frozen=True)
class SourceCost:
    """What developing the source model took, once."""

    wall_s: float | None
    examples: float | None


@dataclass(frozen=True)
class Benefit:
    """One question about one mode, and its answer."""

    name: str  # start, slope or asymptote
    measure: str  # the key of the measure that decides
    difference: Interval  # of ln rate for the slope
    corrected_p: float  # Holm, over all verdicts of the study
    verdict: Verdict
    why: str
    note: str = ""  # what else to know before believing it


@dataclass(frozen=True)
class Comparison:
    """A mode against its baseline, paired by seed."""

    label: str
    seeds: tuple[int, ...]
    dropped: tuple[int, ...]  # seeds that only one of the two has
    differences: dict[str, Interval]  # by measure; of logarithms where the measure is compared by its ratio
    benefits: tuple[Benefit, ...]


@dataclass(frozen=True)
class Best:
    """The arm with the highest mean asymptote, and whether that is decided."""

    label: str
    against: str  # the arm that it is told apart from the least
    difference: Interval
    corrected_p: float  # Holm, over all pairs of arms of the section: whichever is best, it holds
    decided: bool


@dataclass(frozen=True)
class Section:
    """One setting: a baseline and what is compared with it."""

    setting: tuple[str, ...]  # what sets it apart from the other sections
    baseline: ArmSummary | None
    arms: tuple[ArmSummary, ...]  # without the baseline
    comparisons: tuple[Comparison, ...]  # one for each of the arms, none without a baseline
    threshold: float  # the baseline's mean asymptote; nan without one
    best: Best | None
    hints: tuple[str, ...]

    @property
    def all_arms(self) -> tuple[ArmSummary, ...]:
        """The baseline first."""
        return ((self.baseline,) if self.baseline else ()) + self.arms


@dataclass(frozen=True)
class Study:
    """All of it. Levels are turned so that higher is better (`curves.lower_is_better`)."""

    baseline: str  # the mode
    metric: str
    sections: tuple[Section, ...]
    others: tuple[Other, ...]
    verdicts: int  # how many the Holm correction is over
    resolution: float  # what one image of val is worth; 0 = not known
    common: tuple[str, ...]  # the overrides that all arms share
    axes: tuple[Axis, ...] = ()  # along which arms lie in order
    levels: tuple[Levels, ...] = ()  # results without a curve
    level_arms: tuple[LevelArm, ...] = ()
    adapted: tuple[Adapted, ...] = ()  # runs that had no label of the target
