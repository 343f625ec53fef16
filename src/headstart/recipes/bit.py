"""The BiT recipe: image sizes, steps and learning rates by the number and size of a data set's images."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Interval
from omegaconf import DictConfig, OmegaConf

from headstart.data.decoding.median_size import median_side
from headstart.data.loading.batch_order import DeviceBatchSampler, EpochOrder
from headstart.recipes.step_arithmetic import batches, share_of, target_data
from headstart.system import rank_environment
from headstart.types import UserError

log = logging.getLogger(__name__)
SMALL_SIDE = 96  # pixels; smaller images get the smaller size
MEDIUM, LARGE = 20_000, 500_000  # training images from which on more steps are taken
CROP = "target.augment.steps.crop"


@dataclass(frozen=True)
class BitValues:
    """The values of the recipe for a data set."""

    resize: int  # pixels of a training image
    crop: int  # pixels of the random part of it that is seen, and of the whole images of val and test
    warmup_steps: int
    milestones: tuple[int, ...]  # steps at which the rate is divided by 10
    steps: int
    mixes: bool  # whether MixUp is used


def bit_values(images: int, side: float) -> BitValues:
    """BiT-HyperRule for so many training images of this side in pixels (the root of their area).

    Kolesnikov et al. 2020, Big Transfer (arXiv:1912.11370), section 3.3 and their published code, which has the
    warm-up, and where a rate falls one step later than here.
    """
    resize, crop = (160, 128) if side < SMALL_SIDE else (512, 480)
    if images < MEDIUM:
        return BitValues(resize, crop, 100, (200, 300, 400), 500, mixes=False)
    if images < LARGE:
        return BitValues(resize, crop, 500, (3_000, 6_000, 9_000), 10_000, mixes=True)
    return BitValues(resize, crop, 500, (6_000, 12_000, 18_000), 20_000, mixes=True)


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
    """The values that the recipe gives to a run's config, by the number and the size of its training images.

    A backbone without a size, data without a resize, a scheduler without warm-up and milestones, and augmentation
    without a crop stay as they are.

    Args:
        cfg: The run's config.
        processes: That share each batch of the run.
        step_scale: A factor on all numbers of steps.
        batch_size: Images of an optimizer step, over all processes and accumulated batches.
        image_side: Pixels of the images before they are resized; None for the data's own.
        validations: In the run, at equal distances.
        mixup_alpha: Of MixUp, for large data sets.

    Raises:
        UserError: The batch cannot be shared out, or the size of the images is not known.
    """
    accumulated = int(cfg.trainer.get("accumulate_grad_batches") or 1)
    share = share_of(batch_size, processes=processes, accumulated=accumulated)
    images, side = _counted(cfg, image_side)
    schedule = bit_values(images, side)
    steps = max(1, round(step_scale * schedule.steps))
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
        values["scheduler.warmup_steps"] = round(step_scale * schedule.warmup_steps)
        values["scheduler.milestones"] = [round(step_scale * milestone) for milestone in schedule.milestones]
    if "size" in cfg.backbone:
        values["backbone.size"] = schedule.crop
    if "resize" in cfg.target:
        values["target.resize"] = schedule.crop  # of val and test, the whole image is seen
    if OmegaConf.select(cfg, f"{CROP}.scale") is not None:
        area = round((schedule.crop / schedule.resize) ** 2, 4)
        values |= {f"{CROP}.scale": [area, area], f"{CROP}.ratio": [1.0, 1.0]}
    if schedule.mixes and "mix" in cfg.module:
        mixup = {"_target_": "headstart.data.transforms.mix.mixup.MixUp", "alpha": mixup_alpha, "prob": 1.0}
        values["module.mix"] = mixup
    if rank_environment.rank() == 0:
        log.info("BiT-HyperRule for %d training images of %.0f x %.0f pixels:", images, side, side)
        if schedule.mixes and "mix" not in cfg.module:
            log.warning("the recipe mixes so many images (MixUp, alpha %g), which this module cannot", mixup_alpha)
    return values


def _counted(cfg: DictConfig, image_side: int | None) -> tuple[int, float]:
    """How many training images the target has, and how large they are."""
    data = target_data(cfg)
    if image_side is None and not hasattr(data, "splits"):
        raise UserError(
            f"{cfg.target._target_} does not say how large its images are before they are resized, and the recipe "
            "needs it; try recipe.image_side=224, the root of the area of a usual one"
        )
    return data.sizes["train"], median_side(data.splits["train"]) if image_side is None else image_side
