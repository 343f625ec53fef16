"""Equal tuning: each arm tries the same number of settings on val, on seeds of their own, before its runs."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval, Len, MinLen
from omegaconf import DictConfig, OmegaConf, open_dict
from scipy.stats import qmc

from headstart.recipes.recipe_values import TUNED, is_said, said_keys
from headstart.recipes.shortened_config import Length, lengths, shortened
from headstart.recipes.trial_runs import Trial, all_there, rows, see_to, trains_here, trial_of
from headstart.report.analysis.finished_runs import FinishedRun, run_in
from headstart.report.curves.learning_curve import lower_is_better
from headstart.runs.assembly import adaptation_of
from headstart.runs.top_level_settings import Seed
from headstart.runs.weights.source_model import developed, waits_for_source
from headstart.system import rank_environment
from headstart.types import UserError

log = logging.getLogger(__name__)
RATE, DECAY, STAGES = "optimizer.lr", "optimizer.weight_decay", "module.stage_decay"
DIMENSIONS = (RATE, DECAY, STAGES)  # of the points: an arm without one of them has the others' values all the same
# so that the first points lie near both ends of the space too, and leave a gap where the config's own value usually is
SHIFT = (0.7, 0.05, 0.08)
LENGTHS = ("max_epochs", "max_steps")
EDGE = 0.1  # of a space's logarithmic length: what lies so near its end may lie beyond it
LAST_SHARE, LEAST_LAST = 0.1, 3  # of a trial's evaluations, whose mean is its figure; at most half of them
PICTURES = ("figures", "domains", "explain")  # callbacks that a trial goes without
LOGGER = {
    "csv": {
        "_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "${run_dir}", "name": "", "version": "",
    }
}  # fmt: skip
Bounds = Annotated[list[Annotated[float, Gt(0)]], Len(2, 2)]
Space = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class TrialScore:
    """How good a trial, or a setting over several seeds, is. figure: None where training diverged."""

    figure: float | None
    loss: float = math.inf

    def key(self, *, lower: bool) -> tuple[float, float]:
        """What sorts the best first."""
        if self.figure is None:
            return math.inf, math.inf
        return self.figure if lower else -self.figure, self.loss


@dataclass(frozen=True)
class Rung:
    """The settings that were tried at a length. scores, trials: by the setting's number."""

    trials: Mapping[int, Sequence[Trial]]
    results: Mapping[int, Sequence[Mapping[str, Any]]]
    each: Mapping[int, Sequence[TrialScore]]
    scores: Mapping[int, TrialScore]

    def ranked(self, *, lower: bool) -> list[int]:
        """The settings' numbers, the best first; of equals the earlier."""
        return sorted(self.scores, key=lambda number: (*self.scores[number].key(lower=lower), number))


