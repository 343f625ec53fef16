"""A study whose texts name data and weights by the last part of their paths, told apart where two are alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, cast

from headstart.report.analysis.config_differences import of_overrides
from headstart.report.analysis.study_records import Study
from headstart.report.config_leaves import leaves
from headstart.report.stored_runs.study_runs import FinishedRun, LevelsResult, RunsBelow
from headstart.system.files.short_paths import paths_in, short_paths, with_short_paths

_NOT_DATA = ("run_dir", "hydra", "feature_cache", "logger", "callbacks")  # where a run writes
_AS_THEY_ARE = (FinishedRun, LevelsResult)  # read from disk; tables take single values of them


def short_study(study: Study, runs_below: RunsBelow) -> Study:
    """The study with `photos` in the place of `/a/b/photos` in its labels, settings and reasons.

    Its looks keep the whole paths, by which the next report finds them.

    Args:
        study: The comparison.
        runs_below: The runs that it was made of, whose settings say what is a path.
    """
    settings: list[dict[str, Any]] = []
    runs: list[FinishedRun | LevelsResult] = [*runs_below.finished, *runs_below.levels]
    for run in runs:
        known = run.settings if isinstance(run, FinishedRun) else leaves(run.config())
        settings += [known, of_overrides(run.overrides)]
    counted = [
        {key: run_settings[key] for key in run_settings if key.partition(".")[0] not in _NOT_DATA}
        for run_settings in settings
    ]
    names = short_paths(path.strip("'\"") for run_settings in counted for path in paths_in(run_settings))
    if not names:
        return study
    short = cast(Study, _short(study, names, {}))
    return replace(short, looks=study.looks, paths=names)


def short_command(command: str | None) -> str | None:
    """A command line that works in the same folder, with `~` in the place of the home folder."""
    working_folder, home = str(Path.cwd()), str(Path.home())
    signs = {f"{working_folder}/": "", f"{home}/": "~/"} if home != "/" else {}
    for folder, sign in signs.items():
        command = (
            None if command is None else command.replace(f"={folder}", f"={sign}").replace(f",{folder}", f",{sign}")
        )
    return command


def _short(value: Any, names: Mapping[str, str], done: dict[int, Any]) -> Any:
    """The value with short texts; what stood in two places is one object in both, as before."""
    if isinstance(value, str):
        return with_short_paths(value, names)
    if value is None or isinstance(value, (int, float, Path, *_AS_THEY_ARE)):
        return value
    if id(value) in done:
        return done[id(value)]
    made: Any = value
    if is_dataclass(value) and not isinstance(value, type):
        had = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        shortened = {name: _short(child, names, done) for name, child in had.items()}
        if any(shortened[name] is not had[name] for name in had):
            made = replace(value, **shortened)
    elif isinstance(value, dict):
        made = {_short(key, names, done): _short(child, names, done) for key, child in value.items()}
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        made = type(value)(*(_short(child, names, done) for child in value))
    elif isinstance(value, tuple | list | frozenset | set):
        made = type(value)(_short(child, names, done) for child in value)
    done[id(value)] = made
    return made
