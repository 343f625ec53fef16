"""The task `choose`: from images to a model in a given time, over candidates, modes and rates."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval, Len, MinLen
from omegaconf import DictConfig

from headstart.callbacks.training.divergence import divergence_message
from headstart.recipes.search_space import Bounds
from headstart.report.rendering.choice_page import choice_markdown, choice_text
from headstart.runs.candidates.candidate_check import available
from headstart.runs.candidates.choosing.arm import ComparedArm, composed_arms, develop_sources
from headstart.runs.candidates.choosing.choice_picture import choice_figure
from headstart.runs.candidates.choosing.choice_record import candidate_entries, pareto_entries, trial_entries
from headstart.runs.candidates.choosing.chosen_model import (
    MODEL,
    ModelChoice,
    choice_of,
    chosen_model,
    ended_early,
    noted_choice,
)
from headstart.runs.candidates.choosing.earlier_choice import forget_earlier
from headstart.runs.candidates.choosing.model_commands import model_commands
from headstart.runs.candidates.choosing.narrowing import narrowed, note_narrowing, noted_narrowing
from headstart.runs.candidates.choosing.time_left import TimeLeft, seconds_of
from headstart.runs.candidates.choosing.timed_halving import Halving, timed_halving
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import finished_or
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.folder.run_naming import Hashes, job_overrides
from headstart.runs.outcome.library_versions import versions
from headstart.runs.outcome.result_pictures import picture_loggers, show_in
from headstart.runs.probing.frozen_features import NO_SOURCE, check_before, result_origin
from headstart.runs.quiet_logs import quieten
from headstart.runs.training.missing_validation import check_chooses_on_val
from headstart.runs.training.run_trainer import needed_processes
from headstart.system import rank_environment
from headstart.system.files.atomic_write import write_whole
from headstart.system.metric_direction import lower_is_better
from headstart.system.printing.terminal_printing import tell
from headstart.types import DivergedError, UserError

log = logging.getLogger(__name__)
PAGE, PICTURE = "choice.md", "choice.png"
Share = Annotated[float, Interval(gt=0, lt=1)]


def choose(
    *,
    cfg: DictConfig,
    time: str | float,
    candidates: Annotated[list[str], MinLen(1)],
    modes: Annotated[list[str], MinLen(1)],
    settings: Annotated[int, Ge(1)],
    times: Bounds,
    keep: Annotated[int, Ge(1)],
    halving: Annotated[list[Annotated[float, Interval(gt=0, le=1)]], Len(1, 4)],
    shortest: Annotated[int, Ge(1)],
    seed: Annotated[int, Ge(0)],
    scores_share: Share,
    trials_share: Share,
    unavailable: Literal["error", "skip"],
) -> float:
    """Find a model for the target in a given time -> its val metric.

    Candidates are narrowed by their speed and by a score of their features; each that goes on is tried in each mode at
    several rates, by successive halving over epochs; the best on val is trained for what is left of the time, and
    tested once. What was tried, what was dropped and why, and the commands that make the model again, are printed and
    written to result.json and choice.md; the model is a run's folder, model/ below.

    Args:
        cfg: The composed config.
        time: Of everything: a number of seconds, or a text as 30min.
        candidates: Source models, as task=rank_sources takes them; `command` is the command's own.
        modes: As mode= has them.
        settings: Of each arm.
        times: Factors of the learning rate.
        keep: Candidates that are trained, at most.
        halving: Rising shares of the run's length.
        shortest: Epochs of a trial at least.
        seed: Of the trials.
        scores_share: Of the time, until which candidates are scored.
        trials_share: Of the time, until which trials are trained.
        unavailable: What is done about a candidate whose weights cannot be had.

    Raises:
        UserError: A value is out of place, a candidate cannot be composed, or none can be had.
        DivergedError: Training of the chosen model diverged.
    """
    if rank_environment.rank() > 0:
        return math.nan
    quieten()
    seconds = seconds_of(time, "choose.time")
    _check(cfg, halving, seed, (scores_share, trials_share))

    def make(folder: Path, config_hashes: Hashes) -> dict[str, Any]:
        chosen = ChoiceSettings(
            seconds=seconds, candidates=candidates, modes=modes, settings=settings, times=times, keep=keep,
            halving=sorted(halving), shortest=shortest, seed=seed, scores_share=scores_share,
            trials_share=trials_share, skip=unavailable == "skip",
        )  # fmt: skip
        return _chosen(cfg, folder, config_hashes.now, chosen)

    result = finished_or(cfg, make, again="chooses")
    tell(f"{choice_text(result)}\n  all tables: {Path(cfg.run_dir) / PAGE}")
    return _value(result)


def _value(result: dict[str, Any]) -> float:
    """The model's val metric. Raises DivergedError where its training diverged."""
    if result.get("state") == "diverged":
        told = divergence_message(result.get("divergence") or {}, "optimizer.lr")
        raise DivergedError(f"{result['name']}: the chosen model: {told}; rerun=true chooses again")
    value = result["metrics"].get(result["monitor"])
    return math.nan if value is None else float(value)


@dataclass(frozen=True)
class ChoiceSettings:
    """The settings of the task, its time in seconds."""

    seconds: float
    candidates: Sequence[str]
    modes: Sequence[str]
    settings: int
    times: Sequence[float]
    keep: int
    halving: Sequence[float]
    shortest: int
    seed: int
    scores_share: float
    trials_share: float
    skip: bool


