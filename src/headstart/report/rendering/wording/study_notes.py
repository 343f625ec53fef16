"""Notes on a whole study: its look at the data, and the runs that were left out."""

from __future__ import annotations

from headstart.report.analysis.study_records import Study


def look_text(study: Study) -> str:
    """The number of this look, and the error that it may spend."""
    looks = [of_test for _, of_test in study.looks if of_test]
    if not looks:
        return "No verdict could be tested."
    count = max(map(len, looks))
    levels = sorted({round(of_test[-1].spent, 4) for of_test in looks})
    if levels == [0.0] and not study.fixed_seeds and count == 1:
        return "Two seeds decide nothing in a study that may grow: its error is spent from three seeds on."
    spent = f"{levels[0]:.3g}" if len(levels) == 1 else f"{levels[0]:.3g} to {levels[-1]:.3g}"
    kind = "the seeds were fixed beforehand" if study.fixed_seeds else "the study may grow"
    return f"Look {count} at these data: {kind}, so each question is tested at {spent} of an error of 0.05 in all."


def left_out_text(study: Study) -> str:
    """Runs left out: 1 failed, 2 unfinished."""
    states = [run.state for run in study.others]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return f"Runs left out: {', '.join(counts)}."
