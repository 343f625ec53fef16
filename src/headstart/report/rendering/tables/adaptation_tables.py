"""Tables of adaptation methods."""

from __future__ import annotations

import statistics

from headstart.report.analysis.adaptation_comparison import (
    BASELINE,
    TEST_METRIC,
    AdaptationMethod,
    AdaptationSection,
    recalls,
)
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell
from headstart.report.rendering.wording.number_format import (
    MISSING,
    difference_text,
    number,
    optional_number,
    plus_minus,
)
from headstart.report.rendering.wording.verdict_words import gain_reason, gain_text

_MOST_CLASSES = 50  # nobody reads a row of more


def method_table(section: AdaptationSection) -> ReportTable:
    """What each method reaches on the target, and the gain over the source alone."""
    rows = [
        [
            TableCell(method.label),
            TableCell(plus_minus(method.test)),
            TableCell(gain_text(method) or MISSING, gain_reason(method)),
            TableCell(plus_minus(method.source)),
            TableCell(_median_seconds(method)),
            TableCell(str(len(method.arm.runs))),
        ]
        for method in section.all_methods
    ]
    metric, source = f"{TEST_METRIC}, the target's", "accuracy on the source's val"
    head = ["method", metric, f"against {BASELINE}", source, "seconds", "seeds"]
    note = "Mean over seeds ± half of its 95 % interval; differences paired by seed; seconds are medians."
    return ReportTable("What each method reaches on the target", head, rows, note)


def _median_seconds(method: AdaptationMethod) -> str:
    seconds = [s for run in method.arm.runs if isinstance(s := run.result.get("wall_s"), int | float)]
    return optional_number(statistics.median(seconds) if seconds else None, 1)


def oracle_table(section: AdaptationSection) -> ReportTable | None:
    """What the target's test labels would have chosen, beside the choice without them; None where it is not known."""
    if not section.has_oracle:
        return None
    rows = []
    for method in section.all_methods:
        gap = TableCell(MISSING)
        if method.gap:
            gap = TableCell(difference_text("asymptote", method.gap), f"{method.gap.n} of {len(method.arm.runs)} runs")
        oracle = plus_minus(method.oracle) if method.oracle else MISSING
        rows.append([TableCell(method.label), TableCell(plus_minus(method.test)), TableCell(oracle), gap])
    head = ["method", "chosen without labels", "oracle: chosen by the target's test labels", "chosen − oracle"]
    note = (
        "The oracle is the best epoch by the target's test labels. Whoever needs an adaptation does not have these "
        "labels, so the oracle is no result and in no verdict. The difference is the cost of choosing without them."
    )
    return ReportTable("No result: what the target's test labels would have chosen", head, rows, note)


def class_table(section: AdaptationSection) -> ReportTable | None:
    """Recall on the target's test by method and class; None where it is not known, or of very many classes."""
    recalls_by_method = {method.label: recalls(method) for method in section.all_methods}
    names = list(dict.fromkeys(name for by_class in recalls_by_method.values() for name in by_class))
    if not 0 < len(names) <= _MOST_CLASSES:
        return None
    rows = [
        [TableCell(label), *(TableCell(number(by_class[name]) if name in by_class else MISSING) for name in names)]
        for label, by_class in recalls_by_method.items()
    ]
    note = "The share of each class's test images that are recognised, mean over seeds."
    return ReportTable("Accuracy on the target, class by class", ["method", *names], rows, note)
