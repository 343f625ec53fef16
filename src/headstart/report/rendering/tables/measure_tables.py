"""Tables of what each arm measured, and of its labelled images."""

from __future__ import annotations

import math
import statistics

from headstart.report.analysis.arm_summaries import named_tests
from headstart.report.analysis.run_measures import MEASURES, START, Measure
from headstart.report.analysis.study_records import ArmSummary, Question, Study, StudySection
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell
from headstart.report.rendering.wording.number_format import (
    MISSING,
    difference_text,
    interval_text,
    optional_number,
    plus_minus,
)
from headstart.report.statistics.seed_intervals import Interval
from headstart.system.metric_direction import lower_is_better

_AXES = {"step": "steps", "examples": "images"}
_NO_INTERVAL = Interval(math.nan, math.nan, math.nan, 0, math.nan, False)


def measure_table(section: StudySection, study: Study) -> ReportTable:
    """Measures by arms: the mean with its interval, below it the comparison with the baseline."""
    question = Question.PRACTICE if section.of(Question.PRACTICE) else Question.WEIGHTS
    differences = {comparison.label: comparison.differences for comparison in section.of(question)}
    rows = []
    for measure in MEASURES:
        cells = [_measure_cell(measure, arm, differences.get(arm.label), study.metric) for arm in section.all_arms]
        if any(cell.text != MISSING or cell.below for cell in cells):
            head_images = _head_images(section) if measure.key == START else ""
            rows.append([TableCell(_title(measure), measure.what + head_images), *cells])
    baseline = f"; below, the difference to {section.baseline.label}" if section.baseline else ""
    note = f"Mean with its 95 % interval{baseline}, paired by seed."
    if lower_is_better(study.metric):
        note += " Differences are improvements: lower levels of this metric are better."
    head = ["measure", *(arm.label for arm in section.all_arms)]
    return ReportTable(f"All measures of {study.metric}", head, rows, note)


def _measure_cell(measure: Measure, arm: ArmSummary, differences: dict[str, Interval] | None, metric: str) -> TableCell:
    difference = "" if differences is None else difference_text(measure, differences[measure.key])
    if measure.compared == "relative":
        return TableCell(difference)
    text = interval_text(arm.means[measure.key], sign=-1.0 if lower_is_better(metric) else 1.0)
    return TableCell(text, "" if difference == MISSING else difference)


def _title(measure: Measure) -> str:
    return f"{measure.title}, by {_AXES[measure.axis]}" if measure.axis else measure.title


def _head_images(section: StudySection) -> str:
    """How many training images the head in closed form was computed from; empty where it is not known."""
    entries = [run.run.result.get("start_images") for arm in section.all_arms for run in arm.runs]
    counts = sorted({e["used"] for e in entries if isinstance(e, dict) and isinstance(e.get("used"), int)})
    return f"; head of {' or '.join(map(str, counts))} training images" if counts else ""


def test_table(section: StudySection) -> ReportTable | None:
    """Final values on the test split by arm; None where there are none."""
    tags = sorted({tag for arm in section.all_arms for tag in arm.tests if tag.count("/") == 1})
    if not tags:
        return None
    rows = []
    for arm in section.all_arms:
        untrained = f"before training in {arm.best_before_training}" if arm.best_before_training else ""
        rows.append(
            [
                TableCell(arm.label),
                *(TableCell(plus_minus(arm.tests.get(tag, _NO_INTERVAL))) for tag in tags),
                TableCell(_best_step(arm), untrained),
                TableCell(str(len(arm.runs)), f"{arm.diverged} diverged" if arm.diverged else ""),
            ]
        )
    note = (
        "Mean ± half of the 95 % interval over seeds. Val chose the checkpoint; test was measured once. A verdict is "
        "about test only where it cannot be about val: without val images, or where trials saw too many of them."
    )
    return ReportTable("Final metrics on the test images", ["mode", *tags, "best step", "runs"], rows, note)


def named_test_table(section: StudySection, study: Study) -> ReportTable | None:
    """The monitored metric on each named test set by arm, below that on the test images; None where there are none."""
    rows_by_tag: dict[str, str] = {}
    for run in (measured.run for arm in section.all_arms for measured in arm.runs):
        for name, facts in named_tests(run).items():
            kinds = facts.get("kinds") or {}
            rows_by_tag |= {name: name, **{f"{name}/{kind}": f"{name}, {kind}" for kind in kinds}}
    if not rows_by_tag:
        return None
    metric = study.metric.partition("/")[2]
    rows = [
        [TableCell(title), *(TableCell(plus_minus(arm.tests.get(tag, _NO_INTERVAL))) for arm in section.all_arms)]
        for tag, title in {
            f"test/{metric}": "test, the target's own",
            **{f"test/{name}/{metric}": title for name, title in rows_by_tag.items()},
        }.items()
    ]
    note = (
        "Mean ± half of the 95 % interval over seeds, of the same checkpoints. They describe the models: no "
        "checkpoint was chosen by them, and no verdict is about them."
    )
    head = ["test set", *(arm.label for arm in section.all_arms)]
    return ReportTable(f"{metric} on named test sets", head, rows, note)


def _best_step(arm: ArmSummary) -> str:
    """The median step of the best checkpoints."""
    checkpoints = [run.run.result.get("best") for run in arm.runs]
    steps = [best["step"] for best in checkpoints if isinstance(best, dict) and "step" in best]
    return optional_number(statistics.median(steps) if steps else None, 0)


def label_table(section: StudySection) -> ReportTable | None:
    """How many labelled images each arm read; None where it is not known."""
    if not any(counts for arm in section.all_arms for counts in arm.labelled.values()):
        return None
    rows = []
    for arm in section.all_arms:
        train, val = (arm.labelled.get(split, ()) for split in ("train", "val"))
        total = f"{min(train) + min(val):,}" if train and val else MISSING
        rows.append([TableCell(arm.label), TableCell(_counts(train)), TableCell(_counts(val)), TableCell(total)])
    note = (
        "Images whose labels a run read. The labels of val choose the checkpoint and give the curve; "
        "target.val_shots=n reads n a class, 0 none. The labels of test are read once, for the final metrics."
    )
    return ReportTable("Labelled images used", ["mode", "to train", "val", "together"], rows, note)


def _counts(counts: tuple[int, ...]) -> str:
    return " or ".join(f"{count:,}" for count in counts) or MISSING
