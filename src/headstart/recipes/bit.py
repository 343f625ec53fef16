"""Which sizes, steps and rates does BiT's rule give to a data set?"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Interval
from omegaconf import DictConfig, OmegaConf

from headstart.data.decoding.image_sizes import median_side
from headstart.data.loading.batch_order import DeviceBatchSampler, EpochOrder
from headstart.recipes.step_arithmetic import batches, share_of, target_data
from headstart.system import rank_environment
from headstart.types import UserError

log = logging.getLogger(__name__)
SMALL_SIDE = 96  # pixels; smaller images get the smaller size
MEDIUM, LARGE = 20_000, 500_000  # training images from which on more steps are taken
CROP = "target.augment.steps.crop"


@dataclass(frozen=True)
class Numbers:
    """What the rule says of a data set."""

    resize: int  # pixels of a training image
    crop: int  # pixels of the random part of it that is seen, and of the whole images of val and test
    warmup_steps: int
    milestones: tuple[int, ...]  # steps at which the rate is divided by 10
    steps: int
    mixes: bool  # whether MixUp is used


def numbers(images: int, side: float) -> Numbers:
    """BiT-HyperRule for so many training images of this side in pixels (the root of their area).

    Kolesnikov et al. 2020, Big Transfer (arXiv:1912.11370), section 3.3 and their published rule, which has the
    warm-up, and where a rate falls one step later than here.
    """
    resize, crop = (160, 128) if side < SMALL_SIDE else (512, 480)
    if images < MEDIUM:
        return Numbers(resize, crop, 100, (200, 300, 400), 500, mixes=False)
    if images < LARGE:
        return Numbers(resize, crop, 500, (3_000, 6_000, 9_000), 10_000, mixes=True)
    return Numbers(resize, crop, 500, (6_000, 12_000, 18_000), 20_000, mixes=True)


def bit_hyperrule(
    *,
    cfg: DictConfig,
    processes: int,
    step_scale: Annotated[float, Interval(gt=0, le=1)],
    batch_size: Annotated[int, Ge(1)],
    image_side: Annotated[int, Ge(1)] | None,
    validations: Annotated[int, Ge(1)],
    mixup_alpha: Annotated[float, Interval(gt=0)],
) -> dict[str, Any]:
    """The values that the rule gives to a run's config, by the number and the size of its training images.

    step_scale: times all numbers of steps. batch_size: of all processes and accumulated batches together. image_side:
    None for what the data say. validations: in the run. A backbone without a size, data without a resize, a scheduler
    without warm-up and milestones and augmentation without a crop stay as they are. Raises UserError where the batch
    cannot be shared out, or the data do not say how large their images are.
    """
    accumulated = int(cfg.trainer.get("accumulate_grad_batches") or 1)
    share = share_of(batch_size, processes=processes, accumulated=accumulated)
    images, side = _counted(cfg, image_side)
    rule = numbers(images, side)
    steps = max(1, round(step_scale * rule.steps))
    shared = DeviceBatchSampler(EpochOrder(length=images, seed=0), batch_size=share, rank=0, world_size=processes)
    total = batches(steps, len(shared), accumulated)
    values: dict[str, Any] = {
        "target.batch_size": share,
        "trainer.max_steps": steps,
        "trainer.max_epochs": -1,
        "trainer.check_val_every_n_epoch": None,  # by batches, whichever epoch they are of
        "trainer.val_check_interval": max(1, total // validations),
    }
    if "warmup_steps" in cfg.scheduler and "milestones" in cfg.scheduler:
        values["scheduler.warmup_steps"] = round(step_scale * rule.warmup_steps)
        values["scheduler.milestones"] = [round(step_scale * milestone) for milestone in rule.milestones]
    if "size" in cfg.backbone:
        values["backbone.size"] = rule.crop
    if "resize" in cfg.target:
        values["target.resize"] = rule.crop  # of val and test, the whole image is seen
    if OmegaConf.select(cfg, f"{CROP}.scale") is not None:
        area = round((rule.crop / rule.resize) ** 2, 4)
        values |= {f"{CROP}.scale": [area, area], f"{CROP}.ratio": [1.0, 1.0]}
    if rule.mixes and "mix" in cfg.module:
        values["module.mix"] = {
            "_target_": "headstart.data.transforms.mix.mixup.MixUp",
            "alpha": mixup_alpha,
            "prob": 1.0,
        }
    if rank_environment.rank() == 0:
        log.info("BiT-HyperRule for %d training images of %.0f x %.0f pixels:", images, side, side)
        if rule.mixes and "mix" not in cfg.module:
            log.warning("the recipe mixes so many images (MixUp, alpha %g), which this module cannot", mixup_alpha)
    return values


def _counted(cfg: DictConfig, image_side: int | None) -> tuple[int, float]:
    """How many training images the target has, and how large they are."""
    data = target_data(cfg)
    if image_side is None and not hasattr(data, "splits"):
        raise UserError(
            f"{cfg.target._target_} does not say how large its images are before they are resized, and the rule asks "
            "for it; try recipe.image_side=224, the root of the area of a usual one"
        )
    return data.sizes["train"], median_side(data.splits["train"]) if image_side is None else image_side
