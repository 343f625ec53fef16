"""Which rate and which length does VTAB-1k's small sweep choose for a run?"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval, MinLen
from omegaconf import DictConfig, OmegaConf, open_dict

from headstart import launch
from headstart.data.order import EpochOrder, Shares
from headstart.tasks.agreement import of_first, wait_for_all
from headstart.tasks.counting import batches, share_of, target_data
from headstart.tasks.folders import finished
from headstart.tasks.names import OF_THE_COMMAND, config_hash, safe
from headstart.tasks.once import made_once
from headstart.tasks.ranks import run_apart
from headstart.tasks.rules import CHOSEN, with_values
from headstart.tasks.train import train
from headstart.types import UserError

log = logging.getLogger(__name__)
TRIALS = Path("outputs/trials")  # shared by all studies
RATE, STEPS = "optimizer.lr", "trainer.max_steps"
# a trial is trained on one device, and looks at no test image
ALONE = {"devices": 1, "num_nodes": 1, "strategy": "auto", "limit_test_batches": 0}


@dataclass(frozen=True)
class Trial:
    """A run on the smaller part of the images, which says how good a rate and a length are."""

    cfg: DictConfig
    hash: str

    @property
    def folder(self) -> Path:
        return Path(self.cfg.run_dir)

    @property
    def tried(self) -> dict[str, float]:
        """The rate and the length in optimizer steps."""
        return {key: OmegaConf.select(self.cfg, key) for key in (RATE, STEPS)}


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
            "set rule.val_images"
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
            "draw": {"_target_": "headstart.data.draw.Drawn", **draw},
        }

    def final(rate: float, length: int) -> dict[str, Any]:
        return values(sum(images.values()), rate, length, over=processes, merged=True)

    final(rates[0], lengths[0])  # a batch that cannot be shared out is told before anything is trained
    each = [
        trial_of(cfg, values(images["train"], rate, length, over=1, merged=False))
        for length in lengths
        for rate in rates
    ]
    trials = [*{trial.hash: trial for trial in each}.values()]  # what the command line says does not vary
    if cfg.task == "plan" and any(finished(trial.folder) is None for trial in trials):
        log.info("of the trials some are not trained yet: this is the plan of the longest run that they may choose")
        return final(rates[0], max(lengths))
    _see_to(trials, cfg, apart=processes > 1)
    results = [finished(trial.folder) or {} for trial in trials]
    figure = str(results[0]["monitor"])
    scores = [result["metrics"][figure] for result in results]
    best = trials[max(range(len(trials)), key=scores.__getitem__)].tried
    if launch.rank() == 0:
        log.info("%s", table([trial.tried for trial in trials], scores, figure, results[0]["sizes"], best))
    told = [
        {**trial.tried, figure: score, "folder": trial.folder.as_posix()}
        for trial, score in zip(trials, scores, strict=True)
    ]
    chosen = {"by": figure, "values": best, "trials": told}
    return final(best[RATE], int(best[STEPS])) | {CHOSEN: chosen}


def apart(total: int, validations: int) -> int:
    """Batches between validations, of which so many come at most in a run of `total` batches, the last at its end."""
    return next(total // count for count in range(min(validations, total), 0, -1) if total % count == 0)


def trial_of(cfg: DictConfig, values: Mapping[str, Any]) -> Trial:
    """The run of this config with these values that is trained before the run itself."""
    plain = with_values(cfg, values)
    with open_dict(plain):
        for key, value in ALONE.items():
            plain.trainer[key] = value
        for key in OF_THE_COMMAND:
            plain.pop(key, None)
    digest = config_hash(plain)
    name = ",".join(
        [_last_part(plain.target), _last_part(plain.backbone), str(plain.mode)]
        + [f"{key.rpartition('.')[2]}={OmegaConf.select(plain, key)}" for key in (RATE, STEPS)]
    )
    with open_dict(plain):
        plain.run_dir = (TRIALS / f"{safe(name)}-{digest}").as_posix()
        plain.resume = cfg.get("resume")
    return Trial(plain, digest)


def _see_to(trials: list[Trial], cfg: DictConfig, *, apart: bool) -> None:
    """Train the trials that are not there; apart: in a process of one device, while all ranks wait."""
    if not apart:
        for number, trial in enumerate(trials, 1):
            _trained(trial, f"{number} of {len(trials)}")
        return
    waits = of_first(any(finished(trial.folder) is None for trial in trials))
    if waits and launch.rank() == 0:
        run_apart(Path(cfg.run_dir), "trial", changes={key: cfg[key] for key in OF_THE_COMMAND if key in cfg})
    if waits:
        wait_for_all(long=True)


def _trained(trial: Trial, number: str) -> None:
    folder = trial.folder

    def make() -> dict[str, Any]:
        log.info("trial %s: %s", number, " ".join(f"{key}={value:g}" for key, value in trial.tried.items()))
        folder.mkdir(exist_ok=True)
        OmegaConf.save(trial.cfg, folder / "config.yaml")
        about = {"study": TRIALS.name, "name": folder.name, "hash": trial.hash, "overrides": []}
        return train(trial.cfg, folder, about=about)

    made_once(folder, trial.hash, make, what="trial")


def table(
    tried: list[dict[str, float]], scores: list[float], figure: str, sizes: Mapping[str, int], best: Mapping[str, float]
) -> str:
    """The trials as lines, the chosen one marked."""
    rows = [[RATE, STEPS, figure, ""]]
    rows += [
        [f"{one[RATE]:g}", f"{one[STEPS]:g}", f"{score:.3f}", "chosen" if one == best else ""]
        for one, score in zip(tried, scores, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head = f"trained on {sizes['train']} images, measured on {sizes['val']}:"
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([head, *(f"  {line}" for line in lines)])


def _last_part(node: DictConfig) -> str:
    return str(node["_target_"]).rpartition(".")[2].lower()
