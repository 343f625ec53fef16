"""Colours of a report's arms."""

from __future__ import annotations

from headstart.report.analysis.arms import RANDOM
from headstart.report.analysis.study_records import Study

COLOURS = 8  # the page's palette; further arms repeat it with other dashes


def arm_colours(study: Study) -> dict[str, int]:
    """Arm -> number of its colour; the same on the whole page, 0 for baselines."""
    colours: dict[str, int] = {}

    def unused() -> int:
        return 1 + sum(colour > 0 for colour in colours.values())

    for section in study.sections:
        for arm in section.all_arms:
            if section.baseline is not None and arm.label == section.baseline.label:
                colours[arm.label] = 0
            elif arm.label not in colours:
                treated = colours.get(arm.label.replace(f" {RANDOM}", ""))  # a control has the colour of its arm
                colours[arm.label] = treated or 1 + max(colours.values(), default=0)
    for adaptation in study.adapted:
        for method in adaptation.all_methods:
            if method is adaptation.baseline:
                colours[method.label] = 0
            elif method.label not in colours:
                colours[method.label] = unused()
    for axis in study.axes:
        for line in axis.lines:
            if line.label not in colours:
                colours[line.label] = 0 if line.is_baseline else unused()
    return colours
