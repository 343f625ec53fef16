"""Arms of a study, and the baselines that they may be compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headstart.report.analysis.config_differences import SettingDifference, differences, of_overrides
from headstart.report.stored_runs.study_runs import FinishedRun, LeftOutRun, LevelsResult, Replicate

_NOT_AN_ARM = (  # of an override's first word
    "seed", "mode", "control", "study", "rerun", "resume", "extended_lr", "task", "hydra", "report", "fixed_seeds",
    "objective", "study_name", "logger", "forgetting", "retry", "live_table",
)  # fmt: skip
_OF_THE_MODE = ("trainable", "peft")  # settings that say how a source is reused, and no more
RANDOM = "with random weights"  # what a control's label ends in


@dataclass(frozen=True)
class Arm:
    """Runs that differ in the seed alone, or in the seed and the fold."""

    mode: str
    setting: frozenset[str]  # the overrides without mode, control, seed, fold and what does not change results
    runs: tuple[FinishedRun, ...]  # by seed and fold, each once
    is_control: bool = False

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({run.seed for run in self.runs}))

    @property
    def replicates(self) -> tuple[Replicate, ...]:
        return tuple(run.replicate for run in self.runs)

    @property
    def name(self) -> str:
        """The mode, and that it is a control."""
        return f"{self.mode} {RANDOM}" if self.is_control else self.mode

    @property
    def settings(self) -> Mapping[str, Any]:
        """The leaves of its config; empty where none is there."""
        return self.runs[0].settings

    @property
    def is_known(self) -> bool:
        """Whether the whole config is there."""
        return bool(self.settings)

    @property
    def tuned(self) -> dict[str, Any] | None:
        """What its trials chose, where every run was tuned."""
        return self.runs[0].tuned if all(run.tuned for run in self.runs) else None

    @property
    def diverged(self) -> int:
        """How many of its runs diverged."""
        return sum(run.has_diverged for run in self.runs)

    @property
    def begins_random(self) -> bool:
        """Whether none of its weights came from a source."""
        return self.is_control or self.settings.get("reuse") is False or (self.mode == "scratch" and not self.is_known)


@dataclass(frozen=True)
class ArmGroup:
    """A baseline and the arms that stand beside it."""

    baseline: Arm | None
    arms: tuple[Arm, ...]  # without the baseline
    setting: frozenset[str]  # the baseline's; without a baseline the arms' own
    apart: tuple[
        SettingDifference, ...
    ] = ()  # from the nearest arm of the baseline's mode, where none may be compared with


def setting_of(overrides: Iterable[str]) -> frozenset[str]:
    """The overrides that make an arm's setting: all but mode, control, seed, fold, and what does not change results."""
    return frozenset(text for text in overrides if not _is_outside(text))


def arms_of(runs: Iterable[FinishedRun]) -> tuple[tuple[Arm, ...], tuple[LeftOutRun, ...]]:
    """The arms, and the runs that a later run of the same arm, seed and fold replaces.

    Two such runs differ in what overrides do not show (a changed YAML): the one finished last counts.
    """
    by_arm: dict[tuple[str, bool, frozenset[str]], dict[Replicate, FinishedRun]] = {}
    replaced: list[LeftOutRun] = []
    for run in sorted(runs, key=finished_at):
        of_arm = by_arm.setdefault((run.mode, run.is_control, setting_of(run.overrides)), {})
        if run.replicate in of_arm:
            why = f"{run.folder.name} has the same overrides and seed and finished later"
            replaced.append(LeftOutRun(of_arm[run.replicate].folder, "replaced", why))
        of_arm[run.replicate] = run
    arms = (
        Arm(mode, setting, tuple(of_arm[key] for key in sorted(of_arm, key=_order)), is_control)
        for (mode, is_control, setting), of_arm in by_arm.items()
    )
    return tuple(sorted(arms, key=lambda arm: (sorted(arm.setting), arm.mode, arm.is_control))), tuple(replaced)


def left_out(label: str, dropped: Sequence[Replicate]) -> str:
    """That an arm and its baseline do not have these seeds both, so that they are in no comparison."""
    if all(replicate.fold is None for replicate in dropped):
        word = "seed" if len(dropped) == 1 else "seeds"
        text = f"{word} {', '.join(str(replicate.seed) for replicate in dropped)}"
    else:
        text = ", ".join(map(str, dropped))
    return f"{label}: {text} left out of the comparison, in one of the two arms only."


