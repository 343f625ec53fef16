"""The tables of a choice under a budget of time."""

from __future__ import annotations

from typing import Any

from headstart.report.rendering.tables.table_cells import ReportTable, TableCell

NONE = "-"


def choice_tables(result: dict[str, Any]) -> list[ReportTable]:
    """The candidates, the arms with what they cost, all trials, and the time.

    Args:
        result: The content of result.json of task=choose.
    """
    return [_candidates(result), _arms(result), _trials(result), _time(result)]


def _candidates(result: dict[str, Any]) -> ReportTable:
    rows = [
        [
            entry["candidate"],
            _number(entry.get("score"), ".3f"),
            _number(entry.get("parameters"), ",d"),
            _number(entry.get("latency_ms"), ".1f"),
            "goes on" if entry["kept"] else f"left out: {entry['why']}",
        ]
        for entry in result["candidates"]
    ]
    note = (
        "score: accuracy of a logistic regression on the features of the training images, cross-validated; of several "
        "candidates alone, and where an image has one class."
    )
    return _table("Candidates", ["", "score", "parameters", "ms an image", ""], rows, note)


def _arms(result: dict[str, Any]) -> ReportTable:
    names = {"train_s": "time", "peak_memory_mib": "memory", "parameters": "size", "latency_ms": "latency"}
    rows = [
        [
            f"{entry['candidate']}, {entry['mode']}",
            f"{entry['metric']:.3f}",
            f"{entry['epochs']:g}",
            f"{entry['train_s']:.1f}",
            f"{entry['peak_memory_mib']:,.0f}",
            ", ".join(names[cost] for cost in entry["front"]) or NONE,
        ]
        for entry in result["pareto"]
    ]
    head = ["", result["monitor"], "epochs", "seconds", "MiB", "on the front of"]
    note = (
        "The best setting of each arm, by its last trial. On the front of a cost: no other arm is as good for less, or "
        "better for as much."
    )
    return _table("Arms", head, rows, note)


def _trials(result: dict[str, Any]) -> ReportTable:
    rows = [
        [
            f"{entry['candidate']}, {entry['mode']}",
            " ".join(f"{key.rpartition('.')[2]}={value:g}" for key, value in entry["values"].items()) or NONE,
            f"{entry['epochs']:g}",
            _number(entry["metric"], ".3f"),
            f"{entry['state']}{': ' if entry['why'] else ''}{entry['why']}",
            f"{entry['at_s']:.0f}",
        ]
        for entry in result["trials"]
    ]
    return _table("Trials", ["", "setting", "epochs", result["monitor"], "", "at second"], rows, "")


def _time(result: dict[str, Any]) -> ReportTable:
    time = result["time"]
    parts = {
        "scores": "scores_s", "source models": "sources_s", "trials": "trials_s", "model": "model_s", "all": "spent_s",
        "given": "given_s",
    }  # fmt: skip
    known = [[name, f"{time[key]:.0f}"] for name, key in parts.items() if key in time]  # earlier ones have no sources_s
    return _table("Time", ["", "seconds"], known, "")


def _number(value: float | None, how: str) -> str:
    return NONE if value is None else format(value, how)


def _table(title: str, head: list[str], rows: list[list[str]], note: str) -> ReportTable:
    return ReportTable(title, head, [[TableCell(text) for text in row] for row in rows], note)
