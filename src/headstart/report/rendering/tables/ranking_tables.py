"""The tables of a ranking of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headstart.report.analysis.ranked_candidates import Ranked, by_score, by_static_rank, scores_in
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell

NONE = "-"


def ranking_tables(result: dict[str, Any]) -> list[ReportTable]:
    """The candidates, all their scores, the scores by stage, and the agreement of the scores.

    Args:
        result: The content of result.json of task=rank_sources.
    """
    return [_candidates(result), _scores(result), *_stages(result), *_agreement(result), *_missing(result)]


def ordered(result: dict[str, Any]) -> list[Ranked]:
    """The candidates, the best by the recommendation's score first, those without it last.

    Args:
        result: As for ranking_tables.
    """
    first = by_score(result["candidates"], result["by"])
    return [*first, *(entry for entry in result["candidates"] if entry not in first)]


def _candidates(result: dict[str, Any]) -> ReportTable:
    by, draws = result["by"], result["half_samples"]["draws"]
    static = [entry["candidate"] for entry in by_static_rank(result["candidates"])]
    named = [by, *(name for name in ("logistic", "neighbours") if name != by)]
    rows = []
    for entry in ordered(result):
        own = entry["scores"].get(by)
        interval = f"{own['low']:.0f} to {own['high']:.0f}" if own and draws else NONE
        rows.append(
            [
                entry["candidate"],
                *(f"{own['rank']:g}" if own else NONE, interval, f"{own['first']:.0%}" if own and draws else NONE),
                *(_value(entry, name) for name in named),
                _share(entry["val/accuracy"]),
                f"{entry['parameters']:,}",
                f"{_share(entry['own_accuracy'])} {entry['own_accuracy_on']}".strip(),
                str(1 + static.index(entry["candidate"])),
                f"{entry['seconds']['features']:.1f} + {entry['seconds']['scores']:.1f}",
            ]
        )
    chance = result["chance"]
    note = (
        f"Ranks by {by} on {result['sizes']['train']:,} training images, with 95 % intervals from {draws} "
        f"half-samples. Chance: {chance['largest_class']:.3f} (the largest class), {chance['uniform']:.3f} (a guess). "
        f"val: a logistic probe that train has fitted, on {result['sizes']['val']:,} val images. "
        "Seconds: features + scores."
    )
    head = [
        "candidate",
        "rank",
        "interval",
        "first in",
        *named,
        "val",
        "parameters",
        "accuracy on",
        "static",
        "seconds",
    ]
    return _table("Candidates", head, rows, note)


def _scores(result: dict[str, Any]) -> ReportTable:
    names = scores_in(result["candidates"])
    rows = []
    for entry in ordered(result):
        cells = [entry["candidate"]]
        for name in names:
            own = entry["scores"].get(name)
            cells.append(f"{own['value']:.4g} ({own['rank']:g})" if own else NONE)
        rows.append(cells)
    images = {
        name: {e["scores"][name]["images"] for e in result["candidates"] if name in e["scores"]} for name in names
    }
    sampled = [name for name, counts in images.items() if counts and max(counts) < result["sizes"]["train"]]
    note = "Value (rank)."
    if sampled:
        note += (
            f" {', '.join(sampled)}: on a stratified sample of {result['sample']:,} of {result['sizes']['train']:,} "
            "training images; the others on all."
        )
    return _table("Scores", ["candidate", *names], rows, note)


def _stages(result: dict[str, Any]) -> list[ReportTable]:
    rows = []
    for entry in ordered(result):
        if entry["depth"] is None:
            continue
        by = entry["depth"]["by"]
        for number, (stage, values) in enumerate(entry["by_stage"].items(), 1):
            mark = "*" if stage == entry["depth"]["best"] else ""
            rows.append(
                [
                    *(entry["candidate"] if number == 1 else "", f"{stage}{mark}", str(number)),
                    str(entry["stages"][stage]),
                    *(f"{values[name]:.4g}" if name in values else NONE for name in _of_stages(result)),
                ]
            )
    if not rows:
        return []
    head = ["candidate", "after", "keep", "width", *_of_stages(result)]
    note = f"* the best by {by}. Scores of different widths compare only where they are accuracies."
    return [_table("Depth", head, rows, note)]


def _of_stages(result: dict[str, Any]) -> list[str]:
    by_stage = [values for entry in result["candidates"] for values in entry["by_stage"].values()]
    return list(dict.fromkeys(name for values in by_stage for name in values))


def _agreement(result: dict[str, Any]) -> list[ReportTable]:
    names = [name for name in scores_in(result["candidates"]) if len(by_score(result["candidates"], name)) > 1]
    if len(result["candidates"]) < 3 or len(names) < 2:
        return []
    plain, weighted = result["agreement"]["plain"], result["agreement"]["weighted"]
    rows = []
    for number, score_name in enumerate(names):
        cells = [
            plain[score_name][other] if at < number else weighted[score_name][other] for at, other in enumerate(names)
        ]
        rows.append([score_name, *(NONE if cell is None else f"{cell:+.2f}" for cell in cells)])
    note = (
        "Kendall's tau between the scores: plain below the diagonal, weighted for the top above it. A weighted tau of "
        f"{len(result['candidates'])} candidates stays below {result['null_weighted_tau']:.2f} in 95 % of the cases "
        "where a score knows nothing of the other."
    )
    return [_table("Agreement", ["", *names], rows, note)]


def _missing(result: dict[str, Any]) -> list[ReportTable]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for entry in result["candidates"]:
        for name, reason in entry["missing"].items():
            reasons.setdefault((entry["candidate"], reason), []).append(name)
    rows = [[candidate, ", ".join(names), reason] for (candidate, reason), names in reasons.items()]
    rows += [[text, "all", reason] for text, reason in result["unavailable"].items()]
    return [_table("Not computed", ["candidate", "scores", "why"], rows, "")] if rows else []


def _table(title: str, head: list[str], rows: Sequence[Sequence[str]], note: str) -> ReportTable:
    return ReportTable(title, head, [[TableCell(text) for text in row] for row in rows], note)


def _value(entry: Ranked, name: str) -> str:
    return f"{entry['scores'][name]['value']:.3f}" if name in entry["scores"] else NONE


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
