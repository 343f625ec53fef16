"""Tables of what each arm cost: time, images and memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

from headstart.report.analysis.phase_costs import phases_of
from headstart.report.analysis.run_measures import median_reached
from headstart.report.analysis.study_records import ArmSummary, Question, Study, StudySection
from headstart.report.curves.level_passage import Speedup
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell
from headstart.report.rendering.wording.number_format import MISSING, number, optional_number
from headstart.report.rendering.wording.verdict_words import reach_text, speedup_text
from headstart.system.metric_direction import lower_is_better


def speedup_table(section: StudySection) -> ReportTable | None:
    """How many times sooner each arm reached the baseline's levels; None where nothing was compared."""
    comparisons = section.of(Question.PRACTICE) or section.of(Question.WEIGHTS)
    comparisons = tuple(comparison for comparison in comparisons if comparison.sooner)
    if not comparisons:
        return None
    head = ["mode", *(_share_title(speedup.share) for speedup in comparisons[0].sooner)]
    rows = [[TableCell(c.label), *(_speedup_cell(speedup, c.against) for speedup in c.sooner)] for c in comparisons]
    baseline = comparisons[0].against
    note = (
        f"How many times fewer optimizer steps an arm took to a level of {baseline}: the ratio of the medians over the "
        "runs, and how many runs reached the level. A run that never reaches it counts as later than all others. There "
        "is no verdict: a higher start and a higher end make the ratio larger too."
    )
    return ReportTable(f"Sooner at the levels of {baseline}", head, rows, note)


def _share_title(share: float) -> str:
    return "final level" if share == 1 else f"{100 * share:.0f} % of the rise"


def _speedup_cell(speedup: Speedup, baseline: str) -> TableCell:
    below = f"{_reached(speedup.transfer)} runs, {baseline} {_reached(speedup.scratch)}"
    return TableCell(speedup_text(speedup), below)


def _reached(times: Sequence[float | None]) -> str:
    """4 of 5."""
    return f"{sum(time is not None for time in times)} of {len(times)}"


def cost_table(section: StudySection, study: Study) -> ReportTable | None:
    """The cost of reaching the baseline's final level, without and with the source; None without a baseline."""
    if section.baseline is None or not math.isfinite(section.threshold):
        return None
    level = -section.threshold if lower_is_better(study.metric) else section.threshold
    rows = [[TableCell(arm.label), TableCell(reach_text(arm)), *_cost_cells(arm)] for arm in section.all_arms]
    with_source = ["images with source", "seconds with source"]
    head = ["mode", "runs that reached it", "steps", "images", "seconds", *with_source]
    baseline = section.baseline.label
    note = (
        f"To reach {number(level)}, the mean final level of {baseline}: medians over seeds. Runs that never reached it "
        "count as later than all others."
    )
    return ReportTable(f"Cost of reaching the final level of {baseline}", head, rows, note)


def _cost_cells(arm: ArmSummary) -> list[TableCell]:
    step, examples, wall = (
        median_reached([getattr(reach, key) for reach in arm.reach]) for key in ("step", "examples", "wall_s")
    )
    source = arm.source
    with_examples = examples + (source.examples or math.nan) if source and examples is not None else examples
    with_wall = wall + (source.wall_s or math.nan) if source and wall is not None else wall
    values = (step, 0), (examples, 0), (wall, 1), (with_examples, 0), (with_wall, 1)
    return [TableCell(optional_number(value, decimals)) for value, decimals in values]


def throughput_table(section: StudySection) -> ReportTable | None:
    """Speed, waiting, times and memory of each phase of each arm; None where no run has recorded them."""
    rows = []
    for arm in section.all_arms:
        for phase in phases_of(arm.runs):
            waiting = phase["wait_share"]
            epochs = optional_number(phase["epochs"], 1).removesuffix(".0")
            rows.append(
                [
                    TableCell(arm.label),
                    TableCell(phase["phase"], _trainable(phase["trainable"])),
                    TableCell(epochs, f"{optional_number(phase['steps'], 0)} steps"),
                    TableCell(optional_number(phase["images_per_s"], 0)),
                    TableCell(MISSING if waiting is None else f"{100 * waiting:.0f} %"),
                    *(TableCell(optional_number(phase[key], 2)) for key in ("train_s", "validation_s", "cache_s")),
                    TableCell(optional_number(phase["peak_memory_mib"], 0)),
                ]
            )
    if not rows:
        return None
    times = ["training, s", "validation, s", "feature cache, s"]
    head = ["mode", "phase", "epochs", "images/s", "waiting", *times, "memory, MiB"]
    note = (
        "Medians over the seeds that reached the phase: images per second of training; the share of training time "
        "spent waiting for data (on a GPU, by the host: the most that faster data could save); the time of training, "
        "of validation and of filling the feature cache; the largest memory."
    )
    return ReportTable("Throughput and memory by phase", head, rows, note)


def _trainable(parts: list[str]) -> str:
    """stage4, head learn."""
    return f"{', '.join(parts)} {'learns' if len(parts) == 1 else 'learn'}" if parts else ""
