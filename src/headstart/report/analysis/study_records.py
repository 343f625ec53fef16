"""The comparison of a study, as all pages show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from headstart.report.analysis.adaptation_comparison import AdaptationSection
from headstart.report.analysis.arms import Arm
from headstart.report.analysis.comparison_without_curves import LevelArm
from headstart.report.analysis.run_measures import MeasuredRun, Reach
from headstart.report.analysis.swept_keys import SweptAxis
from headstart.report.curves.level_passage import Speedup
from headstart.report.statistics.repeated_looks import Look
from headstart.report.statistics.seed_intervals import Interval, Verdict
from headstart.report.stored_runs.study_runs import LeftOutRun, LevelsResult, Replicate


class Question(StrEnum):
    """What a comparison asks."""

    WEIGHTS = "weights"  # what did the source's weights bring? the same recipe with random weights is the control
    PRACTICE = "practice"  # what does transfer bring? each arm at its own best against scratch at its own best


@dataclass(frozen=True)
class ArmSummary:
    """An arm and its metrics."""

    label: str
    arm: Arm
    runs: tuple[MeasuredRun, ...]
    means: dict[str, Interval]  # by measure, over seeds
    tests: dict[str, Interval]  # final metrics of the best checkpoint by tag, over seeds, as they were logged
    reach: tuple[Reach, ...]  # of the baseline's level at the end; empty without a baseline
    source: SourceCost | None
    diverged: int  # runs
    best_before_training: int  # runs whose best checkpoint is that of step 0
    rising: Interval | None  # the last part of the curve less the part before it; None: not measured
    gain: Interval | None  # the level at the end less the arm's own start
    below_start: int  # runs that end below their own start
    labelled: dict[str, tuple[int, ...]]  # train, val -> images whose labels a run read; each value once

    @property
    def still_rises(self) -> bool:
        """Whether the last part lies above the part before it beyond noise."""
        return self.rising is not None and self.rising.known and self.rising.low > 0


@dataclass(frozen=True)
class SourceCost:
    """What developing the source model took, once."""

    wall_s: float | None
    examples: float | None


@dataclass(frozen=True)
class Benefit:
    """One of the three benefits of one mode, and its verdict."""

    name: str  # start, slope or asymptote
    measure: str  # the key of the measure that decides
    difference: Interval  # of the slope: of ln of how many times as fast
    verdict: Verdict
    why: str
    p: float = float("nan")  # Holm-corrected within the family of the question and the benefit
    p_equal: float = float("nan")  # the same of the tests for "no"
    small: bool = False  # yes or negative transfer, and smaller than what matters
    level: float = float("nan")  # the error that this look may spend on it
    note: str = ""  # what else to know before believing it
    needed: str = ""  # how many seeds or images would decide it, where it is undecided


@dataclass(frozen=True)
class ArmComparison:
    """An arm against another, paired by seed and fold."""

    question: Question
    label: str
    against: str
    pairs: tuple[tuple[MeasuredRun, MeasuredRun], ...]  # the other's run and the arm's, by seed and fold
    dropped: tuple[Replicate, ...]  # that only one of the two has
    differences: dict[str, Interval]  # by measure; slope: of ln of how many times as fast
    benefits: tuple[Benefit, ...]
    differs: tuple[str, ...] = ()  # settings that the two do not share besides the weights
    unanswered: str = ""  # why there is no verdict
    over: str = "seeds"  # what the intervals are over: seeds, seeds and images, or folds
    sooner: tuple[Speedup, ...] = ()
    this_source: str = ""  # how far the verdict reaches: this source model, or this kind of source

    @property
    def replicates(self) -> tuple[Replicate, ...]:
        """The seeds, and folds, that both arms have."""
        return tuple(measured.replicate for _, measured in self.pairs)

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({replicate.seed for replicate in self.replicates}))


@dataclass(frozen=True)
class ClassChange:
    """The recall of one class on test, in two arms."""

    name: str
    images: int  # of the class, in the test of one run; 0: not known
    before: float  # mean over the pairs: of the control or baseline
    after: float  # of the arm
    change: Interval  # after less before
    corrected_p: float = float("nan")  # Holm, over all classes and arms of the section


@dataclass(frozen=True)
class ArmClassChanges:
    """An arm against its control or baseline, class by class in the order of the classes."""

    label: str
    against: str
    pairs: int
    over: str  # what the intervals are over: seeds and images, or seeds
    classes: tuple[ClassChange, ...]


@dataclass(frozen=True)
class BestArm:
    """The arm with the highest mean level at the end, and whether that is decided."""

    label: str
    against: str  # the arm that it is told apart from the least
    difference: Interval
    corrected_p: float  # Holm, over all pairs of arms of the section: whichever is best, it holds
    decided: bool
    why: str = ""  # why it is not, where more than random variation stands in the way


@dataclass(frozen=True)
class StudySection:
    """One setting: a baseline and what stands beside it."""

    setting: tuple[str, ...]  # what sets it apart from the other sections
    baseline: ArmSummary | None
    arms: tuple[ArmSummary, ...]  # without the baseline
    comparisons: tuple[ArmComparison, ...]  # of both questions
    threshold: float  # the baseline's mean level at the end; nan without one
    best: BestArm | None
    hints: tuple[str, ...]
    missing: tuple[tuple[Question, str], ...] = ()  # a question that cannot be answered, and what would answer it
    class_changes: tuple[ArmClassChanges, ...] = ()  # of the arms whose runs counted test recall by class

    @property
    def all_arms(self) -> tuple[ArmSummary, ...]:
        """The baseline first."""
        return ((self.baseline,) if self.baseline else ()) + self.arms

    def of(self, question: Question) -> tuple[ArmComparison, ...]:
        """The comparisons of one question."""
        return tuple(comparison for comparison in self.comparisons if comparison.question is question)


@dataclass(frozen=True)
class Study:
    """All of it. Levels are turned so that higher is better (`system/metric_direction.py`)."""

    baseline: str  # the mode
    metric: str
    sections: tuple[StudySection, ...]
    others: tuple[LeftOutRun, ...]
    verdicts: int  # how many differences were tested
    resolution: float  # what one image of val is worth; 0 = not known
    common: tuple[str, ...]  # the overrides that all arms share
    axes: tuple[SweptAxis, ...] = ()  # along which arms lie in order
    levels: tuple[LevelsResult, ...] = ()  # results without a curve
    level_arms: tuple[LevelArm, ...] = ()
    adapted: tuple[AdaptationSection, ...] = ()  # runs that had no label of the target
    looks: tuple[tuple[str, tuple[Look, ...]], ...] = ()  # of each comparison, this look the last
    fixed_seeds: bool = False
    paths: dict[str, str] = field(hash=False, default_factory=dict)  # of data and weights -> their short names

    @property
    def shown_sections(self) -> tuple[StudySection, ...]:
        """Those with a comparison; one without is shown too, several of them are a list of runs."""
        alone = [section for section in self.sections if not section.comparisons]
        return self.sections if len(alone) < 2 else tuple(s for s in self.sections if s.comparisons)

    @property
    def shown_adapted(self) -> tuple[AdaptationSection, ...]:
        """The same of adaptation methods: those with a baseline, or the only one."""
        return self.adapted if len(self.adapted) < 2 else tuple(s for s in self.adapted if s.baseline and s.methods)

    @property
    def folded(self) -> tuple[StudySection | AdaptationSection, ...]:
        """Those that stand in the list of runs alone."""
        shown = {id(section) for section in (*self.shown_sections, *self.shown_adapted)}
        every: tuple[StudySection | AdaptationSection, ...] = (*self.sections, *self.adapted)
        return tuple(section for section in every if id(section) not in shown)

    @property
    def compares(self) -> bool:
        """Whether anything is compared with a baseline or a control."""
        return bool(
            any(section.comparisons for section in self.sections)
            or any(section.methods and section.baseline for section in self.adapted)
            or self.level_arms
        )
