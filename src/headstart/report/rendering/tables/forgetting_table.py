"""Table of forgetting: the source's own test accuracy before and after each arm learned the target."""

from __future__ import annotations

from headstart.report.analysis.study_records import ArmSummary, StudySection
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell
from headstart.report.rendering.wording.number_format import plus_minus
from headstart.report.statistics.seed_intervals import t_interval


def forgetting_table(section: StudySection) -> ReportTable | None:
    """Accuracy on the source's test images with the source's head, by arm; None where no run measured it."""
    rows = [row for arm in section.all_arms if (row := _row(arm))]
    if not rows:
        return None
    note = (
        "Accuracy on the source's own test images, with the source's head (forgetting=true): of the source model, and "
        "of the backbone that was tested on the target. Mean ± half of the 95 % interval over seeds. Below 0 the "
        "source's task was forgotten; frozen stages forget nothing."
    )
    return ReportTable("Forgetting of the source", ["mode", "before", "after", "change", "runs"], rows, note)


def _row(arm: ArmSummary) -> list[TableCell]:
    entries = [run.run.result.get("forgetting") for run in arm.runs]
    known = [entry for entry in entries if isinstance(entry, dict) and {"before", "after", "change"} <= entry.keys()]
    if not known:
        return []
    columns = [[float(entry[key]) for entry in known] for key in ("before", "after", "change")]
    images = min(int(entry.get("images") or 1) for entry in known)
    cells = [TableCell(plus_minus(t_interval(values, resolution=1 / images))) for values in columns]
    return [TableCell(arm.label), *cells, TableCell(str(len(known)))]
