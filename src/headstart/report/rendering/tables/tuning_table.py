"""Table of what equal tuning tried and chose."""

from __future__ import annotations

from typing import Any

from headstart.report.analysis.study_records import StudySection
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell, plain_value, three_digits
from headstart.report.rendering.wording.number_format import MISSING, optional_number


def tuning_table(section: StudySection) -> ReportTable | None:
    """Each arm's space, choice and cost, and whether the choice lies at the border; None without tuning."""
    rows = [_tuning_row(arm.label, arm.arm.tuned) for arm in section.all_arms if arm.arm.tuned is not None]
    if not rows:
        return None
    head = ["mode", "settings tried", "space", "chosen on val", "place in the space", "seconds", "images"]
    note = "Trials have seeds of their own and never see test images. Their cost is not part of the runs' own cost."
    return ReportTable("What tuning tried and chose", head, rows, note)


def _tuning_row(label: str, tuned: dict[str, Any]) -> list[TableCell]:
    chosen, cost = tuned.get("chosen") or {}, tuned.get("cost") or {}
    border = ", ".join(map(str, tuned.get("border") or ()))
    space = ", ".join(f"{key} {plain_value(value)}" for key, value in (tuned.get("space") or {}).items())
    return [
        TableCell(label),
        TableCell(str(tuned.get("trials")), f"seeds {', '.join(map(str, tuned.get('seeds') or ()))}"),
        TableCell(space or MISSING),
        TableCell(", ".join(f"{key}={three_digits(value)}" for key, value in chosen.items()) or MISSING),
        TableCell(f"warning: {border} at the border; widen the space" if border else "inside"),
        TableCell(optional_number(cost.get("wall_s"), 1)),
        TableCell(optional_number(cost.get("examples"), 0)),
    ]
