"""Tables of a study's settings and source models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart.report.analysis.study_records import Study
from headstart.report.analysis.study_runs import FinishedRun, LevelsResult
from headstart.report.config_leaves import leaves
from headstart.report.rendering.tables.table_cells import ReportTable, TableCell, distinct_values, plain_value
from headstart.report.rendering.wording.number_format import optional_number
from headstart.system.files.short_paths import with_short_paths

_OTHER_GROUPS = ("logger", "callbacks", "fit", "chosen", "tuned")  # change no result, or list what was tried


def settings_table(study: Study) -> ReportTable:
    """What all runs share, and the versions that made them; several values where runs differ."""
    runs = all_runs(study)
    results = [run.result for run in runs]
    rows = [
        [TableCell("overrides of all runs"), TableCell(" ".join(study.common) or "none but mode and seed")],
        [TableCell("classes"), TableCell(distinct_values(results, "num_classes"))],
        [TableCell("images"), TableCell(_entries(results, "sizes"))],
        [TableCell("versions"), TableCell(_entries(results, "versions"))],
    ]
    configs = [config for run in runs if (config := run.config())]
    groups = dict.fromkeys(key for config in configs for key, node in config.items() if isinstance(node, dict))
    rows += [
        [
            TableCell(group),
            TableCell(with_short_paths(_group_values([leaves(config.get(group)) for config in configs]), study.paths)),
        ]
        for group in groups
        if group not in _OTHER_GROUPS
    ]
    return ReportTable("Settings", ["what", "value"], rows)


def _entries(results: list[dict[str, Any]], name: str) -> str:
    """train 50, val 700: each key of a part of result.json with its values."""
    parts = [part for result in results if isinstance(part := result.get(name), dict)]
    keys = dict.fromkeys(key for part in parts for key in part)
    return ", ".join(f"{key} {distinct_values(parts, key)}" for key in keys) or "not recorded"


def _group_values(nodes: list[dict[str, Any]]) -> str:
    """The name of a group's target, then its values; several where runs differ."""
    keys = dict.fromkeys(key for node in nodes for key in node)
    names = distinct_values([{"name": str(node.get("_target_", "")).rpartition(".")[2]} for node in nodes], "name")
    values = (
        f"{key}={' or '.join(dict.fromkeys(plain_value(node[key]) for node in nodes if key in node))}"
        for key in keys
        if not key.rpartition(".")[2].startswith("_")
    )
    return f"{names} {' '.join(values)}".strip()


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
