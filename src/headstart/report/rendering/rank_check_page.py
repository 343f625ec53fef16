"""A check of scores against fine-tuning as Markdown, and as lines for a terminal."""

from __future__ import annotations

import math
from typing import Any

from headstart.report.rendering.markdown_report import escaped, markdown_table
from headstart.report.rendering.ranking_page import table_lines
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell
from headstart.report.rendering.wording.ranking_words import NAMES

BASELINES = ("static", "neighbours", "random")
TITLES = {**NAMES, "static": "static rank (parameters, then own accuracy)", "random": "a choice by chance"}


def rank_check_markdown(result: dict[str, Any], command: str) -> str:
    """The page: what was found, in sentences and tables.

    Args:
        result: The content of result.json of task=rank_check.
        command: That makes the check again.
    """
    parts = ["# Do scores foresee the best source?", f"```\n{command}\n```"]
    parts.append("\n".join(f"- {escaped(sentence)}" for sentence in findings(result)))
    parts += map(markdown_table, check_tables(result))
    return "\n\n".join(parts) + "\n"


def rank_check_text(result: dict[str, Any]) -> str:
    """The same without the accuracies of each candidate, as aligned lines.

    Args:
        result: As for rank_check_markdown.
    """
    lines = [line for table in check_tables(result)[:2] for line in table_lines(table)]
    return "\n".join([*lines, *(f"  {sentence}" for sentence in findings(result))])


def findings(result: dict[str, Any]) -> list[str]:
    """What was found about regret, and what it does not decide.

    Args:
        result: As for rank_check_markdown.
    """
    models, targets = len(result["candidates"]), len(result["targets"])
    sentences = [
        f"{models} candidates on {targets} targets, {len(result['seeds'])} seeds. One tau over {models} models decides "
        f"nothing: that of a score which knows nothing exceeds {result['null_weighted_tau']:.2f} (weighted) in one of "
        "twenty cases. Intervals are of a bootstrap over targets and candidates; those against a baseline hold for all "
        "scores together."
    ]
    return [*sentences, *(_against(result, base) for base in ("random", "static", "neighbours"))]


def _against(result: dict[str, Any], base: str) -> str:
    found = {
        name: measures["regret"]
        for name, measures in result["against"][base].items()
        if name not in ("static", "random")
    }
    found = {name: regret for name, regret in found.items() if _is_known(regret)}
    better = {name: regret for name, regret in found.items() if regret["high"] < 0}
    worse = {name: regret for name, regret in found.items() if regret["low"] > 0}
    own = result["scores"][base]["regret"]
    start = f"Against {TITLES[base]} (regret {own['value']:.3f} [{own['low']:.3f}, {own['high']:.3f}])"
    if not better:
        verdict = "no score is told to have less regret here"
    else:
        verdict = f"less regret: {'; '.join(_gap(name, regret) for name, regret in better.items())}"
    if worse:
        verdict += f"; more regret: {'; '.join(_gap(name, regret) for name, regret in worse.items())}"
    return f"{start}: {verdict}."


def _gap(name: str, regret: dict[str, float]) -> str:
    return f"{TITLES[name]} {regret['value']:+.3f} [{regret['low']:+.3f}, {regret['high']:+.3f}]"


def check_tables(result: dict[str, Any]) -> list[ReportTable]:
    """The measures of each score, their differences to the baselines, and the accuracies.

    Args:
        result: As for rank_check_markdown.
    """
    return [_measures(result), _differences(result), _accuracies(result)]


def _measures(result: dict[str, Any]) -> ReportTable:
    rows = []
    for name, measures in result["scores"].items():
        tied = result["tied_with_best"].get(name)
        cells = [
            _interval(measures[measure], signed=measure != "regret") for measure in ("weighted", "plain", "regret")
        ]
        rows.append([TITLES[name], *cells, "-" if tied is None else f"{tied:.0%}"])
    note = (
        "Means over targets and seeds, with 95 % intervals. tau: Kendall's, over pairs whose test accuracies differ by "
        "more than the seeds' own spread. regret: test accuracy of the best candidate less that of the score's pick."
    )
    return _table("Scores", ["", "weighted tau", "plain tau", "regret", "pick tied with the best"], rows, note)


def _differences(result: dict[str, Any]) -> ReportTable:
    names = [name for name in result["scores"] if name != "random"]
    rows = []
    for name in names:
        cells = []
        for base in BASELINES:
            measures = result["against"][base].get(name)
            cells += ["-", "-"] if measures is None else [
                _interval(measures["weighted"], signed=True), _interval(measures["regret"], signed=True),
            ]  # fmt: skip
        rows.append([TITLES[name], *cells])
    head = ["", *(f"{measure} - {base}" for base in BASELINES for measure in ("tau", "regret"))]
    note = (
        "Differences to the baselines, paired, with intervals that hold for all scores together; less regret is better."
    )
    return _table("Against the baselines", head, rows, note)


def _accuracies(result: dict[str, Any]) -> ReportTable:
    rows = []
    for text in result["candidates"]:
        cells = []
        for target in result["targets"]:
            test = result["fine_tuned"][target][text]["test"]
            cells.append(f"{sum(test) / len(test):.3f}")
        rows.append([text, *cells])
    rows.append(["tie", *(f"{result['ties'][target]:.3f}" for target in result["targets"])])
    note = "Mean over seeds. tie: the difference that seeds alone make in 95 of 100 cases."
    return _table("Test accuracy after fine-tuning", ["", *result["targets"]], rows, note)


def _interval(checked: dict[str, float], *, signed: bool) -> str:
    if not _is_known(checked):
        return "-"
    sign = "+" if signed else ""
    return f"{checked['value']:{sign}.3f} [{checked['low']:{sign}.3f}, {checked['high']:{sign}.3f}]"


def _is_known(checked: dict[str, float]) -> bool:
    """Whether a measure has numbers; nan is null on disk."""
    return all(value is not None and math.isfinite(value) for value in checked.values())


def _table(title: str, head: list[str], rows: list[list[str]], note: str) -> ReportTable:
    return ReportTable(title, head, [[TableCell(text) for text in row] for row in rows], note)
