"""Finished runs below a folder, read from disk."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from headstart.report.config_leaves import leaves
from headstart.report.result_digests import CURVE, changed_files
from headstart.report.stored_runs.metric_rows import rows_in
from headstart.system.credential_masking import without_credentials
from headstart.system.old_names import override_now, renamed
from headstart.system.result_format import PRUNED, current_result, pruned_text

OTHER_TASK = "of another task"  # the state of a folder that is no run to compare, as a probe's
LAST = "age (the last counts)"  # what chose a checkpoint that no metric did
_MARKS = ("result.json", "error.txt", "metrics.csv", ".hydra")  # any of them makes a folder a run's


class _ResultFolder:
    """A folder that holds a result, and the config it was made with."""

    folder: Path
    result: dict[str, Any]

    @property
    def monitor(self) -> str:
        """The val metric that says how good its model is; a result that names none is of one label an image."""
        return str(self.result.get("monitor") or "val/accuracy")

    @property
    def chosen_by(self) -> str:
        """What its tested checkpoint follows: a selection's metric, that it is the last, else the val metric."""
        selection = self.result.get("selection")
        if not isinstance(selection, dict) or "metric" not in selection:
            return self.monitor
        return LAST if selection.get("mode") == "last" else str(selection["metric"])

    @property
    def validates(self) -> bool:
        """Whether it had val images; without them it has no curve, and only test metrics of its last checkpoint."""
        sizes = self.result.get("sizes")
        return not isinstance(sizes, dict) or sizes.get("val") != 0

    @property
    def adapts(self) -> bool:
        """Whether its val is the source's and its test the target's, which it had no labels of."""
        adaptation = self.result.get("adaptation")
        return isinstance(adaptation, dict) and adaptation.get("main") in ("source", "unlabelled")

    def config(self) -> dict[str, Any]:
        """The composed config, interpolations as they stand; empty where the file is not there or damaged."""
        return config_in(self.folder)


class Replicate(NamedTuple):
    """What tells the runs of one arm apart: the seed, and in cross-validation the fold."""

    seed: int
    fold: int | None

    def __str__(self) -> str:
        return f"seed {self.seed}" if self.fold is None else f"seed {self.seed} fold {self.fold}"


@dataclass(frozen=True)
class FinishedRun(_ResultFolder):
    """A finished run: what its folder says."""

    folder: Path
    mode: str
    seed: int
    overrides: tuple[str, ...]  # the job's own, as Hydra lists them
    result: dict[str, Any] = field(hash=False)  # result.json, by the names of today
    rows: dict[int, dict[str, float]] = field(hash=False)  # step -> column -> value; absent = not measured
    settings: dict[str, Any] = field(hash=False, default_factory=dict)  # the config's leaves; empty: not known

    @property
    def is_control(self) -> bool:
        """Whether it began with random weights in place of the source's."""
        return self.result.get("control") is True

    @property
    def fold(self) -> int | None:
        """The fold of cross-validation that was its val; None without cross-validation."""
        fold = self.settings.get("target.fold")
        if fold is None:
            pairs = (text.partition("=") for text in self.overrides)
            fold = next((value for key, _, value in pairs if key.lstrip("+") == "target.fold"), None)
        try:
            return None if fold is None else int(fold)
        except (TypeError, ValueError):
            return None

    @property
    def replicate(self) -> Replicate:
        return Replicate(self.seed, self.fold)

    def final_metric(self, tag: str) -> float:
        """A final metric, such as test/accuracy; nan where it has none."""
        value = (self.result.get("metrics") or {}).get(tag)
        return float(value) if isinstance(value, int | float) else math.nan

    @property
    def has_diverged(self) -> bool:
        """Whether a loss or a weight became nan or infinite; a result that does not say it, by its val metrics."""
        state = self.result.get("state")
        if state is not None:
            return bool(state == "diverged")
        watched = (self.monitor, "val/loss")
        return any(not math.isfinite(row[key]) for row in self.rows.values() for key in watched if key in row)

    @property
    def tuned(self) -> dict[str, Any] | None:
        """What its trials were and chose; None of a run that was not tuned."""
        tuned = self.result.get("tuned")
        return tuned if isinstance(tuned, dict) else None


@dataclass(frozen=True)
class LevelsResult(_ResultFolder):
    """A finished result without a curve: what each of its arms reached, as task=few_images writes it."""

    folder: Path
    seed: int
    overrides: tuple[str, ...]  # the job's own, as Hydra lists them
    result: dict[str, Any] = field(hash=False)  # result.json, by the names of today
    baseline: str  # the arm that the others are compared with
    levels: dict[str, dict[str, float]] = field(hash=False)  # arm -> tag -> metric


@dataclass(frozen=True)
class LeftOutRun:
    """A folder that cannot be compared, and why."""

    folder: Path
    state: str  # failed, unfinished, damaged, replaced, pruned, of another task
    why: str


@dataclass(frozen=True)
class RunsBelow:
    """What lies below a folder."""

    finished: tuple[FinishedRun, ...]
    others: tuple[LeftOutRun, ...]
    levels: tuple[LevelsResult, ...] = ()