def _chosen(cfg: DictConfig, folder: Path, digest: str, chosen: ChoiceSettings) -> dict[str, Any]:
    """The content of result.json, written with the page and the picture."""
    # every arm is composed before the first one is computed
    arms = composed_arms(cfg, chosen.candidates, chosen.modes, settings=chosen.settings, times=chosen.times)
    folder.mkdir(parents=True, exist_ok=True)
    write_mark(folder, digest, asked=digest)
    if cfg.get("rerun"):
        forget_earlier(folder)
    time_left = TimeLeft(folder, chosen.seconds)
    sources = {arm.candidate: arm.source for arm in arms}
    check_before(arms[0].source.cfg, check=lambda _: None)  # any labels will do, but there must be images to train on
    usable, missing = available([*sources.values()], skip=chosen.skip)
    narrowing = noted_narrowing(usable, folder)
    if narrowing is None:
        narrowing = narrowed(usable, time_left, share=chosen.scores_share, keep=chosen.keep, seed=int(cfg.seed))
        note_narrowing(narrowing, usable, folder)
    scores_s = time_left.spent
    time_left.note()
    kept = {candidate.text for candidate in narrowing.kept}
    arms = [arm for arm in arms if arm.candidate in kept]
    develop_sources(arms, seed=chosen.seed)
    sources_s = time_left.spent - scores_s
    time_left.note()
    tried = timed_halving(
        arms, time_left, seed=chosen.seed, shares=chosen.halving, shortest=chosen.shortest, until=chosen.trials_share
    )  # fmt: skip
    trials_s = time_left.spent - scores_s - sources_s
    arm, choice = _choice(arms, tried, folder, time_left)
    model = chosen_model(arm, choice, folder, time_left)
    time_left.note()
    result = {
        **result_origin(cfg, folder, NO_SOURCE),
        "metrics": model["metrics"],
        "state": model.get("state"),
        "divergence": model.get("divergence"),
        "monitor": str(model["monitor"]),
        "lower": lower_is_better(str(model["monitor"])),
        "chosen": asdict(choice),
        "model": MODEL,
        "ended_early": ended_early(choice, model),
        "commands": model_commands(arm, choice, folder / MODEL),
        "candidates": candidate_entries(narrowing, missing),
        "pareto": pareto_entries(arms, tried, narrowing.speeds),
        "trials": trial_entries(arms, tried),
        "sizes": model["sizes"],
        "time": {
            "given_s": chosen.seconds,
            "scores_s": scores_s,
            "sources_s": sources_s,
            "trials_s": trials_s,
            "model_s": time_left.spent - scores_s - sources_s - trials_s,
            "spent_s": time_left.spent,
        },
        "picture": PICTURE,
        "versions": versions(),
    }
    _write(cfg, folder, result)
    return result


def _choice(
    arms: Sequence[ComparedArm], tried: Halving, folder: Path, time_left: TimeLeft
) -> tuple[ComparedArm, ModelChoice]:
    """The arm that is trained in the end, and how: what an earlier process has begun, or the best on val."""
    noted = noted_choice(folder)
    by_name = {(arm.candidate, arm.mode): arm for arm in arms}
    if noted is not None and (noted.candidate, noted.mode) in by_name:
        return by_name[noted.candidate, noted.mode], noted
    best = next(iter(tried.ranked()), None)
    arm = arms[best.pair.arm if best else 0]
    return arm, choice_of(arm, best, time_left)


def _check(cfg: DictConfig, halving: Sequence[float], seed: int, shares: tuple[float, float]) -> None:
    """Raise UserError where values do not go together."""
    if shares[0] >= shares[1]:
        raise UserError(
            f"choose.trials_share must be above choose.scores_share, got {shares[1]:g} and {shares[0]:g}: both are "
            "shares of the time from its beginning"
        )
    if len(set(halving)) < len(halving):
        raise UserError(f"choose.halving must name each share once, got {list(halving)}")
    if seed == cfg.seed:
        raise UserError(
            f"the trials' seed must be another one than the model's, got seed={cfg.seed} and choose.seed={seed}; "
            f"try choose.seed={seed + 1000}"
        )
    if any(override.startswith(("mode=", "+mode=", "control=")) for override in job_overrides()):
        raise UserError("choose.modes says which modes are tried; leave mode= and control= out")
    check_chooses_on_val(cfg, "choose")
    if cfg.get("adaptation"):
        raise UserError(
            "task=choose compares models by the labels of val, which an adaptation has none of; leave it out"
        )
    if needed_processes(cfg.trainer) > 1:
        raise UserError("task=choose trains on one device; try trainer.devices=1 and trainer.num_nodes=1")


def _write(cfg: DictConfig, folder: Path, result: dict[str, Any]) -> None:
    """The picture, as a file and in the loggers, the page, and result.json."""
    figure = choice_figure(result)
    figure.savefig(folder / PICTURE, dpi=110)
    show_in(picture_loggers(cfg), "choose", {"costs": figure}, choice_text(result))
    write_whole(folder / PAGE, choice_markdown(result))
    write_json(folder / RESULT, result)
