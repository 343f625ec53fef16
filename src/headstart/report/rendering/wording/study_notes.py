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
    if levels == [0.0]:
        return _spent_text(count, max(of_test[-1].seeds for of_test in looks), fixed=study.fixed_seeds)
    spent = f"{levels[0]:.3g}" if len(levels) == 1 else f"{levels[0]:.3g} to {levels[-1]:.3g}"
    kind = "the seeds were fixed beforehand" if study.fixed_seeds else "the study may grow"
    return f"Look {count} at these data: {kind}, so each question is tested at {spent} of an error of 0.05 in all."


def _spent_text(count: int, seeds: int, *, fixed: bool) -> str:
    """Why a look has no error, and the way out."""
    if seeds < 2:
        return "One seed decides nothing: no error is spent on it."
    if seeds == 2 and not fixed:
        return "Two seeds decide nothing in a study that may grow: its error is spent from three seeds on."
    text = (
        f"Look {count} at these data: earlier reports have spent the error of 0.05. Their verdicts stay, and nothing "
    )
    text += "else is decided."
    if fixed:
        text += " A study that fixes its seeds runs all of them in one command. Where they come one by one, use "
        text += "fixed_seeds=false: here, with fresh seeds and a study_name of its own."
    return text


def left_out_text(study: Study) -> str:
    """Runs left out: 1 failed, 2 unfinished."""
    states = [run.state for run in study.others]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return f"Runs left out: {', '.join(counts)}."