def equal(
    *,
    cfg: DictConfig,
    processes: int,
    trials: Annotated[int, Ge(2)],
    seeds: Annotated[list[Seed], MinLen(1)],
    lr: Literal["auto"] | Bounds | None,
    weight_decay: Literal["auto"] | Bounds | None,
    stage_decay: Annotated[list[Annotated[float, Interval(gt=0, le=1)]], Len(2, 2)] | None,
    times: Bounds,
    halving: Annotated[list[Annotated[float, Interval(gt=0, le=1)]], MinLen(1)],
    shortest: Annotated[int, Ge(1)],
) -> dict[str, Any]:
    """The values that are best for this arm among `trials` settings of its space, and what was tried.

    The first setting is the config's own; the others are points of a Halton sequence, the same in all arms, spread
    over the logarithms of the space. What the command line sets is not varied. Each setting is trained at the first
    length of halving, the better half (rounded up) at the next, and so on; the best at the last is chosen (successive
    halving: Jamieson & Talwalkar 2016, arXiv:1502.07943). A trial of a share of the length is a run of its own, whose
    schedules are as much shorter; the figure is the mean of its last evaluations on val (a tenth, 3 at least, half at
    most), over the seeds. Ties go to the lower val loss, then to the earlier setting; a diverged trial is the worst.

    A trial never looks at test. It does not depend on the run's seed, so all seeds and studies share it. For
    task=plan nothing is trained.

    Args:
        cfg: The run's, its recipe settled.
        processes: That share each batch of the run; a trial accumulates the batches of as many.
        trials: Settings.
        seeds: Of the trials; with several each setting is trained with each, and the mean decides.
        lr: Bounds of optimizer.lr; auto for the config's value times `times`, None to leave it.
        weight_decay: The same of optimizer.weight_decay; auto leaves 0 as it is.
        stage_decay: Bounds of module.stage_decay, where the source's stages learn (trainable=all, trainable=schedule).
        times: Factors.
        halving: Shares of the run's length.
        shortest: Epochs at least; where trainer.max_steps alone says how long the run is, optimizer steps.

    Raises UserError where the run's seed is one of the trials', bounds do not rise, nobody knows how long the run is,
    or nothing says how good it is.
    """
    _check(cfg, seeds)
    space = space_of(cfg, lr=lr, weight_decay=weight_decay, stage_decay=stage_decay, times=times)
    if not space:
        if rank_environment.rank() == 0:
            log.warning("tuning: nothing to try, as the command line or tuning=... leaves no value of this arm open")
        return {TUNED: _told({}, [{}], [], seeds, lower=False, by=None)}
    settings = settings_of(cfg, space, trials)
    base = _base(cfg, processes)
    going, rungs = list(range(trials)), list[Rung]()
    by, lower = "", False
    for length in lengths(base.trainer, halving, shortest):
        asked = {n: [_trial(base, settings[n], seed, length) for seed in seeds] for n in going}
        flat = [trial for each in asked.values() for trial in each]
        if cfg.task == "plan" and not all_there(flat):
            log.info("tuning: some trials are not trained yet; this is the plan of the setting that the config has")
            return {}
        _see_to_source(cfg, processes)
        found = see_to(flat, cfg, processes=processes)
        results = {n: found[place * len(seeds) : (place + 1) * len(seeds)] for place, n in enumerate(going)}
        by, lower = _followed(found[0])
        each = {n: [_score(t, r, by) for t, r in zip(asked[n], results[n], strict=True)] for n in going}
        rungs.append(Rung(asked, results, each, {n: _mean(scores) for n, scores in each.items()}))
        going = sorted(rungs[-1].ranked(lower=lower)[: math.ceil(len(going) / 2)])
    told = _told(space, settings, rungs, seeds, lower=lower, by=by)
    if rank_environment.rank() == 0:
        log.info("%s\n%s", table(space, settings, rungs, by, lower=lower), _cost(told["cost"], rungs))
        for key in told["border"]:
            log.warning("%s", _at_border(key, told["chosen"][key], space[key]))
    return {**told["chosen"], TUNED: told}


def space_of(
    cfg: DictConfig,
    *,
    lr: Literal["auto"] | Sequence[float] | None,
    weight_decay: Literal["auto"] | Sequence[float] | None,
    stage_decay: Sequence[float] | None,
    times: Sequence[float],
) -> dict[str, tuple[float, float]]:
    """Which values the arm of a config may vary, and between which bounds.

    Values of scratch, and of modes whose stages stay as they are, do not include module.stage_decay. Raises
    UserError where bounds do not rise.
    """
    learns = bool(cfg.reuse) and cfg.trainable in ("all", "schedule")
    wanted = {RATE: lr, DECAY: weight_decay, STAGES: stage_decay if learns else None}
    said = said_keys()
    found = {}
    for key, bounds in wanted.items():
        value = OmegaConf.select(cfg, key)
        if bounds is None or isinstance(value, bool) or not isinstance(value, int | float) or is_said(key, said):
            continue
        if bounds == "auto" and value <= 0:
            continue
        low, high = (value * times[0], value * times[1]) if bounds == "auto" else (float(one) for one in bounds)
        if not 0 < low < high:
            raise UserError(
                f"a space needs two rising bounds above 0, got {low:g} to {high:g} for {key}; "
                f"try tuning.{key.rpartition('.')[2]}=[1e-4,1e-2]"
            )
        found[key] = (_rounded(low), _rounded(high))
    return found


def settings_of(cfg: DictConfig, space: Space, count: int) -> list[dict[str, float]]:
    """The config's own values, then count - 1 others: points of the shifted Halton sequence on the space's logarithms.

    The points are the same for all spaces; those of fewer settings are the first of more. Cranley & Patterson 1976,
    Randomization of Number Theoretic Methods for Multiple Integration (the shift, here a fixed one).
    """
    own = {key: OmegaConf.select(cfg, key) for key in space}
    # unscrambled: in three dimensions it is even as it is, and the same in every version of scipy
    points = (qmc.Halton(d=len(DIMENSIONS), scramble=False).random(count - 1) + SHIFT) % 1
    others = [
        {key: _rounded(low * (high / low) ** point[DIMENSIONS.index(key)]) for key, (low, high) in space.items()}
        for point in points
    ]
    return [own, *others]


