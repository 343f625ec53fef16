"""Changes of recall by class, as the page shows them: a class a row, an arm a column."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.report.analysis.study_records import ArmClassChanges, ClassChange, StudySection
from headstart.report.rendering.charts.interval_bar import IntervalBar, bar_scale, interval_bar
from headstart.report.rendering.tables.class_change_table import changed_text, changes_note, largest_changes
from headstart.report.rendering.wording.number_format import MISSING, difference_text, p_text
from headstart.report.statistics.seed_intervals import ALPHA

MOST_CLASSES = 20
MOST_CELLS = 900  # of a page, so that it stays small


@dataclass(frozen=True)
class ClassCell:
    """The change of one class in one arm."""

    text: str
    about: str  # the recalls, and the test
    kind: str  # yes, negative, or empty where it is not told apart from random variation
    colour: int
    bar: IntervalBar | None


@dataclass(frozen=True)
class ClassPanel:
    """All that the page shows of a setting's classes."""

    heads: list[tuple[str, str]]  # arm, against
    rows: list[tuple[str, str, list[ClassCell]]]  # class, its images, a cell for each arm
    sentence: str
    note: str


class CellRoom:
    """How many cells a page may still hold.

    Args:
        left: Cells.
    """

    def __init__(self, left: int = MOST_CELLS) -> None:
        self.left = left


def class_panel(section: StudySection, colours: dict[str, int], room: CellRoom) -> ClassPanel | None:
    """The panel of a setting; None where nothing was counted, or the page has no room left.

    Args:
        section: The setting.
        colours: The number of each arm's colour.
        room: Of the page.
    """
    changes = section.class_changes
    names = largest_changes(changes, min(MOST_CLASSES, room.left // max(1, len(changes))))
    if not names:
        return None
    room.left -= len(names) * len(changes)
    entries = {(arm.label, entry.name): entry for arm in changes for entry in arm.classes}
    scale = bar_scale(entry.change for key, entry in entries.items() if key[1] in names)
    rows = []
    for name in names:
        found = [entries.get((arm.label, name)) for arm in changes]
        images = min((entry.images for entry in found if entry is not None and entry.images), default=0)
        cells = [_cell(arm, entry, colours, scale) for arm, entry in zip(changes, found, strict=True)]
        rows.append((name, f"{images:,} test image{'s' * (images != 1)}" if images else "", cells))
    heads = [(arm.label, arm.against) for arm in changes]
    return ClassPanel(heads, rows, changed_text(section), changes_note(changes, len(names)))


def _cell(
    arm: ArmClassChanges, entry: ClassChange | None, colours: dict[str, int], scale: tuple[float, float]
) -> ClassCell:
    colour = colours.get(arm.label, 1)
    if entry is None:
        return ClassCell(MISSING, "", "", colour, None)
    clear = entry.corrected_p < ALPHA
    about = f"{entry.before:.3f} → {entry.after:.3f}; {p_text(entry.corrected_p)}"
    return ClassCell(
        text=difference_text("asymptote", entry.change),
        about=about,
        kind=("yes" if entry.change.mean > 0 else "negative") if clear else "",
        colour=colour,
        bar=interval_bar(entry.change, scale),
    )