def differences_of(ours: Arm, theirs: Arm, *, without: tuple[str, ...] = ()) -> tuple[SettingDifference, ...]:
    """What two arms do not share besides where their weights come from; of two tuned arms without what was tuned.

    Where one of the two has no config, what the overrides of both say.
    """
    known = ours.is_known and theirs.is_known
    settings = (arm.settings if known else of_overrides(arm.runs[0].overrides) for arm in (ours, theirs))
    return differences(*settings, without=(*without, *_tuned_keys(ours, theirs)))


def shown_differences(differences: Iterable[SettingDifference]) -> tuple[SettingDifference, ...]:
    """Those that a reader wants to know besides the mode."""
    return tuple(difference for difference in differences if difference.key not in _OF_THE_MODE)


def control_of(arm: Arm, arms: Iterable[Arm]) -> Arm | None:
    """The arm with the same recipe and random weights: its own control, else another that differs in nothing else."""
    if arm.begins_random or not arm.is_known:
        return None
    random = [other for other in arms if other is not arm and other.begins_random and other.is_known]
    candidates = [other for other in random if not differences_of(arm, other)]
    return max(candidates, key=lambda candidate: (candidate.mode == arm.mode, _shared(arm, candidate)), default=None)


def groups_of(
    arms: Iterable[Arm], baseline: str, *, without: tuple[str, ...] = (), strict: bool = False
) -> tuple[ArmGroup, ...]:
    """Each arm beside its baseline: of the arms in the baseline's mode that share data, network and budget the nearest.

    Nearest is what differs in the fewest settings, of equals what shares the most overrides. without: settings that may
    differ besides. strict: nothing else may differ. Arms without such a baseline form groups by their own setting, with
    baseline None.
    """
    arms = tuple(arms)
    baselines = [arm for arm in arms if arm.mode == baseline and not arm.is_control]
    members: dict[int, list[Arm]] = {i: [] for i in range(len(baselines))}
    alone: dict[frozenset[str], list[Arm]] = {}
    apart: dict[frozenset[str], tuple[SettingDifference, ...]] = {}
    for arm in arms:
        if any(arm is other for other in baselines):
            continue
        gaps = [(i, differences_of(arm, other, without=without)) for i, other in enumerate(baselines)]
        near = [(i, gap) for i, gap in gaps if not any(strict or other.is_of_the_task for other in gap)]
        if near:
            best = min(near, key=lambda item: (len(item[1]), -_shared(arm, baselines[item[0]])))
            members[best[0]].append(arm)
            continue
        alone.setdefault(arm.setting, []).append(arm)
        if gaps:
            nearest = min(gaps, key=lambda item: sum(strict or other.is_of_the_task for other in item[1]))
            apart[arm.setting] = tuple(other for other in nearest[1] if strict or other.is_of_the_task)
    groups = [ArmGroup(baselines[i], tuple(gaps), baselines[i].setting) for i, gaps in members.items()]
    groups += [ArmGroup(None, tuple(gaps), setting, apart.get(setting, ())) for setting, gaps in alone.items()]
    return tuple(sorted(groups, key=lambda g: (g.baseline is None, _natural(g.setting))))


def finished_at(run: FinishedRun | LevelsResult) -> tuple[float, str]:
    """A key that sorts what finished first before what finished last."""
    try:
        return (run.folder / "result.json").stat().st_mtime, str(run.folder)
    except OSError:
        return 0.0, str(run.folder)


def _tuned_keys(*arms: Arm) -> tuple[str, ...]:
    """What trials chose, where all of the arms were tuned; else nothing."""
    searches = [arm.tuned for arm in arms]
    if any(search is None for search in searches):
        return ()
    return tuple(dict.fromkeys(key for search in searches for key in ((search or {}).get("chosen") or {})))


def _shared(arm: Arm, baseline: Arm) -> int:
    """The overrides that both have, less those that the baseline alone has."""
    return len(arm.setting & baseline.setting) - len(baseline.setting - arm.setting)


def _is_outside(override: str) -> bool:
    key = override.split("=", 1)[0].lstrip("+~")
    return key == "target.fold" or key.split(".")[0].split("/")[0].split("@")[0] in _NOT_AN_ARM


def _order(replicate: Replicate) -> tuple[int, int]:
    return replicate.seed, -1 if replicate.fold is None else replicate.fold


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
