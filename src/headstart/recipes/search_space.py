"""The space of an equal tuning: the keys that an arm may vary, their bounds, and the settings that it tries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from annotated_types import Gt, Len
from omegaconf import DictConfig, OmegaConf
from scipy.stats import qmc

from headstart.recipes.recipe_values import command_line_keys, is_on_command_line
from headstart.types import UserError

RATE, DECAY, STAGES = "optimizer.lr", "optimizer.weight_decay", "module.stage_decay"
DIMENSIONS = (RATE, DECAY, STAGES)  # of the points: an arm without one of them has the others' values all the same
# so that the first points lie near both ends of the space too, and leave a gap where the config's own value usually is
SHIFT = (0.7, 0.05, 0.08)
EDGE = 0.1  # of a space's logarithmic length: beyond a value so near its end a better one may lie
Bounds = Annotated[list[Annotated[float, Gt(0)]], Len(2, 2)]
Space = Mapping[str, tuple[float, float]]  # key -> lowest and highest value


def space_of(
    cfg: DictConfig,
    *,
    lr: Literal["auto"] | Sequence[float] | None,
    weight_decay: Literal["auto"] | Sequence[float] | None,
    stage_decay: Sequence[float] | None,
    times: Sequence[float],
) -> dict[str, tuple[float, float]]:
    """The keys that the arm of a config may vary, with their bounds.

    The space of scratch, and of modes whose stages stay frozen, does not include module.stage_decay.

    Args:
        cfg: The run's config.
        lr: Bounds of optimizer.lr; auto for the config's value times `times`, None to leave it.
        weight_decay: The same of optimizer.weight_decay; auto leaves 0 as it is.
        stage_decay: Bounds of module.stage_decay.
        times: Factors, for auto.

    Raises:
        UserError: Bounds do not rise.
    """
    has_trainable_stages = bool(cfg.reuse) and cfg.trainable in ("all", "schedule")
    wanted = {RATE: lr, DECAY: weight_decay, STAGES: stage_decay if has_trainable_stages else None}
    fixed = command_line_keys()
    space = {}
    for key, bounds in wanted.items():
        value = OmegaConf.select(cfg, key)
        if (
            bounds is None
            or isinstance(value, bool)
            or not isinstance(value, int | float)
            or is_on_command_line(key, fixed)
        ):
            continue
        if bounds == "auto" and value <= 0:
            continue
        low, high = (value * times[0], value * times[1]) if bounds == "auto" else map(float, bounds)
        if not 0 < low < high:
            raise UserError(
                f"a space needs two rising bounds above 0, got {low:g} to {high:g} for {key}; "
                f"try tuning.{key.rpartition('.')[2]}=[1e-4,1e-2]"
            )
        space[key] = (_four_digits(low), _four_digits(high))
    return space


def settings_of(cfg: DictConfig, space: Space, count: int) -> list[dict[str, float]]:
    """The config's own values, then count - 1 others: points of the shifted Halton sequence on the space's logarithms.

    The points are the same for all spaces; those of fewer settings are the first of more. Cranley & Patterson 1976,
    Randomization of Number Theoretic Methods for Multiple Integration (the shift, here a fixed one).
    """
    own = {key: OmegaConf.select(cfg, key) for key in space}
    # unscrambled: in three dimensions it is even as it is, and the same in every version of scipy
    points = (qmc.Halton(d=len(DIMENSIONS), scramble=False).random(count - 1) + SHIFT) % 1
    others = [
        {key: _four_digits(low * (high / low) ** point[DIMENSIONS.index(key)]) for key, (low, high) in space.items()}
        for point in points
    ]
    return [own, *others]


def at_border(space: Space, chosen: Mapping[str, float]) -> list[str]:
    """The keys whose chosen value lies in the outer tenth of its logarithmic range, or outside.

    The upper end of module.stage_decay at 1 is none: all stages have the head's rate there.
    """
    keys = []
    for key, (low, high) in space.items():
        position = math.log(chosen[key] / low) / math.log(high / low)
        if position <= EDGE or (position >= 1 - EDGE and not (key == STAGES and high >= 1)):
            keys.append(key)
    return keys


def border_warning(key: str, value: float, bounds: tuple[float, float]) -> str:
    """The warning that a chosen value lies at the border, with wider bounds to try."""
    low, high = bounds
    if value < math.sqrt(low * high):
        wider = (low / 10, high)
    else:
        wider = (low, min(1.0, 10 * high) if key == STAGES else 10 * high)
    return (
        f"the chosen {key}={value:g} lies at the border of what was tried ({low:g} to {high:g}), and beyond it may lie "
        f"a better one; try tuning.{key.rpartition('.')[2]}=[{wider[0]:g},{wider[1]:g}]"
    )


def _four_digits(value: float) -> float:
    """So that the name of a trial's folder is exactly what was tried, on every machine."""
    return float(f"{value:.4g}")