def at_border(space: Space, chosen: Mapping[str, float]) -> list[str]:
    """The keys whose chosen value lies in the outer tenth of its logarithmic range, or outside.

    The upper end of module.stage_decay at 1 is none: all stages have the head's rate there.
    """
    found = []
    for key, (low, high) in space.items():
        place = math.log(chosen[key] / low) / math.log(high / low)
        if place <= EDGE or (place >= 1 - EDGE and not (key == STAGES and high >= 1)):
            found.append(key)
    return found


def table(space: Space, settings: Sequence[Mapping[str, float]], rungs: Sequence[Rung], by: str, *, lower: bool) -> str:
    """The settings as lines, with the figure at each length; the chosen one is marked."""
    last = rungs[-1].ranked(lower=lower)[0]
    cells = [[*space, *(_length(rung) for rung in rungs), ""]]
    for number, values in enumerate(settings):
        figures = [_shown(rung.scores.get(number)) for rung in rungs]
        cells.append([*(f"{values[key]:g}" for key in space), *figures, "chosen" if number == last else ""])
    seeds = len(rungs[0].trials[0])
    over = f", over {seeds} seeds" if seeds > 1 else ""
    head = f"{len(settings)} settings tried, by {by} (mean of the last evaluations{over}):"
    return "\n".join([head, *(f"  {line}" for line in rows(cells))])


def _check(cfg: DictConfig, seeds: Sequence[int]) -> None:
    if cfg.seed in seeds:
        free = max([cfg.seed, *seeds]) + 1000
        raise UserError(
            f"the trials' seeds must be others than the runs', got seed={cfg.seed} and tuning.seeds={list(seeds)}; "
            f"try tuning.seeds=[{free}]"
        )
    adaptation = adaptation_of(cfg)
    if adaptation is not None and adaptation.main == "unlabelled" and not cfg.get("selection"):
        raise UserError(
            "tuning needs a figure to choose by, and val of this adaptation, which is the source's, falls while the "
            "model becomes the target's; try selection=infomax"
        )


def _followed(result: Mapping[str, Any]) -> tuple[str, bool]:
    """The figure that a run is judged by, and whether less of it is better."""
    selection = result.get("selection") or {}
    if selection.get("mode") in ("max", "min"):
        return str(selection["figure"]), selection["mode"] == "min"
    monitor = str(result["monitor"])
    return monitor, lower_is_better(monitor)


def _base(cfg: DictConfig, processes: int) -> DictConfig:
    """What all trials of a run share: its config on one device, without what looks at test and what draws."""
    plain = deepcopy(cfg)
    with open_dict(plain):
        plain.pop("tuning")
        plain.logger = LOGGER
        for name in PICTURES:
            plain.callbacks.pop(name, None)
        for key in ("oracle", "start_class_means"):
            if key in plain:
                plain[key] = False
        if processes > 1:  # the gradients of as many batches are averaged in either case
            trainer = plain.trainer
            trainer.accumulate_grad_batches = processes * int(trainer.get("accumulate_grad_batches") or 1)
            if isinstance(trainer.get("val_check_interval"), int):
                trainer.val_check_interval *= processes
    return plain


def _see_to_source(cfg: DictConfig, processes: int) -> None:
    """Train the source model that all share before a trial would, which keeps no pictures and no TensorBoard events."""
    shared = cfg.reuse and str(cfg.weights.get("_target_")).endswith(".source_weights")
    if shared and not cfg.get("control") and trains_here(processes) and waits_for_source(cfg):
        developed(cfg)


def _trial(base: DictConfig, values: Mapping[str, float], seed: int, length: Length) -> Trial:
    plain = deepcopy(base)
    with open_dict(plain):
        plain.seed = seed
        for key, value in values.items():
            OmegaConf.update(plain, key, value)
    plain = shortened(plain, length)
    name = [f"{key}={plain.trainer[key]}" for key in LENGTHS if (plain.trainer.get(key) or -1) > 0]
    return trial_of(plain, values, name=[*name, f"seed={seed}"])


