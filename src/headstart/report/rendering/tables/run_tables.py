"""Tables that list the runs of a study."""

from __future__ import annotations

import math
from pathlib import Path

from headstart.report.analysis.adaptation_comparison import SOURCE_METRIC, TEST_METRIC, AdaptationMethod
from headstart.report.analysis.run_measures import END, START, MeasuredRun
from headstart.report.analysis.study_records import Study
from headstart.report.rendering.tables.settings_tables import test_tag
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell
from headstart.report.rendering.wording.number_format import number, optional_number
from headstart.report.stored_runs.study_runs import FinishedRun
from headstart.system.metric_direction import lower_is_better


def run_table(study: Study) -> ReportTable | None:
    """Every finished run with a curve: folder, seed, state and values; None where there is none.

    Args:
        study: The comparison.
    """
    if not study.sections:
        return None
    arms = [arm for section in study.sections for arm in section.all_arms]
    sign = -1.0 if lower_is_better(study.metric) else 1.0
    tag = test_tag(next((measured.run.monitor for arm in arms for measured in arm.runs), None))
    rows = [_run_row(arm.arm.name, measured, tag, sign) for arm in arms for measured in arm.runs]
    head = ["folder", "mode", "seed", "state", "start in closed form", "level at the end", tag, "seconds"]
    return ReportTable("Runs", head, rows)


def _run_row(mode: str, measured: MeasuredRun, tag: str, sign: float) -> list[TableCell]:
    run = measured.run
    start, end = (sign * measured.values.get(key, math.nan) for key in (START, END))
    return [
        TableCell(run.folder.name),
        TableCell(mode),
        TableCell(str(run.seed), "" if run.fold is None else f"fold {run.fold}"),
        TableCell("diverged" if run.has_diverged else str(run.result.get("state") or "finished")),
        TableCell(number(start)),
        TableCell(number(end)),
        TableCell(optional_number((run.result.get("metrics") or {}).get(tag))),
        TableCell(optional_number(run.result.get("wall_s"), 1)),
    ]


def adaptation_run_table(study: Study, base: Path | None = None) -> ReportTable | None:
    """Every finished run with an adaptation: folder, method, seed and values; None where there is none."""
    if not study.adapted:
        return None
    rows = [
        _adaptation_row(method, run, base)
        for section in study.adapted
        for method in section.all_methods
        for run in method.arm.runs
    ]
    head = ["folder", "method", "seed", TEST_METRIC, "source's val", "chosen by", "at epoch", "seconds"]
    return ReportTable("Runs with an adaptation", head, rows)


def _adaptation_row(method: AdaptationMethod, run: FinishedRun, base: Path | None) -> list[TableCell]:
    return [
        TableCell(run.folder.name, link=relative_link(run.folder, base)),
        TableCell(method.label),
        TableCell(str(run.seed)),
        TableCell(number(run.final_metric(TEST_METRIC))),
        TableCell(number(run.final_metric(SOURCE_METRIC))),
        TableCell(run.chosen_by),
        TableCell(optional_number((run.result.get("best") or {}).get("epoch"), 0)),
        TableCell(optional_number(run.result.get("wall_s"), 1)),
    ]


def level_run_table(study: Study, base: Path | None = None) -> ReportTable | None:
    """Every finished result without a curve: folder, seed and values; None where there is none."""
    if not study.levels:
        return None
    arms = list(dict.fromkeys(arm for result in study.levels for arm in result.levels))
    rows = [
        [
            TableCell(result.folder.name, link=relative_link(result.folder, base)),
            TableCell(str(result.seed)),
            *(TableCell(optional_number(result.levels.get(arm, {}).get(study.metric))) for arm in arms),
        ]
        for result in study.levels
    ]
    return ReportTable(f"Runs, {study.metric}", ["folder", "seed", *arms], rows)


def left_out_table(study: Study, base: Path | None = None) -> ReportTable | None:
    """Runs that failed, did not finish, cannot be read or were replaced; None where there are none."""
    rows = [
        [TableCell(run.folder.name, link=relative_link(run.folder, base)), TableCell(run.state), TableCell(run.why)]
        for run in study.others
    ]
    return ReportTable("Runs left out", ["folder", "state", "why"], rows) if rows else None


def relative_link(folder: Path, base: Path | None) -> str:
    """The folder's path below the base; empty where it lies elsewhere."""
    if base is None or not folder.is_relative_to(base):
        return ""
    return folder.relative_to(base).as_posix()
