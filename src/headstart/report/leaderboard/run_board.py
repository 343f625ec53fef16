"""The leaderboard of a study's runs: what differs, what each reached and what it cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.report.analysis.config_differences import of_overrides
from headstart.report.analysis.run_measures import END, START
from headstart.report.analysis.study_records import Study
from headstart.report.config_leaves import leaves
from headstart.report.leaderboard.run_entries import (
    DIVERGED,
    FINISHED,
    MEMORY,
    PARAMETERS,
    REPLICATES,
    SECONDS,
    STUDY,
    TRAINABLE,
    BoardColumn,
    Leaderboard,
    RunEntry,
)
from headstart.report.rendering.tables.table_cells import plain_value
from headstart.report.stored_runs.study_runs import (
    FinishedRun,
    LeftOutRun,
    LevelsResult,
    RunsBelow,
    config_in,
    overrides_in,
)
from headstart.system.files.short_paths import short_paths, with_short_paths
from headstart.system.metric_direction import lower_is_better

_NO_SETTING = (  # the first word of overrides that change no result
    "study", "study_name", "rerun", "resume", "task", "hydra", "report", "fixed_seeds", "objective", "logger",
    "run_dir",
)  # fmt: skip


def leaderboard_of(study: Study, runs_below: RunsBelow) -> Leaderboard:
    """The leaderboard of all runs that a report was made of, those that are in no comparison too.

    Args:
        study: The comparison.
        runs_below: What lies below the study's folder.
    """
    ended = {run.folder for run in runs_below.finished}
    replaced = _replaced(study, runs_below.finished)
    measured = {
        m.run.folder: m.values for section in study.sections for arm in section.all_arms for m in arm.runs
    }  # fmt: skip
    columns = _columns(study)
    drafts = [
        _Draft(run.folder, *_state_of(run, replaced), _settings_of(run), _values_of(run, study, measured), run.settings)
        for run in runs_below.finished
    ]
    drafts += [draft for result in study.levels for draft in _arm_drafts(result, study)]
    drafts += [_left_out_draft(run) for run in study.others if run.folder not in ended]
    studies = _studies(drafts)
    for draft in drafts:
        draft.given.update({STUDY: studies[draft.folder.parent]} if len(studies) > 1 else {})
    keys = _differing(drafts)
    names = study.paths
    entries = [
        RunEntry(
            draft.folder,
            draft.state,
            draft.why,
            {key: with_short_paths(draft.value_of(key), names) for key in keys},
            {column.key: draft.values.get(column.key, math.nan) for column in columns},
        )
        for draft in drafts
    ]
    figure = columns[0]
    return Leaderboard(tuple(sorted(entries, key=lambda entry: _rank(entry, figure))), keys, columns)


@dataclass(frozen=True)
class _Draft:
    """A run before it is known which settings differ."""

    folder: Path
    state: str
    why: str
    given: dict[str, str]  # by its overrides
    values: dict[str, float]
    config: Mapping[str, Any]  # leaves of its config; empty where not known

    def value_of(self, key: str) -> str:
        """What the run was given, else what its config says."""
        if key in self.given:
            return self.given[key]
        return same_text(plain_value(self.config[key])) if key in self.config else ""

    def says(self, key: str) -> bool:
        """Whether its value of a key is known: a run of which only some overrides are known leaves it open."""
        return key in self.given or bool(self.config) or bool(self.values)


def _studies(drafts: Sequence[_Draft]) -> dict[Path, str]:
    """The folders that runs lie in, with as much of their paths as tells them apart."""
    parents = list(dict.fromkeys(draft.folder.parent.absolute() for draft in drafts))
    names = short_paths(map(str, parents))
    return {draft.folder.parent: names[str(draft.folder.parent.absolute())] for draft in drafts}


def _replaced(study: Study, finished: Sequence[FinishedRun]) -> dict[Path, LeftOutRun]:
    """Runs that a later one in the same folder replaces; the same run in two studies is listed in both."""
    others = {run.folder: run for run in study.others}
    kept = {_identity(run) for run in finished if run.folder not in others}
    return {run.folder: others[run.folder] for run in finished if run.folder in others and _identity(run) in kept}


def _identity(run: FinishedRun) -> tuple[Path, frozenset[tuple[str, str]]]:
    return run.folder.parent, frozenset(_settings_of(run).items())


def same_text(value: str) -> str:
    """The value without quotes, a number in one way of writing it: 1e-3 and 0.001 are one setting.

    Args:
        value: As an override or a config has it.
    """
    text = value.strip("'\"")
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number) or "_" in text:
        return text
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _columns(study: Study) -> tuple[BoardColumn, ...]:
    lower = lower_is_better(study.metric)
    columns = [BoardColumn("value", study.metric, lower)]
    if study.sections:
        columns += [BoardColumn("end", "at the end", lower), BoardColumn("start", "start in closed form", lower)]
    split, _, name = study.metric.partition("/")
    if split != "test":
        columns.append(BoardColumn("test", f"test/{name}", lower))
    columns += [
        BoardColumn(SECONDS, "seconds", True, 1),
        BoardColumn(MEMORY, "memory, MiB", True, 0),
        BoardColumn(PARAMETERS, "parameters", True, 0),
        BoardColumn(TRAINABLE, "trainable", None, 0),
    ]
    return tuple(columns)


def _state_of(run: FinishedRun, replaced: Mapping[Path, LeftOutRun]) -> tuple[str, str]:
    if run.folder in replaced:
        return replaced[run.folder].state, replaced[run.folder].why
    return (DIVERGED, "") if run.has_diverged else (str(run.result.get("state") or FINISHED), "")


def _settings_of(run: FinishedRun) -> dict[str, str]:
    settings = _given(run.overrides) | {"mode": run.mode, "seed": str(run.seed)}
    settings["control"] = str(run.is_control).lower()
    if run.fold is not None:
        settings["target.fold"] = str(run.fold)
    return settings


def _given(overrides: Iterable[str]) -> dict[str, str]:
    """The overrides that may change a result: key -> value."""
    return {
        key: same_text(str(value))
        for key, value in of_overrides(overrides).items()
        if key.split(".")[0].split("/")[0] not in _NO_SETTING
    }


def _values_of(run: FinishedRun, study: Study, measured: Mapping[Path, dict[str, float]]) -> dict[str, float]:
    if run.has_diverged:
        return _costs(run.result)  # its levels are those of a model that was lost
    sign = -1.0 if lower_is_better(study.metric) else 1.0
    of_curve = measured.get(run.folder, {})
    name = study.metric.partition("/")[2]
    return _costs(run.result) | {
        "value": _adapted_value(run, study.metric) if run.adapts else reached_value(run, study.metric),
        "end": sign * of_curve.get(END, math.nan),
        "start": sign * of_curve.get(START, math.nan),
        "test": run.final_metric(f"test/{name}"),
    }


def _adapted_value(run: FinishedRun, metric: str) -> float:
    """The target's test metric; nan beside runs that are ranked by val, as its val is the source's."""
    return run.final_metric(metric) if metric.startswith("test/") else math.nan


def reached_value(run: FinishedRun, metric: str) -> float:
    """What a sweep over the run maximises (`objective`): the best validation after the first step, or the last one.

    Args:
        run: The run.
        metric: Of its curve.
    """
    objective = run.settings.get("objective")
    if objective == "best":
        return run.final_metric(metric)
    levels = [row[metric] for step, row in run.rows.items() if step > 0 and math.isfinite(row.get(metric, math.nan))]
    if not levels:
        return run.final_metric(metric)
    if objective == "last":
        return levels[-1]
    return min(levels) if lower_is_better(metric) else max(levels)


def _costs(result: Mapping[str, Any]) -> dict[str, float]:
    trainable = result.get("trainable")
    counts = trainable if isinstance(trainable, dict) else {}
    costs = {
        SECONDS: result.get("wall_s"),
        MEMORY: result.get("peak_memory_mib"),
        PARAMETERS: counts.get("of"),
        TRAINABLE: counts.get("parameters"),
    }
    return {key: float(value) for key, value in costs.items() if isinstance(value, int | float)}


def _arm_drafts(result: LevelsResult, study: Study) -> list[_Draft]:
    """An entry for each arm of a result without a curve."""
    name = study.metric.partition("/")[2]
    return [
        _Draft(
            result.folder,
            FINISHED,
            "",
            _given(result.overrides) | {"mode": arm, "seed": str(result.seed)},
            {"value": levels.get(study.metric, math.nan), "test": levels.get(f"test/{name}", math.nan)},
            {},
        )
        for arm, levels in result.levels.items()
    ]


def _left_out_draft(run: LeftOutRun) -> _Draft:
    try:
        given = _given(overrides_in(run.folder))
    except (OSError, ValueError):
        given = {}
    return _Draft(run.folder, run.state, run.why, given, {}, leaves(config_in(run.folder)))


def _differing(drafts: Sequence[_Draft]) -> tuple[str, ...]:
    """The keys that do not have one value everywhere; mode and control first, seed and fold last."""
    keys = dict.fromkeys(key for draft in drafts for key in draft.given)
    differing = [key for key in keys if len({draft.value_of(key) for draft in drafts if draft.says(key)}) > 1]
    first = [key for key in (STUDY, "mode", "control") if key in differing]
    last = [key for key in REPLICATES if key in differing]
    return (*first, *sorted(key for key in differing if key not in (*first, *last)), *last)


def _rank(entry: RunEntry, figure: BoardColumn) -> tuple[bool, float, str]:
    value = entry.values[figure.key]
    missing = not math.isfinite(value)
    return missing, 0.0 if missing else value if figure.lower else -value, str(entry.folder)
