"""What each adaptation reaches on a target without labels, and whether it is better than the source alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from statistics import fmean

from headstart.report.analysis.arms import Arm, ArmGroup, arms_of, groups_of, left_out
from headstart.report.analysis.finished_runs import FinishedRun, LeftOutRun, Replicate
from headstart.report.analysis.run_measures import ImageShares
from headstart.report.analysis.stored_predictions import answers_in
from headstart.report.analysis.swept_keys import PlacedArm, ReachedLevel
from headstart.report.analysis.verdicts import JudgedDifference, TestedDifference
from headstart.report.curves.learning_curve import one_image
from headstart.report.statistics.crossed_intervals import Contributions, crossed_interval
from headstart.report.statistics.intervals import apart
from headstart.report.statistics.seed_intervals import MATTERS, Interval, Verdict, t_interval

FIGURE = "test/accuracy"  # the target's; all that is called val is the source's
SOURCE = "val/accuracy"
ORACLE = "oracle/accuracy"  # of the epoch that the target's test labels chose
BASELINE = "source_only"
_BASELINE_CLASS = "SourceOnly"  # in result.json, whatever the option is called that names it


@dataclass(frozen=True)
class AdaptationMethod:
    """One method over seeds. Its arm's mode is the method's name; the mode is a part of the arm's setting."""

    label: str
    arm: Arm
    rules: tuple[str, ...]  # the figures that chose its runs' checkpoints
    values: tuple[float, ...]  # of FIGURE, by seed
    test: Interval  # of FIGURE
    source: Interval  # of SOURCE, of the same checkpoints
    oracle: Interval | None  # None: no run has it
    gap: Interval | None  # FIGURE less ORACLE, run by run
    seeds: tuple[int, ...] = ()  # that the baseline has too
    dropped: tuple[Replicate, ...] = ()  # that only one of the two has
    over: str = "seeds"  # what the interval of the difference is over
    difference: Interval | None = None  # to the baseline's FIGURE, by seed; None: it is the baseline, or there is none
    verdict: Verdict | None = None
    why: str = ""
    corrected_p: float = math.nan  # Holm, over all adaptations of the study
    small: bool = False  # better or worse, and by less than what matters


@dataclass(frozen=True)
class AdaptationSection:
    """One setting: the source alone, and the methods that are compared with it."""

    setting: tuple[str, ...]  # what sets it apart from the rest of the study
    baseline: AdaptationMethod | None
    methods: tuple[AdaptationMethod, ...]  # without the baseline, the best mean first
    hints: tuple[str, ...]

    @property
    def all_methods(self) -> tuple[AdaptationMethod, ...]:
        """The baseline first."""
        return ((self.baseline,) if self.baseline else ()) + self.methods

    @property
    def rules(self) -> tuple[str, ...]:
        """The figures that chose the checkpoints."""
        return tuple(dict.fromkeys(rule for method in self.all_methods for rule in method.rules))

    @property
    def has_oracle(self) -> bool:
        return any(method.oracle for method in self.all_methods)


def adapted_arms(runs: Iterable[FinishedRun]) -> tuple[tuple[Arm, ...], tuple[LeftOutRun, ...]]:
    """The arms, the method where others have the mode, and the runs that a later one of the same arm replaces."""
    arms, replaced = arms_of(runs)
    return tuple(_by_method(arm) for arm in arms), replaced


def adapted(arms: Iterable[Arm], common: frozenset[str]) -> list[AdaptationSection]:
    """Each setting with its methods, compared with the source alone by seed; verdicts are still to come."""
    arms = tuple(arms)
    image = one_image([run for arm in arms for run in arm.runs], FIGURE, "test")
    modes = dict.fromkeys(_mode(arm) for arm in arms)  # what the weights are from is no part of a method
    groups = [
        group
        for mode in modes
        for group in groups_of([a for a in arms if _mode(a) == mode], BASELINE, without=("adaptation",), strict=True)
    ]
    return [_section(group, common, image) for group in groups]


def _mode(arm: Arm) -> str:
    return next((text for text in sorted(arm.setting) if _key(text) == "mode"), "")


def tests(section: AdaptationSection) -> list[TestedDifference]:
    """What the verdicts are about, in their order."""
    return [
        TestedDifference(
            family="adaptation",
            key=f"adaptation: {' '.join([one.label, *section.setting])}, {FIGURE}",
            difference=one.difference,
            margin=MATTERS,
            seeds=one.seeds,
            digest=sha256(repr((one.seeds, one.values, one.difference[:2])).encode()).hexdigest()[:16],
            without=Verdict.UNDECIDED if one.arm.diverged else None,
            why=f"{one.arm.diverged} of {len(one.arm.runs)} runs diverged" if one.arm.diverged else "",
        )
        for one in section.methods
        if one.difference is not None
    ]


def decided(section: AdaptationSection, coming: Iterator[JudgedDifference]) -> AdaptationSection:
    """The section with its verdicts, in the order of its tests."""
    return replace(section, methods=tuple(_decided(one, coming) for one in section.methods))


