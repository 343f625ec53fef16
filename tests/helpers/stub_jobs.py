"""Jobs of the command's tests, in place of training."""

from typing import Annotated, Literal

from annotated_types import Ge, Interval
from omegaconf import DictConfig

from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.types import UserError

Share = Annotated[float, Interval(ge=0, le=1)]
CALLS: list[DictConfig] = []
ROOTS: list[str | None] = []


class Model:
    """A target with one parameter of each kind."""

    def __init__(
        self,
        *,
        depth: Annotated[int, Ge(1)] = 1,
        share: Share = 0.5,
        kind: Literal["flat", "round"] = "flat",
        root: str | None = None,
        table: dict[str, int] | None = None,
        pixels: object,
    ) -> None:
        raise AssertionError("the check must not build anything", depth, share, kind, root, table, pixels)


def fit(*, cfg: DictConfig, fails_at: int | None = None, how: Literal["user", "bug"] = "bug") -> int:
    """The seed of the run; fails where the seed is `fails_at`."""
    CALLS.append(cfg)
    ROOTS[:] = [cfg.model.get("root")]  # while Hydra knows the run's folder
    if cfg.seed == fails_at:
        raise UserError("expected rain, got sun; try tomorrow") if how == "user" else RuntimeError("boom")
    return int(cfg.seed)


def read(*, cfg: DictConfig, folder: str) -> None:
    """A task that needs a folder."""
    CALLS.append(cfg)
    ROOTS[:] = [folder]


def interrupted(**_: object) -> None:
    """Ctrl-C as a task meets it."""
    raise KeyboardInterrupt


def closed_by_lightning(**_: object) -> None:
    """Ctrl-C as it comes through Lightning's trainer."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        exit(1)


class Strict:
    """A target that refuses to be made."""

    def __init__(self, why: str) -> None:
        raise UserError(why) if why == "user" else ValueError(why)


def builds(*, cfg: DictConfig) -> None:
    """A task that makes what the config names."""
    instantiate(cfg.model)
