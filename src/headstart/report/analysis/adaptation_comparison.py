"""What each adaptation reaches on a target without labels, and whether it is better than the source alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from statistics import fmean

from headstart.report.analysis.arms import Arm, ArmGroup, arms_of, groups_of, left_out
from headstart.report.analysis.run_measures import ImageShares
from headstart.report.analysis.swept_keys import PlacedArm, ReachedLevel
from headstart.report.analysis.verdicts import JudgedDifference, TestedDifference
from headstart.report.curves.learning_curve import one_image
from headstart.report.statistics.crossed_intervals import Contributions, crossed_interval
from headstart.report.statistics.interval_choice import apart
from headstart.report.statistics.seed_intervals import MATTERS, Interval, Verdict, of_share, t_interval
from headstart.report.stored_runs.stored_predictions import answers_in
from headstart.report.stored_runs.study_runs import FinishedRun, LeftOutRun, Replicate

TEST_METRIC = "test/accuracy"  # the target's; all that is called val is the source's
SOURCE_METRIC = "val/accuracy"
ORACLE_METRIC = "oracle/accuracy"  # of the epoch that the target's test labels chose
BASELINE = "source_only"
_BASELINE_CLASS = "SourceOnly"  # in result.json, whatever the option is called that names it


@dataclass(frozen=True)
class AdaptationMethod:
    """One method over seeds. Its arm's mode is the method's name; the mode is a part of the arm's setting."""

    label: str
    arm: Arm
    selection_metrics: tuple[str, ...]  # that chose its runs' checkpoints
    values: tuple[float, ...]  # of TEST_METRIC, by seed
    test: Interval  # of TEST_METRIC
    source: Interval  # of SOURCE_METRIC, of the same checkpoints
    oracle: Interval | None  # None: no run has it
    gap: Interval | None  # TEST_METRIC less ORACLE_METRIC, run by run
    seeds: tuple[int, ...] = ()  # that the baseline has too
    dropped: tuple[Replicate, ...] = ()  # that only one of the two has
    over: str = "seeds"  # what the interval of the difference is over
    difference: Interval | None = None  # to the baseline's test metric, by seed; None where there is no comparison
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
    def selection_metrics(self) -> tuple[str, ...]:
        """The metrics that chose the checkpoints."""
        return tuple(dict.fromkeys(metric for method in self.all_methods for metric in method.selection_metrics))

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
    resolution = one_image([run for arm in arms for run in arm.runs], TEST_METRIC, "test")
    modes = dict.fromkeys(_mode(arm) for arm in arms)  # what the weights are from is no part of a method
    groups = [
        group
        for mode in modes
        for group in groups_of([a for a in arms if _mode(a) == mode], BASELINE, without=("adaptation",), strict=True)
    ]
    return [_section(group, common, resolution) for group in groups]


def _mode(arm: Arm) -> str:
    return next((text for text in sorted(arm.setting) if _key(text) == "mode"), "")


def tests(section: AdaptationSection) -> list[TestedDifference]:
    """What the verdicts are about, in their order."""
    return [
        TestedDifference(
            family="adaptation",
            key=f"adaptation: {' '.join([method.label, *section.setting])}, {TEST_METRIC}",
            difference=method.difference,
            margin=MATTERS,
            seeds=method.seeds,
            digest=sha256(repr((method.seeds, method.values, method.difference[:2])).encode()).hexdigest()[:16],
            without=Verdict.UNDECIDED if method.arm.diverged else None,
            why=f"{method.arm.diverged} of {len(method.arm.runs)} runs diverged" if method.arm.diverged else "",
        )
        for method in section.methods
        if method.difference is not None
    ]


def decided(section: AdaptationSection, judgements: Iterator[JudgedDifference]) -> AdaptationSection:
    """The section with its verdicts, in the order of its tests."""
    return replace(section, methods=tuple(_decided(method, judgements) for method in section.methods))


def differences(section: AdaptationSection) -> list[Interval]:
    """Those to the source alone, in their order."""
    return [method.difference for method in section.methods if method.difference is not None]


def along(sections: Iterable[AdaptationSection]) -> list[PlacedArm]:
    """The methods by their settings, for curves over a key with numbers as its values."""
    return [
        PlacedArm(
            method.arm.mode,
            method.arm.setting,
            method is section.baseline,
            {TEST_METRIC: ReachedLevel(method.test, method.difference, method.verdict, method.corrected_p)},
        )
        for section in sections
        for method in section.all_methods
    ]


def recalls(method: AdaptationMethod) -> dict[str, float]:
    """Class name -> the recall on the target's test, mean over the seeds that have one; empty where none has."""
    values_by_class: dict[str, list[float]] = {}
    for run in method.arm.runs:
        for name, value in (run.result.get("test_recall_per_class") or {}).items():
            if isinstance(value, int | float):
                values_by_class.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in values_by_class.items()}


