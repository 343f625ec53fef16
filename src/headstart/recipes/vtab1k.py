"""Which rate and which length does VTAB-1k's small sweep choose for a run?"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval, MinLen
from omegaconf import DictConfig

from headstart.data.loading.batch_order import EpochOrder, Shares
from headstart.recipes.recipe_values import CHOSEN, with_values
from headstart.recipes.step_arithmetic import batches, share_of, target_data
from headstart.recipes.trial_runs import all_there, rows, see_to, trial_of
from headstart.system import rank_environment
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
    """The values of a run on train_images + val_images images, its rate and length chosen by those of val_images.

    For each length and rate a trial is trained on train_images, unless it is there already, and measured once on
    val_images after its last step; of equals the first counts, by length, then by rate, as listed. The run itself
    then learns from all of them. step_scale: times steps. batch_size: images of an optimizer step, over all processes
    and accumulated batches. validations: in a run, at most; the last is after its last step. For task=plan nothing is
    trained. Zhai et al. 2019, VTAB (arXiv:1910.04867), its 1,000-example protocol. Raises UserError where the run is
    not about labelled images of the target, or the batch cannot be shared out.
    """
    adaptation = cfg.get("adaptation")
    if adaptation and cfg.mode != "multi_task":
        raise UserError(
            f"VTAB-1k trains on labelled images of the target, adaptation={_last_part(adaptation)} on the source's; "
            "leave one of experiment=vtab1k and adaptation=... away"
        )
    lengths = list(dict.fromkeys(max(1, round(step_scale * count)) for count in steps))
    if (few := cfg.target.get("val_shots")) is not None:
        raise UserError(
            f"VTAB-1k draws {val_images} images of val to choose by, got target.val_shots={few}; leave it null, and "
            "set recipe.val_images"
        )
    all_shots: dict[str, Any] = {"target.shots": None} if "shots" in cfg.target else {}
    there = target_data(with_values(cfg, all_shots)).sizes
    images = {"train": min(train_images, there["train"]), "val": min(val_images, there["val"])}
    accumulated = int(cfg.trainer.get("accumulate_grad_batches") or 1)

    def values(count: int, rate: float, length: int, *, over: int, merged: bool) -> dict[str, Any]:
        """Of a run on so many images and processes."""
        share = share_of(batch_size, processes=over, accumulated=accumulated)
        shared = Shares(EpochOrder(length=count, seed=0), batch_size=share, rank=0, world_size=over)
        draw = {"train": train_images, "val": val_images, "merged": merged}
        return {
            **all_shots,
            "target.batch_size": share,
            RATE: rate,
            STEPS: length,
            "trainer.max_epochs": -1,
            "trainer.check_val_every_n_epoch": None,  # by batches, whichever epoch they are of
            "trainer.val_check_interval": apart(batches(length, len(shared), accumulated), validations),
            "draw": {"_target_": "headstart.data.splits.image_budget.Drawn", **draw},
        }

    def final(rate: float, length: int) -> dict[str, Any]:
        return values(sum(images.values()), rate, length, over=processes, merged=True)

    final(rates[0], lengths[0])  # a batch that cannot be shared out is told before anything is trained
    each = [
        trial_of(with_values(cfg, values(images["train"], rate, length, over=1, merged=False)), (RATE, STEPS))
        for length in lengths
        for rate in rates
    ]
    trials = [*{trial.hash: trial for trial in each}.values()]  # what the command line says does not vary
    if cfg.task == "plan" and not all_there(trials):
        log.info("of the trials some are not trained yet: this is the plan of the longest run that they may choose")
        return final(rates[0], max(lengths))
    results = see_to(trials, cfg, processes=processes)
    figure = str(results[0]["monitor"])
    scores = [result["metrics"][figure] for result in results]
    best = trials[max(range(len(trials)), key=scores.__getitem__)].values
    if rank_environment.rank() == 0:
        log.info("%s", table([trial.values for trial in trials], scores, figure, results[0]["sizes"], best))
    told = [
        {**trial.values, figure: score, "folder": trial.folder.as_posix()}
        for trial, score in zip(trials, scores, strict=True)
    ]
    chosen = {"by": figure, "values": dict(best), "trials": told}
    return final(best[RATE], int(best[STEPS])) | {CHOSEN: chosen}


def apart(total: int, validations: int) -> int:
    """Batches between validations, of which so many come at most in a run of `total` batches, the last at its end."""
    return next(total // count for count in range(min(validations, total), 0, -1) if total % count == 0)


def table(
    tried: Sequence[Mapping[str, float]],
    scores: Sequence[float],
    figure: str,
    sizes: Mapping[str, int],
    best: Mapping[str, float],
) -> str:
    """The trials as lines, the chosen one marked."""
    cells = [[RATE, STEPS, figure, ""]]
    cells += [
        [f"{one[RATE]:g}", f"{one[STEPS]:g}", f"{score:.3f}", "chosen" if one == best else ""]
        for one, score in zip(tried, scores, strict=True)
    ]
    head = f"trained on {sizes['train']} images, measured on {sizes['val']}:"
    return "\n".join([head, *(f"  {line}" for line in rows(cells))])


def _last_part(node: DictConfig) -> str:
    return str(node["_target_"]).rpartition(".")[2].lower()
