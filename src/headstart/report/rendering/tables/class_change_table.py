"""Table of what each arm changed class by class."""

from __future__ import annotations

import math
from collections.abc import Sequence

from headstart.report.analysis.study_records import ArmClassChanges, StudySection
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell
from headstart.report.rendering.wording.number_format import MISSING, difference_text
from headstart.report.statistics.seed_intervals import ALPHA

TITLE = "What each arm changed, class by class"
MOST_ROWS = 50  # nobody reads more


def class_change_table(section: StudySection) -> ReportTable | None:
    """The change of test recall by class and arm, the classes that changed most; None where nothing was counted."""
    changes = section.class_changes
    names = largest_changes(changes, MOST_ROWS)
    if not names:
        return None
    entries = {(arm.label, entry.name): entry for arm in changes for entry in arm.classes}
    rows = [
        [
            TableCell(name),
            *(
                TableCell(difference_text("asymptote", found.change), f"{found.before:.3f} → {found.after:.3f}")
                if (found := entries.get((arm.label, name)))
                else TableCell(MISSING)
                for arm in changes
            ),
        ]
        for name in names
    ]
    head = ["class", *(f"{arm.label} against {arm.against}" for arm in changes)]
    return ReportTable(TITLE, head, rows, f"{changed_text(section)} {changes_note(changes, len(names))}")


def largest_changes(changes: Sequence[ArmClassChanges], most: int) -> list[str]:
    """The classes that changed most in any arm, from the largest mean gain to the largest mean loss.

    Args:
        changes: Of the arms of a setting.
        most: How many.
    """
    by_class: dict[str, list[float]] = {}
    for arm in changes:
        for entry in arm.classes:
            if math.isfinite(entry.change.mean):
                by_class.setdefault(entry.name, []).append(entry.change.mean)
    kept = sorted(by_class, key=lambda name: max(map(abs, by_class[name])), reverse=True)[: max(0, most)]
    return sorted(kept, key=lambda name: -math.fsum(by_class[name]) / len(by_class[name]))


def changed_text(section: StudySection) -> str:
    """How many classes changed beyond random variation, in one sentence an arm that has any."""
    told = []
    for arm in section.class_changes:
        clear = [entry for entry in arm.classes if entry.corrected_p < ALPHA]
        better = [entry.name for entry in clear if entry.change.mean > 0]
        worse = [entry.name for entry in clear if entry.change.mean < 0]
        if clear:
            parts = [
                f"{len(better)} better" if better else "",
                f"{len(worse)} worse ({_named(worse)})" if worse else "",
            ]
            told.append(f"{arm.label}: {', '.join(filter(None, parts))} of {len(arm.classes)} classes.")
    if told:
        return " ".join(told)
    return "No class of any arm is told apart from random variation." if section.class_changes else ""


def changes_note(changes: Sequence[ArmClassChanges], shown: int) -> str:
    """What the numbers are.

    Args:
        changes: Of the arms.
        shown: How many classes are shown.
    """
    classes = max((len(arm.classes) for arm in changes), default=0)
    which = f" The {shown} of {classes} classes that changed most; report.json has all." if shown < classes else ""
    over = " or ".join(dict.fromkeys(arm.over for arm in changes))
    return (
        "The share of each class's test images that are recognised, by the checkpoint that val chose: the arm's less "
        f"that of the arm it is compared with, paired by seed, with 95 % intervals over {over}. Better and worse are "
        f"tests that are Holm-corrected over all classes and arms here; they are in no verdict.{which}"
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