def _by_method(arm: Arm) -> Arm:
    options = [text.partition("=")[2] for text in arm.setting if _key(text) == "adaptation"]
    method = arm.runs[0].result["adaptation"]
    class_name = str(method.get("class"))
    chosen = options[0] if options else str(method.get("option", class_name))  # that of an experiment or a study
    name = BASELINE if class_name == _BASELINE_CLASS else chosen
    other_overrides = {text for text in arm.setting if _key(text) != "adaptation"}
    return Arm(name, frozenset(other_overrides | {f"mode={arm.mode}"}), arm.runs)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _section(group: ArmGroup, common: frozenset[str], resolution: float) -> AdaptationSection:
    baseline = _method(group.baseline, group.setting, resolution) if group.baseline else None
    methods = [_method(arm, group.setting, resolution) for arm in group.arms]
    if baseline:
        methods = [_compared(baseline, method, resolution) for method in methods]
    methods.sort(key=lambda method: (-method.test.mean if math.isfinite(method.test.mean) else math.inf, method.label))
    setting = tuple(sorted(group.setting - common))
    return AdaptationSection(setting, baseline, tuple(methods), tuple(_hints(baseline, methods)))


def _method(arm: Arm, setting: frozenset[str], resolution: float) -> AdaptationMethod:
    values = {tag: [run.final_metric(tag) for run in arm.runs] for tag in (TEST_METRIC, SOURCE_METRIC, ORACLE_METRIC)}
    has_oracle = any(math.isfinite(value) for value in values[ORACLE_METRIC])
    gaps = [chosen - oracle for chosen, oracle in zip(values[TEST_METRIC], values[ORACLE_METRIC], strict=True)]
    return AdaptationMethod(
        label=" ".join([arm.mode, *sorted(arm.setting - setting)]),
        arm=arm,
        selection_metrics=tuple(dict.fromkeys(run.chosen_by for run in arm.runs)),
        values=tuple(values[TEST_METRIC]),
        test=of_share(t_interval(values[TEST_METRIC], resolution=resolution)),
        source=of_share(t_interval(values[SOURCE_METRIC], resolution=one_image(arm.runs, SOURCE_METRIC, "val"))),
        oracle=of_share(t_interval(values[ORACLE_METRIC], resolution=resolution)) if has_oracle else None,
        gap=t_interval(gaps, resolution=resolution) if has_oracle else None,
    )


def _compared(base: AdaptationMethod, method: AdaptationMethod, resolution: float) -> AdaptationMethod:
    of_baseline = dict(zip(base.arm.replicates, zip(base.arm.runs, base.values, strict=True), strict=True))
    of_method = dict(zip(method.arm.replicates, zip(method.arm.runs, method.values, strict=True), strict=True))
    shared = [key for key in of_method if key in of_baseline]
    contributions = [_by_image(of_baseline[key][0], of_method[key][0]) for key in shared]
    by_image = [part for part in contributions if part is not None]
    crossed = len(by_image) == len(shared) > 1
    values = [of_method[key][1] - of_baseline[key][1] for key in shared]
    return replace(
        method,
        seeds=tuple(sorted({key.seed for key in shared})),
        dropped=tuple(key for key in (*of_method, *of_baseline) if (key in of_method) != (key in of_baseline)),
        over="seeds and images" if crossed else "seeds",
        difference=crossed_interval(by_image, resolution=resolution)
        if crossed
        else t_interval(values, resolution=resolution),
    )


def _by_image(baseline: FinishedRun, run: FinishedRun) -> Contributions | None:
    """What each test image contributes to the difference of two runs; None where they did not keep it."""
    part = apart(_test_images(baseline), _test_images(run))
    return None if part is None else Contributions(*part)


def _test_images(run: FinishedRun) -> ImageShares | None:
    answers = answers_in(run.folder, "test")
    rows = None if answers is None else answers.rows(TEST_METRIC.partition("/")[2])
    return None if rows is None or not len(rows.value) else ImageShares(rows.image, rows.value[-1])


def _decided(method: AdaptationMethod, judgements: Iterator[JudgedDifference]) -> AdaptationMethod:
    if method.difference is None:
        return method
    decision = next(judgements).decision
    return replace(method, verdict=decision.verdict, why=decision.why, corrected_p=decision.p, small=decision.small)


def _hints(base: AdaptationMethod | None, methods: Sequence[AdaptationMethod]) -> Iterator[str]:
    if base is None:
        yield f"There are no runs of adaptation={BASELINE} in this setting: run them to have something to compare with."
    elif not methods:
        yield f"There is only adaptation={BASELINE} in this setting: run a method to compare."
    for method in methods:
        if method.dropped:
            yield left_out(method.label, method.dropped)
