"""Which runs are compared with which?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headstart.report.runs import Levels, Other, Run

_NOT_AN_ARM = ("seed", "mode", "study", "rerun", "resume", "task", "hydra", "report")  # of an override's first word


@dataclass(frozen=True)
class Arm:
    """Runs that differ in the seed alone."""

    mode: str
    setting: frozenset[str]  # the overrides without mode, seed and what changes no figure
    runs: tuple[Run, ...]  # by seed, each seed once

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.seed for run in self.runs)


@dataclass(frozen=True)
class Group:
    """A baseline and the arms compared with it."""

    baseline: Arm | None
    arms: tuple[Arm, ...]  # without the baseline
    setting: frozenset[str]  # the baseline's; without a baseline the arms' own


def setting_of(overrides: Iterable[str]) -> frozenset[str]:
    """The overrides that make an arm's setting: all but mode, seed, and what changes no figure of a run."""
    return frozenset(text for text in overrides if not _is_outside(text))


def arms_of(runs: Iterable[Run]) -> tuple[tuple[Arm, ...], tuple[Other, ...]]:
    """The arms, and the runs that a later run of the same arm and seed replaces.

    Two such runs differ in what overrides do not show (a changed YAML): the one finished last counts.
    """
    by_arm: dict[tuple[str, frozenset[str]], dict[int, Run]] = {}
    replaced: list[Other] = []
    for run in sorted(runs, key=finished_at):
        seeds = by_arm.setdefault((run.mode, setting_of(run.overrides)), {})
        if run.seed in seeds:
            why = f"{run.folder.name} has the same overrides and seed and finished later"
            replaced.append(Other(seeds[run.seed].folder, "replaced", why))
        seeds[run.seed] = run
    arms = (
        Arm(mode, setting, tuple(seeds[seed] for seed in sorted(seeds))) for (mode, setting), seeds in by_arm.items()
    )
    return tuple(sorted(arms, key=lambda arm: (sorted(arm.setting), arm.mode))), tuple(replaced)


def left_out(label: str, dropped: Sequence[int]) -> str:
    """That an arm and its baseline do not have these seeds both, so that they are in no comparison."""
    word = "seed" if len(dropped) == 1 else "seeds"
    listed = ", ".join(str(seed) for seed in dropped)
    return f"{label}: {word} {listed} left out of the comparison, in one of the two arms only."


def groups_of(arms: Iterable[Arm], baseline: str) -> tuple[Group, ...]:
    """Each arm beside its baseline: the arm of the baseline mode with the largest setting within its own.

    Arms that contain no baseline's setting form groups by their own setting, with baseline None.
    """
    arms = tuple(arms)
    baselines = [arm for arm in arms if arm.mode == baseline]
    members: dict[tuple[bool, frozenset[str]], list[Arm]] = {(True, b.setting): [] for b in baselines}
    for arm in arms:
        if arm.mode == baseline:
            continue
        within = [b for b in baselines if b.setting <= arm.setting]
        if within:
            best = max(within, key=lambda b: len(b.setting))
            members[True, best.setting].append(arm)
        else:
            members.setdefault((False, arm.setting), []).append(arm)
    by_setting = {b.setting: b for b in baselines}
    groups = [
        Group(by_setting[setting] if known else None, tuple(found), setting)
        for (known, setting), found in members.items()
    ]
    return tuple(sorted(groups, key=lambda g: (g.baseline is None, _natural(g.setting))))


def _is_outside(override: str) -> bool:
    key = override.split("=", 1)[0].lstrip("+~")
    return key.split(".")[0].split("/")[0].split("@")[0] in _NOT_AN_ARM


def finished_at(run: Run | Levels) -> tuple[float, str]:
    """A key that sorts what finished first before what finished last."""
    try:
        return (run.folder / "result.json").stat().st_mtime, str(run.folder)
    except OSError:
        return 0.0, str(run.folder)


def _natural(setting: frozenset[str]) -> list[tuple[str, float, str]]:
    """A key that sorts target.shots=5 before target.shots=20."""
    keys = []
    for override in sorted(setting):
        name, _, value = override.partition("=")
        try:
            keys.append((name, float(value), value))
        except ValueError:
            keys.append((name, float("inf"), value))
    return keys
