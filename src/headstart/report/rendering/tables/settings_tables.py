"""Tables of a study's settings and source models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart.report.analysis.study_records import Study
from headstart.report.config_leaves import leaves
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell, distinct_values, plain_value
from headstart.report.rendering.wording.number_format import optional_number
from headstart.report.stored_runs.study_runs import FinishedRun, LevelsResult
from headstart.system.files.short_paths import with_short_paths

LISTED = 8  # values of a key; of more their range
_OTHER_GROUPS = ("logger", "callbacks", "fit", "chosen", "tuned")  # change no result, or list what was tried


def settings_table(study: Study) -> ReportTable:
    """What all runs share, and the versions that made them; several values where runs differ."""
    runs = all_runs(study)
    results = [run.result for run in runs]
    are_numbers = bool(results) and all(result.get("regression") for result in results)
    rows = [
        [TableCell("overrides of all runs"), TableCell(" ".join(study.common) or "none but mode and seed")],
        [
            TableCell("numbers as targets" if are_numbers else "classes"),
            TableCell(distinct_values(results, "num_classes")),
        ],
        [TableCell("images"), TableCell(_entries(results, "sizes"))],
        [TableCell("versions"), TableCell(_entries(results, "versions"))],
    ]
    groups = _values_by_group(runs)
    rows += [
        [TableCell(group), TableCell(with_short_paths(_group_values(nodes), study.paths))]
        for group, nodes in groups.items()
        if group not in _OTHER_GROUPS
    ]
    return ReportTable("Settings", ["what", "value"], rows)


def _values_by_group(runs: list[FinishedRun | LevelsResult]) -> dict[str, list[dict[str, Any]]]:
    """Group of the config -> its values in each run, by the keys below the group."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        nodes: dict[str, dict[str, Any]] = {}
        for key, value in (run.settings if isinstance(run, FinishedRun) else leaves(run.config())).items():
            group, dot, below = key.partition(".")
            if dot:
                nodes.setdefault(group, {})[below] = value
        for group, node in nodes.items():
            groups.setdefault(group, []).append(node)
    return groups


def _entries(results: list[dict[str, Any]], name: str) -> str:
    """train 50, val 700: each key of a part of result.json with its values."""
    parts = [part for result in results if isinstance(part := result.get(name), dict)]
    keys = dict.fromkeys(key for part in parts for key in part)
    return ", ".join(f"{key} {distinct_values(parts, key)}" for key in keys) or "not recorded"


def _group_values(nodes: list[dict[str, Any]]) -> str:
    """The name of a group's target, then its values; several where runs differ."""
    values_by_key: dict[str, dict[str, None]] = {}  # each value once, in order
    for node in nodes:
        for key, value in node.items():
            values_by_key.setdefault(key, {})[plain_value(value)] = None
    names = distinct_values([{"name": str(node.get("_target_", "")).rpartition(".")[2]} for node in nodes], "name")
    values = (
        f"{key}={_joined(list(values))}"
        for key, values in values_by_key.items()
        if not key.rpartition(".")[2].startswith("_")
    )
    return f"{names} {' '.join(values)}".strip()


def _joined(values: list[str]) -> str:
    """a or b; of many values their range, or the first ones, and how many there are."""
    if len(values) <= LISTED:
        return " or ".join(values)
    try:
        numbers = sorted(values, key=float)
    except ValueError:
        return f"{' or '.join(values[:LISTED])} or others ({len(values)} values)"
    return f"{numbers[0]} to {numbers[-1]} ({len(values)} values)"


def source_table(study: Study) -> ReportTable | None:
    """Each source model beside the naive models on its own held-out images; None without a source."""
    sources: dict[str, dict[str, Any]] = {}
    users: dict[str, int] = {}
    for run in all_runs(study):
        source = run.result.get("source")
        if isinstance(source, dict):
            key = str(source.get("hash", source.get("folder")))
            sources[key] = source
            users[key] = users.get(key, 0) + 1
    if not sources:
        return None
    naive = list(dict.fromkeys(name for source in sources.values() for name in (source.get("naive") or {})))
    rows = [_source_row(key, source, naive, users[key]) for key, source in sources.items()]
    names = [name.replace("_", " ") for name in naive]
    head = ["source model", "accuracy", *names, "seconds", "images", "runs that use it"]
    return ReportTable("The source model against naive models", head, rows, "On held-out images of the source data.")


def _source_row(key: str, source: dict[str, Any], naive: list[str], users: int) -> list[TableCell]:
    accuracy = (source.get("metrics") or {}).get(test_tag(source.get("monitor")))
    limits = source.get("accuracy_interval")
    interval = ""
    if isinstance(limits, list):
        interval = f"95 % {optional_number(limits[0])} to {optional_number(limits[1])}"
    return [
        TableCell(Path(str(source.get("folder") or source.get("file") or key)).name),
        TableCell(optional_number(accuracy), interval),
        *(TableCell(optional_number((source.get("naive") or {}).get(name))) for name in naive),
        TableCell(optional_number(source.get("wall_s"), 1)),
        TableCell(optional_number(source.get("examples"), 0)),
        TableCell(str(users)),
    ]


def all_runs(study: Study) -> list[FinishedRun | LevelsResult]:
    """Every run of the report."""
    reusing = [measured.run for section in study.sections for arm in section.all_arms for measured in arm.runs]
    adapting = [run for section in study.adapted for method in section.all_methods for run in method.arm.runs]
    return reusing + adapting + list(study.levels)


def test_tag(monitor: object) -> str:
    """test/accuracy of val/accuracy, which None stands for."""
    return f"test/{str(monitor or 'val/accuracy').rpartition('/')[2]}"
