"""Equal tuning: each arm tries the same number of settings on val, on seeds of their own, before its runs."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval, Len, MinLen
from omegaconf import DictConfig, OmegaConf, open_dict

from headstart.recipes.recipe_values import TUNED
from headstart.recipes.search_space import Bounds, border_warning, settings_of, space_of
from headstart.recipes.shortened_config import Length, lengths, shortened
from headstart.recipes.trial_runs import (
    Trial,
    all_finished,
    trains_in_this_process,
    trial_of,
    trial_results,
    without_pictures,
)
from headstart.recipes.trial_scores import Rung, monitored_metric, rung_of
from headstart.recipes.tuning_record import Search, cost_line, tuning_lines, tuning_record
from headstart.runs.model_parts.assembly import adaptation_of
from headstart.runs.top_level_settings import Seed
from headstart.runs.weights.source_model import developed, waits_for_source
from headstart.system import rank_environment
from headstart.types import UserError

log = logging.getLogger(__name__)
LENGTHS = ("max_epochs", "max_steps")


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
    halving: Jamieson & Talwalkar 2016, arXiv:1502.07943). A setting's value is the mean of its last evaluations on val
    (a tenth, 3 at least, half at most), over the seeds. Ties go to the lower val loss, then to the earlier setting; a
    diverged trial is the worst. A trial never looks at test, and all seeds and studies share it.

    Args:
        cfg: The run's config, its recipe applied.
        processes: That share each batch of the run; a trial accumulates the batches of as many.
        trials: Settings to try.
        seeds: Of the trials; with several each setting is trained with each, and the mean decides.
        lr: Bounds of optimizer.lr; auto for the config's value times `times`, None to leave it.
        weight_decay: The same of optimizer.weight_decay; auto leaves 0 as it is.
        stage_decay: Bounds of module.stage_decay, for modes whose source stages learn (trainable=all or schedule).
        times: Factors, for auto.
        halving: Shares of the run's length.
        shortest: Epochs at least; where trainer.max_steps alone says how long the run is, optimizer steps.
    """
    _check(cfg, seeds)
    space = space_of(cfg, lr=lr, weight_decay=weight_decay, stage_decay=stage_decay, times=times)
    if not space:
        if rank_environment.rank() == 0:
            log.warning("tuning: nothing to try, as the command line or tuning=... leaves no value of this arm open")
        return {TUNED: tuning_record(Search({}, [{}], seeds, [], None, lower=False))}
    settings = settings_of(cfg, space, trials)
    rungs = _successive_halving(cfg, settings, seeds, halving, shortest, processes)
    if rungs is None:
        log.info("tuning: some trials are not trained yet; this is the plan of the setting that the config has")
        return {}
    metric, lower = monitored_metric(rungs[-1].all_results[0])
    search = Search(space, settings, seeds, rungs, metric, lower=lower)
    record = tuning_record(search)
    if rank_environment.rank() == 0:
        log.info("%s\n%s", tuning_lines(search), cost_line(record["cost"], rungs))
        for key in record["border"]:
            log.warning("%s", border_warning(key, record["chosen"][key], space[key]))
    return {**record["chosen"], TUNED: record}


def _successive_halving(
    cfg: DictConfig,
    settings: Sequence[Mapping[str, float]],
    seeds: Sequence[int],
    halving: Sequence[float],
    shortest: int,
    processes: int,
) -> list[Rung] | None:
    """The settings at each length, the better half at the next; None for task=plan where trials are not trained."""
    base = _base(cfg, processes)
    remaining, rungs = list(range(len(settings))), list[Rung]()
    for length in lengths(base.trainer, halving, shortest):
        trials = {number: [_trial(base, settings[number], seed, length) for seed in seeds] for number in remaining}
        every = [trial for of_setting in trials.values() for trial in of_setting]
        if cfg.task == "plan" and not all_finished(every):
            return None
        _train_source(cfg, processes)
        results = trial_results(every, cfg, processes=processes)
        metric, lower = monitored_metric(results[0])
        rungs.append(rung_of(trials, results, metric))
        remaining = sorted(rungs[-1].ranked(lower=lower)[: math.ceil(len(remaining) / 2)])
    return rungs


def _check(cfg: DictConfig, seeds: Sequence[int]) -> None:
    """Raise UserError where the run's seed is one of the trials', or nothing says how good a trial is."""
    if cfg.seed in seeds:
        free = max([cfg.seed, *seeds]) + 1000
        raise UserError(
            f"the trials' seeds must be others than the runs', got seed={cfg.seed} and tuning.seeds={list(seeds)}; "
            f"try tuning.seeds=[{free}]"
        )
    adaptation = adaptation_of(cfg)
    if adaptation is not None and adaptation.main == "unlabelled" and not cfg.get("selection"):
        raise UserError(
            "tuning needs a metric to choose by, and val of this adaptation, which is the source's, falls while the "
            "model becomes the target's; try selection=infomax"
        )


def _base(cfg: DictConfig, processes: int) -> DictConfig:
    """The config that all trials of a run share: on one device, without pictures and without what looks at test."""
    base = without_pictures(cfg)
    with open_dict(base):
        base.pop("tuning")
        for key in ("oracle", "forgetting"):
            if key in base:
                base[key] = False
        if processes > 1:  # the gradients of as many batches are averaged in either case
            trainer = base.trainer
            trainer.accumulate_grad_batches = processes * int(trainer.get("accumulate_grad_batches") or 1)
            if isinstance(trainer.get("val_check_interval"), int):
                trainer.val_check_interval *= processes
    return base


def _train_source(cfg: DictConfig, processes: int) -> None:
    """Train the shared source model before a trial would, which keeps no pictures and no TensorBoard events."""
    shared = cfg.reuse and str(cfg.weights.get("_target_")).endswith(".source_weights")
    if shared and not cfg.get("control") and trains_in_this_process(processes) and waits_for_source(cfg):
        developed(cfg)


def _trial(base: DictConfig, values: Mapping[str, float], seed: int, length: Length) -> Trial:
    cfg = deepcopy(base)
    with open_dict(cfg):
        cfg.seed = seed
        for key, value in values.items():
            OmegaConf.update(cfg, key, value)
    cfg = shortened(cfg, length)
    name = [f"{key}={cfg.trainer[key]}" for key in LENGTHS if (cfg.trainer.get(key) or -1) > 0]
    return trial_of(cfg, values, name=[*name, f"seed={seed}"])
