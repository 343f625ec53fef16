"""Tables of verdicts, and of comparisons that have none."""

from __future__ import annotations

import math

from headstart.report.analysis.run_measures import END
from headstart.report.analysis.study_records import Benefit, Question, Study, StudySection
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell
from headstart.report.rendering.wording.number_format import difference_text
from headstart.report.rendering.wording.verdict_words import (
    AGAINST,
    ICONS,
    TITLES,
    benefit_title,
    verdict_reason,
    verdict_text,
    verdict_word,
)
from headstart.report.statistics.seed_intervals import Verdict


def verdict_table(section: StudySection, question: Question, metric: str) -> ReportTable | None:
    """Modes by benefits for one question: verdict, difference and reason; None where nothing was compared."""
    comparisons = section.of(question)
    if not comparisons:
        return None
    titles = [benefit_title(benefit.name, metric) for benefit in comparisons[0].benefits]
    rows = [
        [
            TableCell(c.label),
            TableCell(c.against, "differs also in " + "; ".join(c.differs) if c.differs else "the same settings"),
            *(TableCell(verdict_text(benefit), verdict_reason(benefit)) for benefit in c.benefits),
            TableCell(str(len(c.replicates)), f"interval over {c.over}"),
        ]
        for c in comparisons
    ]
    note = f"Compared with {AGAINST[question]}."
    return ReportTable(TITLES[question], ["mode", "against", *titles, "pairs"], rows, note)


def untuned_table(section: StudySection) -> ReportTable | None:
    """Differences without a verdict, where arms ran at one setting each; None where all have one."""
    unanswered = [comparison for comparison in section.of(Question.PRACTICE) if comparison.unanswered]
    if not unanswered:
        return None
    rows = [
        [
            TableCell(c.label),
            TableCell(difference_text(END, c.differences[END])),
            TableCell(difference_text("slope", c.differences["slope"])),
            TableCell(c.unanswered),
        ]
        for c in unanswered
    ]
    baseline = section.baseline.label if section.baseline else ""
    note = "Values without verdicts: weights, rates and head differ at once, and no arm was tuned to its best setting."
    head = ["mode", "level at the end", "speed", "why no verdict"]
    return ReportTable(f"At these settings, against {baseline}", head, rows, note)


def overview_table(study: Study) -> ReportTable:
    """Settings and modes by benefits: the verdicts alone."""
    compared = [(section, comparison) for section in study.sections for comparison in section.comparisons]
    titles = [benefit_title(benefit.name, study.metric) for benefit in compared[0][1].benefits] if compared else []
    rows = [
        [
            TableCell(" ".join(section.setting) or "all others"),
            TableCell(comparison.label, f"against {comparison.against}"),
            *(_overview_cell(benefit) for benefit in comparison.benefits),
        ]
        for section, comparison in compared
    ]
    return ReportTable("Overview of the settings", ["setting", "mode", *titles], rows)


def _overview_cell(benefit: Benefit) -> TableCell:
    has_effect = benefit.verdict is not Verdict.NOT_ANSWERED and math.isfinite(benefit.difference.mean)
    below = difference_text(benefit.measure, benefit.difference) if has_effect else ""
    return TableCell(f"{ICONS[benefit.verdict]} {verdict_word(benefit)}", below)
