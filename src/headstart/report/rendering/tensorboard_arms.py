"""Arms of a study as runs of TensorBoard: mean curve over seeds, its interval, a row of HPARAMS; the verdicts."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headstart.report.analysis.run_measures import END, START
from headstart.report.analysis.study_records import ArmSummary, Question, Study, StudySection
from headstart.report.rendering.charts.learning_chart import mean_and_band
from headstart.report.statistics.seed_intervals import exp
from headstart.system.metric_direction import lower_is_better

if TYPE_CHECKING:
    from headstart.report.stored_runs.study_runs import FinishedRun

FOLDER = "arms"  # of a study's folder; what is in it is replaced by each report
CATEGORY = "arms: mean over seeds and its 95 % interval"  # of Custom Scalars, above that of the runs' own charts
LOGGER = "pytorch_lightning.loggers.TensorBoardLogger"
_ODD = re.compile(r"[^\w=,.+@ -]")
_LONGEST = 120  # characters of a folder's name


class _NamedArm(NamedTuple):
    """An arm, its section, and what it is called among all arms of the study."""

    name: str
    arm: ArmSummary
    section: StudySection


def write_arms(folder: Path, study: Study, verdict: str) -> list[Path]:
    """Write a run for each arm of several runs into <folder>/arms, where the study's runs have TensorBoard events too.

    An arm of one run, as in a search, is that run: its mean would be a second line on the first.
    The tags <metric> and <metric>/mean have the mean over seeds, the first beside the curves of the runs; <metric>/low
    and <metric>/high have its 95 % interval, which the tab Custom Scalars shows as a band. HPARAMS has start,
    asymptote, means of the final test metrics, and as slope how many times as fast the arm is as the baseline.

    Args:
        folder: The study's folder.
        study: The comparison.
        verdict: The verdicts as aligned lines.
    """
    place = folder / FOLDER
    every = list(_named(study))
    if not any(_has_events(measured.run) for _, arm, _ in every for measured in arm.runs):
        return []
    arms = [named for named in every if len(named.arm.runs) > 1]
    from headstart.compat import tensorboard_events as events  # here: studies without TensorBoard do not need it

    metric = study.metric
    tags = (f"{metric}/mean", f"{metric}/low", f"{metric}/high")  # which no run has: a chart takes those that do
    shown = "\n".join(f"    {line}" for line in verdict.splitlines())  # as Markdown shows what is aligned already
    files = [
        events.write_events(place, [(0, events.band_chart(CATEGORY, metric, tags)), (0, events.text("verdict", shown))])
    ]
    columns = _columns(arms)
    sign = -1.0 if lower_is_better(metric) else 1.0
    for name, arm, section in arms:
        settings = _settings(arm)
        benefits = {key: value for key, value in _benefits(arm, section, sign).items() if math.isfinite(value)}
        table = events.hparams(settings, columns, [*events.BENEFITS, *sorted(f"final/{tag}" for tag in arm.tests)])
        summaries: list[tuple[int, Any]] = [(0, summary) for summary in table]
        summaries += [(0, events.scalar(key, value)) for key, value in benefits.items()]
        steps, mean, low, high = mean_and_band(arm, "step", study.resolution)
        bounds = (low, high) if sign > 0 else (high, low)  # of a loss, whose sign is turned here, they change places
        summaries += [
            (0, events.scalar(f"final/{tag}", of_test.mean))
            for tag, of_test in arm.tests.items()
            if math.isfinite(of_test.mean)
        ]
        for step, *values in zip(steps, mean, mean, *bounds, strict=True):
            summaries += [
                (int(step), events.scalar(tag, sign * float(value)))
                for tag, value in zip((metric, *tags), values, strict=True)
                if math.isfinite(value)
            ]
        files.append(events.write_events(place / name, summaries))
    _remove_others(place, {name for name, _, _ in arms})
    return files


def _named(study: Study) -> Iterator[_NamedArm]:
    """Each arm once, by mode and what sets it apart from the arms of all sections."""
    taken: set[str] = set()
    seen: set[int] = set()
    for section in study.sections:
        for arm in section.all_arms:
            if id(arm.arm) in seen:
                continue
            seen.add(id(arm.arm))
            label = " ".join([arm.label, *(text for text in section.setting if text not in arm.label.split())])
            name = own = _ODD.sub("_", label)[:_LONGEST].strip()
            number = 2
            while name in taken:
                name, number = f"{own} {number}", number + 1
            taken.add(name)
            yield _NamedArm(name, arm, section)


def _has_events(run: FinishedRun) -> bool:
    return any(key.startswith("logger.") and value == LOGGER for key, value in run.settings.items())


def _settings(arm: ArmSummary) -> dict[str, bool | float | str]:
    """What tells an arm apart, the mode first."""
    settings: dict[str, bool | float | str] = {"mode": arm.arm.mode}
    if arm.arm.is_control:
        settings["control"] = True
    for override in sorted(arm.arm.setting):
        key, _, value = override.lstrip("+~").partition("=")
        settings[key] = _number(value)
    return settings


def _number(value: str) -> bool | float | str:
    if value in ("true", "false"):
        return value == "true"
    try:
        return float(value)
    except ValueError:
        return value


def _columns(arms: Iterable[_NamedArm]) -> dict[str, type]:
    """The columns of HPARAMS: mode, seed, then what differs among the arms."""
    settings = [_settings(arm) for _, arm, _ in arms]
    keys = dict.fromkeys(key for row in settings for key in row)
    differing = [key for key in keys if any(row.get(key) != settings[0].get(key) for row in settings)]
    columns: dict[str, type] = {"mode": str, "seed": float}
    for key in differing:
        kinds = {type(row[key]) for row in settings if key in row}
        columns.setdefault(key, kinds.pop() if len(kinds) == 1 else str)
    return columns


def _benefits(arm: ArmSummary, section: StudySection, sign: float) -> dict[str, float]:
    start = arm.means[START] if math.isfinite(arm.means[START].mean) else arm.means["start"]
    levels = (sign * start.mean, _times_as_fast(arm, section), sign * arm.means[END].mean)
    from headstart.compat.tensorboard_events import BENEFITS

    return dict(zip(BENEFITS, levels, strict=True))


def _times_as_fast(arm: ArmSummary, section: StudySection) -> float:
    """How many times as fast as the baseline the arm goes through the levels of both; nan where that is not known."""
    for comparison in section.of(Question.PRACTICE):
        if comparison.label == arm.label and "slope" in comparison.differences:
            return exp(comparison.differences["slope"].mean)
    return math.nan


def _remove_others(place: Path, names: set[str]) -> None:
    """Take away the events of arms that the study does not have any more."""
    from headstart.compat.tensorboard_events import PREFIX

    for folder in place.iterdir():
        own = folder.is_dir() and all(file.name.startswith(PREFIX) for file in folder.iterdir())
        if own and folder.name not in names:
            shutil.rmtree(folder)
