"""What is open in a phase, and when does the next one begin?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Protocol

from annotated_types import Ge, Gt, Interval

from headstart.types import UserError


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """A phase ends at the first epoch's start after a monitored figure has stopped getting better.

    monitor: a logged figure; mode: whether more of it is better. patience: validations in a row without an
    improvement by more than min_delta. min_epochs, max_epochs: of the phase, whatever the figure does, None =
    no end but the plateau. return_to_best: end the phase with the weights of its best validation (its start
    included) instead of its last.
    """

    monitor: str | None  # None: for a config, whose task fills in the module's figure
    mode: Literal["max", "min"]
    patience: Annotated[int, Ge(1)] = 2
    min_delta: Annotated[float, Ge(0)] = 0.0
    min_epochs: Annotated[int, Ge(0)] = 0
    max_epochs: Annotated[int, Ge(1)] | None = None
    return_to_best: bool = False

    def __post_init__(self) -> None:
        if self.mode not in ("max", "min"):
            raise UserError(f"the mode of a plateau is max or min, got {self.mode!r}")
        if self.patience < 1 or self.min_delta < 0 or self.min_epochs < 0:
            raise UserError(f"a plateau needs patience >= 1, min_delta >= 0 and min_epochs >= 0, got {self}")
        if self.max_epochs is not None and self.max_epochs < max(1, self.min_epochs):
            raise UserError(f"max_epochs must be 1 or more and not less than min_epochs, got {self}")

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether a value is an improvement on the best one so far, None = there is none."""
        if best is None:
            return value == value  # NaN is no improvement on anything
        return value > best + self.min_delta if self.mode == "max" else value < best - self.min_delta


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training in which the same parameters are open.

    open: parts, layers or regular expressions (`Parts.selected`). Its length is at most one of epochs, steps
    (optimizer steps), fraction (of the run's steps) and until; none = to the end of the run. lr: the head's
    learning rate before the scheduler, the others keep their ratio to it; or one for each part, layer or
    regular expression; None = as the optimizer has them. warmup_steps: over how many optimizer steps the rate of
    what this phase opens anew rises linearly; what is open at the run's start has the scheduler's warm-up.
    """

    open: tuple[str, ...]
    name: str = ""
    epochs: Annotated[int, Ge(0)] | None = None
    steps: Annotated[int, Ge(0)] | None = None
    fraction: Annotated[float, Interval(ge=0, le=1)] | None = None
    until: Plateau | None = None
    lr: Annotated[float, Gt(0)] | Mapping[str, float] | None = None
    warmup_steps: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        given = [key for key in ("epochs", "steps", "fraction", "until") if getattr(self, key) is not None]
        if len(given) > 1:
            raise UserError(f"a phase has one length, {self.title} has {' and '.join(given)}; keep one of them")
        if not self.open:
            raise UserError(f"a phase needs something open, {self.title} has nothing; try open: [head]")
        if min(self.epochs or 0, self.steps or 0, self.warmup_steps) < 0 or not 0 <= (self.fraction or 0) <= 1:
            raise UserError(f"a length is 0 or more (a fraction at most 1), {self.title} has {self}")
        rates = self.lr.values() if isinstance(self.lr, Mapping) else () if self.lr is None else (self.lr,)
        if any(rate <= 0 for rate in rates):
            raise UserError(
                f"a learning rate is more than 0, {self.title} has lr={self.lr}; what does not learn is not opened"
            )

    @property
    def title(self) -> str:
        """Its name, else what is open."""
        return self.name or "+".join(self.open)

    @property
    def length(self) -> str:
        """In words: `3 epochs`, `until val/loss stalls`, `to the end`."""
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
    """What is open when: phases one after the other, the last one to the end of the run."""

    def phases(self, parts: Sequence[str]) -> tuple[Phase, ...]:
        """The phases for a model with these parts, from the input to the head."""
        ...


def checked(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """The phases, where the last and only the last has no length. Raises UserError."""
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
    """The phase that a YAML file's mapping says. Raises UserError on a key or a value that is none of a phase's."""
    try:
        return _phase_of(dict(values))
    except (TypeError, ValueError) as error:  # of a value of another type
        raise UserError(f"this is no phase: {dict(values)} ({error}); try {{open: [head], epochs: 3}}") from error


def _phase_of(given: dict[str, Any]) -> Phase:
    _check_keys(given, Phase, "a phase")
    if "open" not in given:
        raise UserError(f"a phase needs `open`, got {given}; try open: [head]")
    chosen = given.pop("open")
    until = given.pop("until", None)
    if isinstance(until, Mapping):
        _check_keys(until, Plateau, "until")
        if missing := {"monitor", "mode"} - set(until):
            raise UserError(f"until needs {' and '.join(sorted(missing))}, got {dict(until)}")
        until = Plateau(**{str(key): value for key, value in until.items()})
    opened = [chosen] if isinstance(chosen, str) else list(chosen)
    if not all(isinstance(one, str) for one in opened):
        raise UserError(f"open is a part or a list of parts, got {chosen!r}; try open: [head]")
    if until is not None and not isinstance(until, Plateau):
        raise UserError(f"until is a mapping with monitor and mode, got {until!r}")
    for key in ("epochs", "steps", "warmup_steps"):
        if given.get(key) is not None and type(given[key]) is not int:
            raise UserError(f"{key} of a phase is a whole number, got {given[key]!r}")
    lr = given.pop("lr", None)
    return Phase(
        open=tuple(opened),
        until=until,
        # YAML 1.1 reads 1e-3 as text
        lr={str(key): float(rate) for key, rate in lr.items()} if isinstance(lr, Mapping) else lr and float(lr),
        **given,
    )


def _check_keys(given: Mapping[str, Any], what: type, title: str) -> None:
    valid = [one.name for one in fields(what)]
    if unknown := [str(key) for key in given if key not in valid]:
        raise UserError(f"{title} has {', '.join(valid)}; got {', '.join(unknown)}")