def runs_below(folder: Path, names: Collection[str] | None = None) -> RunsBelow:
    """The finished runs below a folder in the order of their paths, and the folders that cannot be compared.

    A folder that cannot be read is listed, never raised. Results of other tasks, as a probe's, are passed over.

    Args:
        folder: The study's folder.
        names: Names of run folders, to read these alone.
    """
    finished: list[FinishedRun] = []
    levels: list[LevelsResult] = []
    others: list[LeftOutRun] = []
    for path in _run_folders(folder):
        if names is not None and path.name not in names:
            continue
        run = run_in(path)
        if isinstance(run, FinishedRun):
            finished.append(run)
        elif isinstance(run, LevelsResult):
            levels.append(run)
        elif run.state != OTHER_TASK:
            others.append(run)
    return RunsBelow(tuple(finished), tuple(others), tuple(levels))


def run_in(folder: Path) -> FinishedRun | LevelsResult | LeftOutRun:
    """The run or the levels of one folder, or why there are none."""
    result_file = folder / "result.json"
    if not result_file.is_file():
        error = folder / "error.txt"
        if error.is_file():
            return LeftOutRun(folder, "failed", _last_line(error))
        return LeftOutRun(folder, "unfinished", "no result.json: still running, or stopped from outside")
    try:
        # older runs may hold passwords of addresses
        result = json.loads(without_credentials(result_file.read_text(encoding="utf-8")))
        if not isinstance(result, dict):
            raise ValueError(f"result.json must hold an object, got {type(result).__name__}")
        if result.get("task", "fit") != "fit" and isinstance(result.get("levels"), dict):
            return _levels(folder, result)
        if result.get("task", "fit") != "fit":
            return LeftOutRun(folder, OTHER_TASK, f"a result of task={result['task']}, which has no curve")
        result = current_result(result)
        mode, seed, overrides = result["mode"], result["seed"], result.get("overrides")
        if not isinstance(mode, str) or isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"mode must be text and seed a whole number, got {mode!r} and {seed!r}")
        if overrides is None:
            overrides = overrides_in(folder)
        rows = rows_in(folder / "metrics.csv")
        changed = changed_files(folder, result, CURVE)
    except KeyError as error:
        return LeftOutRun(folder, "damaged", f"result.json lacks {error}")
    except (OSError, ValueError, TypeError, RecursionError) as error:  # bad JSON, text and numbers are ValueErrors
        return LeftOutRun(folder, "damaged", f"{type(error).__name__}: {error}")
    if result.get("state") == PRUNED:
        return LeftOutRun(folder, PRUNED, pruned_text(result))
    if changed:
        why = f"{' and '.join(changed)} changed since the run wrote it, or was cut; rerun=true runs it again"
        return LeftOutRun(folder, "damaged", why)
    named_now = tuple(override_now(str(o)) for o in overrides)
    return FinishedRun(folder, mode, seed, named_now, result, rows, leaves(config_in(folder)))


def config_in(folder: Path) -> dict[str, Any]:
    """The composed config of a run's folder, by today's names; empty where the file is not there or damaged."""
    import yaml  # here: `import headstart.report` needs it not

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with libyaml
    try:
        text = (folder / ".hydra" / "config.yaml").read_text(encoding="utf-8")
        config = yaml.load(without_credentials(text), Loader=loader)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return dict(renamed(config)) if isinstance(config, dict) else {}


def _levels(folder: Path, result: dict[str, Any]) -> LevelsResult:
    result = current_result(result)
    seed, overrides, baseline = result["seed"], result["overrides"], str(result["baseline"])
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ValueError(f"seed must be a whole number, got {seed!r}")
    levels = {
        str(arm): {str(tag): float(value) for tag, value in metrics.items() if isinstance(value, int | float)}
        for arm, metrics in result["levels"].items()
        if isinstance(metrics, dict)
    }
    return LevelsResult(folder, seed, tuple(override_now(str(o)) for o in overrides), result, baseline, levels)


def _run_folders(folder: Path) -> Iterator[Path]:
    """The run folders at or below a folder; what lies inside a run is not searched."""
    if any((folder / mark).exists() for mark in _MARKS):
        yield folder
        return
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
            try:
                yield from _run_folders(child)
            except OSError:  # a folder that may not be read holds no run that could be
                continue


def overrides_in(folder: Path) -> list[str]:
    """The overrides of .hydra/overrides.yaml; none where there is no such file."""
    import yaml  # here: not needed where result.json lists them

    file = folder / ".hydra" / "overrides.yaml"
    if not file.is_file():
        return []
    try:
        overrides = yaml.safe_load(without_credentials(file.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ValueError(f"overrides.yaml cannot be read: {error}") from error
    return [str(o) for o in overrides] if isinstance(overrides, list) else []


def _last_line(file: Path) -> str:
    """The last line of a trace that says something."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError as error:
        return f"error.txt cannot be read: {error}"
    return without_credentials(next((line for line in reversed(lines) if line), "error.txt is empty"))
