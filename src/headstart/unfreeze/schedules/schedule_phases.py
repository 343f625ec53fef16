"""Phases of a schedule: which parameters are trainable, how long, at which learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Protocol, get_args

from annotated_types import Ge, Gt, Interval

from headstart.system.metric_direction import best_mode
from headstart.types import UserError

BatchNormPolicy = Literal["learning", "statistics_frozen", "all_frozen"]  # unfreeze/batch_norm_policy.py


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """A phase ends at the first start of an epoch after the monitored metric has stopped improving.

    Args:
        monitor: A logged metric; None, in a config, is the module's own.
        mode: Whether a larger or a smaller value is better; None is the direction of the metric.
        patience: Validations in a row without an improvement by more than `min_delta`.
        min_delta: The smallest change that counts as an improvement.
        min_epochs: The shortest phase.
        max_epochs: The longest phase; None means no limit.
        return_to_best: Whether the phase ends with the weights of its best validation (its start included) instead
            of its last.
    """

    monitor: str | None
    mode: Literal["max", "min"] | None
    patience: Annotated[int, Ge(1)] = 2
    min_delta: Annotated[float, Ge(0)] = 0.0
    min_epochs: Annotated[int, Ge(0)] = 0
    max_epochs: Annotated[int, Ge(1)] | None = None
    return_to_best: bool = False

    def __post_init__(self) -> None:
        if self.mode not in ("max", "min", None):
            raise UserError(f"the mode of a plateau is max or min, got {self.mode!r}")
        if self.patience < 1 or self.min_delta < 0 or self.min_epochs < 0:
            raise UserError(f"a plateau needs patience >= 1, min_delta >= 0 and min_epochs >= 0, got {self}")
        if self.max_epochs is not None and self.max_epochs < max(1, self.min_epochs):
            raise UserError(f"max_epochs must be 1 or more and not less than min_epochs, got {self}")

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether a value improves on the best one so far; `best` None means that there is none."""
        if best is None:
            return value == value  # NaN is no improvement on anything
        mode = self.mode or best_mode(self.monitor)
        return value > best + self.min_delta if mode == "max" else value < best - self.min_delta


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training with the same trainable parameters.

    Its length is at most one of epochs, steps, fraction and until; without any it lasts to the end of the run.

    Args:
        trainable: Parts, layers or regular expressions (`ModelParts.selected`).
        name: A title; by default the names of what is trainable.
        epochs: Length in epochs.
        steps: Length in optimizer steps.
        fraction: Length as a fraction of the run's optimizer steps.
        until: Ends the phase at a plateau.
        lr: Learning rate of the head before the scheduler, to which the others keep their ratio; or one rate for each
            part, layer or regular expression; None leaves the optimizer's.
        warmup_steps: Optimizer steps over which the learning rate of newly trainable parameters rises linearly. What
            is trainable from the run's start has the scheduler's warm-up.
        batch_norm: Whether norms with running statistics learn these in trainable parts (`learning`), their affine
            weights alone (`statistics_frozen`) or nothing (`all_frozen`); one for all parts but the head, or one for
            each of some parts; None means what the module says, or `learning`.
    """

    trainable: tuple[str, ...]
    name: str = ""
    epochs: Annotated[int, Ge(0)] | None = None
    steps: Annotated[int, Ge(0)] | None = None
    fraction: Annotated[float, Interval(ge=0, le=1)] | None = None
    until: Plateau | None = None
    lr: Annotated[float, Gt(0)] | Mapping[str, float] | None = None
    warmup_steps: Annotated[int, Ge(0)] = 0
    batch_norm: BatchNormPolicy | Mapping[str, BatchNormPolicy] | None = None

    def __post_init__(self) -> None:
        lengths = [key for key in ("epochs", "steps", "fraction", "until") if getattr(self, key) is not None]
        if len(lengths) > 1:
            raise UserError(f"a phase has one length, {self.title} has {' and '.join(lengths)}; keep one of them")
        if not self.trainable:
            raise UserError(f"a phase needs something trainable, {self.title} has nothing; try trainable: [head]")
        if min(self.epochs or 0, self.steps or 0, self.warmup_steps) < 0 or not 0 <= (self.fraction or 0) <= 1:
            raise UserError(f"a length is 0 or more (a fraction at most 1), {self.title} has {self}")
        rates = self.lr.values() if isinstance(self.lr, Mapping) else () if self.lr is None else (self.lr,)
        if any(rate <= 0 for rate in rates):
            raise UserError(
                f"a learning rate is more than 0, {self.title} has lr={self.lr}; what does not learn is not trainable"
            )
        given_policies = self.batch_norm.values() if isinstance(self.batch_norm, Mapping) else (self.batch_norm,)
        if odd := [policy for policy in given_policies if policy not in (None, *get_args(BatchNormPolicy))]:
            raise UserError(
                f"batch_norm of a phase is {', '.join(get_args(BatchNormPolicy))}, or one of these for each of some "
                f"parts, {self.title} has {odd[0]!r}"
            )

    @property
    def title(self) -> str:
        """Its name, else what is trainable."""
        return self.name or "+".join(self.trainable)

    @property
    def length(self) -> str:
        """The length as text: `3 epochs`, `until val/loss stalls`, `to the end`."""
        if self.epochs is not None:
            return f"{self.epochs} epoch{'s' if self.epochs != 1 else ''}"
        if self.steps is not None:
            return f"{self.steps} step{'s' if self.steps != 1 else ''}"
        if self.fraction is not None:
            return f"{self.fraction:.3g} of the run"
        if self.until is not None:
            most = f", {self.until.max_epochs} epochs at most" if self.until.max_epochs else ""
            return f"until {self.until.monitor} stalls{most}"
        return "to the end"

    @property
    def is_endless(self) -> bool:
        """Whether it lasts to the end of the run."""
        return self.epochs is None and self.steps is None and self.fraction is None and self.until is None


class Schedule(Protocol):
    """Phases one after the other, the last one to the end of the run."""

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        """The phases of a model.

        Args:
            parts: The names of its parts, from the input to the head.
        """
        ...


def checked(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """The same phases. Raises UserError unless the last one, and no other, has no length."""
    if not phases:
        raise UserError("a schedule needs a phase, got none")
    for place, phase in enumerate(phases[:-1], start=1):
        if phase.is_endless:
            raise UserError(
                f"phase {place} ({phase.title}) has no length, so those after it never begin; "
                "give it epochs, steps, fraction or until"
            )
    if not phases[-1].is_endless:
        raise UserError(
            f"the last phase lasts to the end of the run, phase {len(phases)} ({phases[-1].title}) has a length "
            f"({phases[-1].length}); drop it, trainer.max_epochs says when the run ends"
        )
    return tuple(phases)


def phase_of(values: Mapping[str, Any]) -> Phase:
    """The phase of a mapping in a YAML file. Raises UserError on a key or a value that no phase has."""
    try:
        return _phase_of(dict(values))
    except (TypeError, ValueError) as error:  # of a value of another type
        raise UserError(f"this is no phase: {dict(values)} ({error}); try {{trainable: [head], epochs: 3}}") from error


def _phase_of(settings: dict[str, Any]) -> Phase:
    if "open" in settings:
        raise UserError(f"`open` of a phase is called `trainable` now; write trainable: {settings['open']}")
    _check_keys(settings, Phase, "a phase")
    if "trainable" not in settings:
        raise UserError(f"a phase needs `trainable`, got {settings}; try trainable: [head]")
    chosen = settings.pop("trainable")
    until = settings.pop("until", None)
    if isinstance(until, Mapping):
        _check_keys(until, Plateau, "until")
        if missing := {"monitor", "mode"} - set(until):
            raise UserError(f"until needs {' and '.join(sorted(missing))}, got {dict(until)}")
        until = Plateau(**{str(key): value for key, value in until.items()})
    trainable = [chosen] if isinstance(chosen, str) else list(chosen)
    if not all(isinstance(selector, str) for selector in trainable):
        raise UserError(f"trainable is a part or a list of parts, got {chosen!r}; try trainable: [head]")
    if until is not None and not isinstance(until, Plateau):
        raise UserError(f"until is a mapping with monitor and mode, got {until!r}")
    for key in ("epochs", "steps", "warmup_steps"):
        if settings.get(key) is not None and type(settings[key]) is not int:
            raise UserError(f"{key} of a phase is a whole number, got {settings[key]!r}")
    lr = settings.pop("lr", None)
    return Phase(
        trainable=tuple(trainable),
        until=until,
        # YAML 1.1 reads 1e-3 as text
        lr={str(key): float(rate) for key, rate in lr.items()} if isinstance(lr, Mapping) else lr and float(lr),
        **settings,
    )


def _check_keys(settings: Mapping[str, Any], settings_class: type, title: str) -> None:
    valid = [field.name for field in fields(settings_class)]
    if unknown := [str(key) for key in settings if key not in valid]:
        raise UserError(f"{title} has {', '.join(valid)}; got {', '.join(unknown)}")