def _score(trial: Trial, result: Mapping[str, Any], by: str) -> TrialScore:
    """The mean of a trial's last evaluations. Raises UserError where it has none."""
    if result.get("state") == "diverged":
        return TrialScore(None)
    run = run_in(trial.folder)
    trained = [row for step, row in run.rows.items() if step > 0 and by in row] if isinstance(run, FinishedRun) else []
    if not trained:
        raise UserError(
            f"the trial in {trial.folder} has no {by} after its first step; let runs validate more often: "
            "trainer.check_val_every_n_epoch=1, or null with trainer.val_check_interval in batches"
        )
    count = min(max(LEAST_LAST, math.ceil(LAST_SHARE * len(trained))), math.ceil(len(trained) / 2))
    figure = _average([row[by] for row in trained[-count:]])
    loss = _average([row["val/loss"] for row in trained[-count:] if "val/loss" in row])
    return TrialScore(figure, loss) if math.isfinite(figure) and not math.isnan(loss) else TrialScore(None)


def _mean(scores: Sequence[TrialScore]) -> TrialScore:
    figures = [score.figure for score in scores if score.figure is not None]
    if len(figures) < len(scores):
        return TrialScore(None)
    return TrialScore(_average(figures), _average([score.loss for score in scores]))


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.inf


def _told(
    space: Space,
    settings: Sequence[Mapping[str, float]],
    rungs: Sequence[Rung],
    seeds: Sequence[int],
    *,
    lower: bool,
    by: str | None,
) -> dict[str, Any]:
    """What result.json says of the tuning."""
    best = rungs[-1].ranked(lower=lower)[0] if rungs else 0
    chosen = dict(settings[best])
    results = [result for rung in rungs for result in _results(rung)]
    tried = []
    for place, rung in enumerate(rungs):
        went_on = rungs[place + 1].trials if place + 1 < len(rungs) else rung.trials
        for number, trials in rung.trials.items():
            for seed, trial, result, score in zip(seeds, trials, rung.results[number], rung.each[number], strict=True):
                state = "diverged" if score.figure is None else "finished" if number in went_on else "pruned"
                tried.append(
                    {
                        "values": dict(settings[number]),
                        "seed": seed,
                        "epochs": result["evaluations"][-1]["epoch"],
                        "steps": result["steps"],
                        "figure": score.figure,
                        "folder": trial.folder.as_posix(),
                        "state": state,
                    }
                )
    return {
        "trials": len(settings),
        "seeds": list(seeds),
        "by": by,
        "space": {key: list(bounds) for key, bounds in space.items()},
        "chosen": chosen,
        "border": at_border(space, chosen),
        "tried": tried,
        "cost": {
            "wall_s": round(sum(result["wall_s"] for result in results), 4),
            "examples": sum(result["examples"] for result in results),
            "steps": sum(result["steps"] for result in results),
            "runs": len(results),
        },
    }


def _cost(cost: Mapping[str, Any], rungs: Sequence[Rung]) -> str:
    """In words, beside the trials at the greatest length."""
    longest = max(1, *(result["steps"] for result in _results(rungs[-1])))  # one that diverged has ended early
    return (
        f"  they cost as much as {cost['steps'] / longest:.2g} trials of full length ({cost['runs']} trials, "
        f"{cost['wall_s']:.0f} s), once for all seeds and studies"
    )


def _length(rung: Rung) -> str:
    epochs = max(result["evaluations"][-1]["epoch"] for result in _results(rung))
    steps = max(result["steps"] for result in _results(rung))
    cfg = next(iter(rung.trials.values()))[0].cfg
    by_epochs = (cfg.trainer.get("max_epochs") or -1) > 0
    return f"{epochs:g} epoch{'' if epochs == 1 else 's'}" if by_epochs else f"{steps} steps"


def _results(rung: Rung) -> list[Mapping[str, Any]]:
    return [result for each in rung.results.values() for result in each]


def _shown(score: TrialScore | None) -> str:
    if score is None:
        return ""
    return "diverged" if score.figure is None else f"{score.figure:.3f}"


def _rounded(value: float) -> float:
    """Four digits: what stands in the folder's name is what was tried, on every machine."""
    return float(f"{value:.4g}")


def _at_border(key: str, value: float, bounds: tuple[float, float]) -> str:
    low, high = bounds
    if value < math.sqrt(low * high):
        wider = (low / 10, high)
    else:
        wider = (low, min(1.0, 10 * high) if key == STAGES else 10 * high)
    return (
        f"the chosen {key}={value:g} lies at the border of what was tried ({low:g} to {high:g}), and beyond it may lie "
        f"a better one; try tuning.{key.rpartition('.')[2]}=[{wider[0]:g},{wider[1]:g}]"
    )