def differences(section: AdaptationSection) -> list[Interval]:
    """Those to the source alone, in their order."""
    return [one.difference for one in section.methods if one.difference is not None]


def along(sections: Iterable[AdaptationSection]) -> list[PlacedArm]:
    """The methods by their settings, for curves over a key with numbers as its values."""
    return [
        PlacedArm(
            one.arm.mode,
            one.arm.setting,
            one is section.baseline,
            {FIGURE: ReachedLevel(one.test, one.difference, one.verdict, one.corrected_p)},
        )
        for section in sections
        for one in section.all_methods
    ]


def recalls(method: AdaptationMethod) -> dict[str, float]:
    """Class name -> the recall on the target's test, mean over the seeds that have one; empty where none has."""
    found: dict[str, list[float]] = {}
    for run in method.arm.runs:
        for name, value in (run.result.get("test_recall_per_class") or {}).items():
            if isinstance(value, int | float):
                found.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in found.items()}


def _by_method(arm: Arm) -> Arm:
    said = [text.partition("=")[2] for text in arm.setting if _key(text) == "adaptation"]
    found = str(arm.runs[0].result["adaptation"].get("class"))
    name = BASELINE if found == _BASELINE_CLASS else said[0] if said else found
    rest = {text for text in arm.setting if _key(text) != "adaptation"}
    return Arm(name, frozenset(rest | {f"mode={arm.mode}"}), arm.runs)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _section(group: ArmGroup, common: frozenset[str], image: float) -> AdaptationSection:
    base = _method(group.baseline, group.setting, image) if group.baseline else None
    methods = [_method(arm, group.setting, image) for arm in group.arms]
    if base:
        methods = [_compared(base, one, image) for one in methods]
    methods.sort(key=lambda one: (-one.test.mean if math.isfinite(one.test.mean) else math.inf, one.label))
    setting = tuple(sorted(group.setting - common))
    return AdaptationSection(setting, base, tuple(methods), tuple(_hints(base, methods)))


def _method(arm: Arm, setting: frozenset[str], image: float) -> AdaptationMethod:
    found = {tag: [run.figure(tag) for run in arm.runs] for tag in (FIGURE, SOURCE, ORACLE)}
    has_oracle = any(math.isfinite(value) for value in found[ORACLE])
    gaps = [chosen - oracle for chosen, oracle in zip(found[FIGURE], found[ORACLE], strict=True)]
    return AdaptationMethod(
        label=" ".join([arm.mode, *sorted(arm.setting - setting)]),
        arm=arm,
        rules=tuple(dict.fromkeys(run.chosen_by for run in arm.runs)),
        values=tuple(found[FIGURE]),
        test=t_interval(found[FIGURE], resolution=image),
        source=t_interval(found[SOURCE], resolution=one_image(arm.runs, SOURCE, "val")),
        oracle=t_interval(found[ORACLE], resolution=image) if has_oracle else None,
        gap=t_interval(gaps, resolution=image) if has_oracle else None,
    )


def _compared(base: AdaptationMethod, one: AdaptationMethod, image: float) -> AdaptationMethod:
    theirs = dict(zip(base.arm.replicates, zip(base.arm.runs, base.values, strict=True), strict=True))
    ours = dict(zip(one.arm.replicates, zip(one.arm.runs, one.values, strict=True), strict=True))
    both = [key for key in ours if key in theirs]
    parts = [_by_image(theirs[key][0], ours[key][0]) for key in both]
    known = [part for part in parts if part is not None]
    crossed = len(known) == len(both) > 1
    values = [ours[key][1] - theirs[key][1] for key in both]
    return replace(
        one,
        seeds=tuple(sorted({key.seed for key in both})),
        dropped=tuple(key for key in (*ours, *theirs) if (key in ours) != (key in theirs)),
        over="seeds and images" if crossed else "seeds",
        difference=crossed_interval(known, resolution=image) if crossed else t_interval(values, resolution=image),
    )


def _by_image(theirs: FinishedRun, ours: FinishedRun) -> Contributions | None:
    """What each test image contributes to the difference of two runs; None where they did not keep it."""
    part = apart(_test_images(theirs), _test_images(ours))
    return None if part is None else Contributions(*part)


def _test_images(run: FinishedRun) -> ImageShares | None:
    answers = answers_in(run.folder, "test")
    rows = None if answers is None else answers.rows(FIGURE.partition("/")[2])
    return None if rows is None or not len(rows.value) else ImageShares(rows.image, rows.value[-1])


def _decided(one: AdaptationMethod, coming: Iterator[JudgedDifference]) -> AdaptationMethod:
    if one.difference is None:
        return one
    found = next(coming).decision
    return replace(one, verdict=found.verdict, why=found.why, corrected_p=found.p, small=found.small)


def _hints(base: AdaptationMethod | None, methods: Sequence[AdaptationMethod]) -> Iterator[str]:
    if base is None:
        yield f"There are no runs of adaptation={BASELINE} in this setting: run them to have something to compare with."
    elif not methods:
        yield f"There is only adaptation={BASELINE} in this setting: run a method to compare."
    for one in methods:
        if one.dropped:
            yield left_out(one.label, one.dropped)
