"""The VTAB-1k recipe: a small sweep on 800 and 200 images chooses the rate and the length of a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval, MinLen
from omegaconf import DictConfig

from headstart.data.loading.batch_order import DeviceBatchSampler, EpochOrder
from headstart.recipes.recipe_values import CHOSEN, with_values
from headstart.recipes.step_arithmetic import batches, share_of, target_data
from headstart.recipes.trial_runs import all_finished, trial_of, trial_results
from headstart.system import rank_environment
from headstart.system.printing.aligned_columns import aligned
from headstart.types import UserError

log = logging.getLogger(__name__)
RATE, STEPS = "optimizer.lr", "trainer.max_steps"


def vtab1k(
    *,
    cfg: DictConfig,
    processes: int,
    train_images: Annotated[int, Ge(1)],
    val_images: Annotated[int, Ge(1)],
    rates: Annotated[list[Annotated[float, Gt(0)]], MinLen(1)],
    steps: Annotated[list[Annotated[int, Ge(1)]], MinLen(1)],
    step_scale: Annotated[float, Interval(gt=0, le=1)],
    batch_size: Annotated[int, Ge(1)],
    validations: Annotated[int, Ge(1)],
) -> dict[str, Any]:
    """The values of a run on train_images + val_images images, with the rate and length that trials choose.

    For each length and rate a trial is trained on train_images, unless it is there already, and measured once on
    val_images after its last step. Of equals the first counts, by length, then by rate, as listed. The run itself
    then learns from all of them. For task=plan nothing is trained. Zhai et al. 2019, VTAB (arXiv:1910.04867), its
    1,000-example protocol.

    Args:
        cfg: The run's config.
        processes: That share each batch of the run.
        train_images: Training images of a trial.
        val_images: Images that a trial is measured on.
        rates: Learning rates to try.
        steps: Lengths to try, in optimizer steps.
        step_scale: A factor on all lengths.
        batch_size: Images of an optimizer step, over all processes and accumulated batches.
        validations: In a run, at most; the last is after its last step.
    """
    _check(cfg, val_images)
    protocol = _Protocol(cfg, {"train": train_images, "val": val_images}, batch_size, validations)
    counts = list(dict.fromkeys(max(1, round(step_scale * count)) for count in steps))
    protocol.run_values(rates[0], counts[0], processes)  # an error of the batch comes before anything is trained
    each = [
        trial_of(with_values(cfg, protocol.trial_values(rate, count)), (RATE, STEPS))
        for count in counts
        for rate in rates
    ]
    trials = [*{trial.hash: trial for trial in each}.values()]  # what the command line says does not vary
    if cfg.task == "plan" and not all_finished(trials):
        log.info("of the trials some are not trained yet: this is the plan of the longest run that they may choose")
        return protocol.run_values(rates[0], max(counts), processes)
    results = trial_results(trials, cfg, processes=processes)
    metric = str(results[0]["monitor"])
    scores = [result["metrics"][metric] for result in results]
    best = trials[max(range(len(trials)), key=scores.__getitem__)].values
    if rank_environment.rank() == 0:
        log.info("%s", table([trial.values for trial in trials], scores, metric, results[0]["sizes"], best))
    record = [
        {**trial.values, metric: score, "folder": trial.folder.as_posix()}
        for trial, score in zip(trials, scores, strict=True)
    ]
    chosen = {"by": metric, "values": dict(best), "trials": record}
    return protocol.run_values(best[RATE], int(best[STEPS]), processes) | {CHOSEN: chosen}


def _check(cfg: DictConfig, val_images: int) -> None:
    """Raise UserError where the run does not learn from labelled images of the target, or draws its own val."""
    adaptation = cfg.get("adaptation")
    if adaptation and cfg.mode != "multi_task":
        raise UserError(
            f"VTAB-1k trains on labelled images of the target, adaptation={_last_part(adaptation)} on the source's; "
            "leave one of experiment=vtab1k and adaptation=... away"
        )
    if (val_shots := cfg.target.get("val_shots")) is not None:
        raise UserError(
            f"VTAB-1k draws {val_images} images of val to choose by, got target.val_shots={val_shots}; leave it null, "
            "and set recipe.val_images"
        )


class _Protocol:
    """The values that the protocol gives to a trial and to the run.

    Args:
        cfg: The run's config.
        images: Images to draw, of train and of val; of data that have fewer, all.
        batch_size: Images of an optimizer step.
        validations: In a run, at most.
    """

    def __init__(self, cfg: DictConfig, images: Mapping[str, int], batch_size: int, validations: int) -> None:
        self._images, self._batch_size, self._validations = images, batch_size, validations
        self._accumulated = int(cfg.trainer.get("accumulate_grad_batches") or 1)
        self._all_shots: dict[str, Any] = {"target.shots": None} if "shots" in cfg.target else {}
        sizes = target_data(with_values(cfg, self._all_shots)).sizes
        self._available = {split: min(images[split], sizes[split]) for split in ("train", "val")}

    def trial_values(self, rate: float, steps: int) -> dict[str, Any]:
        """Of a trial: on the training images alone, and on one process."""
        return self._values(self._available["train"], rate, steps, 1, merged=False)

    def run_values(self, rate: float, steps: int, processes: int) -> dict[str, Any]:
        """Of the run: on the images of both splits. Raises UserError where a batch cannot be shared out."""
        return self._values(sum(self._available.values()), rate, steps, processes, merged=True)

    def _values(self, count: int, rate: float, steps: int, processes: int, *, merged: bool) -> dict[str, Any]:
        share = share_of(self._batch_size, processes=processes, accumulated=self._accumulated)
        shared = DeviceBatchSampler(EpochOrder(length=count, seed=0), batch_size=share, rank=0, world_size=processes)
        interval = apart(batches(steps, len(shared), self._accumulated), self._validations)
        return {
            **self._all_shots,
            "target.batch_size": share,
            RATE: rate,
            STEPS: steps,
            "trainer.max_epochs": -1,
            "trainer.check_val_every_n_epoch": None,  # by batches, whichever epoch they are of
            "trainer.val_check_interval": interval,
            "draw": {
                "_target_": "headstart.data.splits.image_budget.ImageBudget", **self._images, "merged": merged,
            },
        }  # fmt: skip


def apart(total: int, validations: int) -> int:
    """Batches between validations, of which so many come at most in a run of `total` batches, the last at its end."""
    return next(total // count for count in range(min(validations, total), 0, -1) if total % count == 0)


def table(
    tried: Sequence[Mapping[str, float]],
    scores: Sequence[float],
    metric: str,
    sizes: Mapping[str, int],
    best: Mapping[str, float],
) -> str:
    """The trials as lines, the chosen one marked."""
    cells = [[RATE, STEPS, metric, ""]]
    cells += [
        [f"{values[RATE]:g}", f"{values[STEPS]:g}", f"{score:.3f}", "chosen" if values == best else ""]
        for values, score in zip(tried, scores, strict=True)
    ]
    head = f"trained on {sizes['train']} images, measured on {sizes['val']}:"
    return "\n".join([head, *(f"  {line}" for line in aligned(cells))])


def _last_part(node: DictConfig) -> str:
    return str(node["_target_"]).rpartition(".")[2].lower()
