"""Dead units that are never positive, and saturated units that are always at a bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import torch
from annotated_types import Gt, Le
from matplotlib.figure import Figure
from torch import Tensor
from torch.overrides import TorchFunctionMode

from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.rendering.map_rendering import RgbImage, drawing

NEAR = 0.01  # a sigmoid or tanh that is so near to its bound counts as there: it reaches it nowhere
LISTED = 8  # units of a function named in a caption


class _Kind(NamedTuple):
    """What an activation function is called, and when its units are dead or saturated, by what enters it.

    dead: a unit can be, and is where it is never positive. low, high: from there on it is at a bound.
    """

    called: str
    dead: bool
    low: float = -math.inf
    high: float = math.inf

    @property
    def bounded(self) -> bool:
        """Whether a unit can be saturated."""
        return math.isfinite(self.low) or math.isfinite(self.high)


_SIGMOID, _TANH = math.log((1 - NEAR) / NEAR), math.atanh(1 - NEAR)
_RECTIFIERS = ("relu", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish")
KINDS = {  # by the name of torch's function
    **{name: _Kind(name, dead=True) for name in _RECTIFIERS},
    "relu6": _Kind("relu6", dead=True, high=6),
    "hardsigmoid": _Kind("hardsigmoid", dead=False, low=-3, high=3),
    "sigmoid": _Kind("sigmoid", dead=False, low=-_SIGMOID, high=_SIGMOID),
    "tanh": _Kind("tanh", dead=False, low=-_TANH, high=_TANH),
}
CUTS = {  # functions that may be one: how their bounds are called
    "hardtanh": ("min_val", "max_val"),
    "clamp": ("min", "max"),
    "clip": ("min", "max"),
    "clamp_min": ("min", "max"),
}
LAST = ("linear", "layer_norm")  # functions whose units are their last dimension, whatever comes before it


@dataclass
class Tally:
    """What the units of one activation function did, at all places of all images seen so far.

    positive (D,): whether what enters a unit was ever above 0. bound (D,): places at a bound. places: of each unit.
    """

    stage: str
    kind: _Kind
    positive: Tensor
    bound: Tensor
    places: int = 0

    def dead(self) -> list[int]:
        """The units that were never above 0, of a function that holds back what is negative."""
        return (~self.positive).nonzero()[:, 0].tolist() if self.kind.dead else []

    def saturated(self, share: float) -> list[int]:
        """The units of which at least this share of the places is at a bound."""
        return (self.bound >= share * self.places).nonzero()[:, 0].tolist() if self.kind.bounded else []


class DeadUnits:
    """The share of dead and of saturated units in each stage, over the searched split.

    Args:
        stages: Names of stages; None means all.
        saturated: The share of a unit's places at a bound from which on it counts as saturated.
    """

    title = "Dead and saturated units"
    about = (
        "A unit, a channel of an activation function, is dead where what enters the function is never positive, at any "
        "place of any image of the searched split: a ReLU then gives 0 and learns nothing. It is saturated where "
        "nearly all its places are at a bound: ReLU6's 6, 0 or 1 of a sigmoid, -1 or 1 of tanh, or within "
        f"{NEAR} of them. In the caption 3:17 is channel 17 of the stage's third such function."
    )

    def __init__(self, *, stages: Sequence[str] | None, saturated: Annotated[float, Gt(0), Le(1)]) -> None:
        self.stages, self.saturated = stages, saturated

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One image of bars. UnfitError where no activation function is met."""
        network = subject.network
        chosen = network.chosen(self.stages)
        counted = tallies(network, (batch.image for batch in subject.searching(title="dead units")), chosen)
        if not counted:
            raise UnfitError(f"dead units need activation functions ({', '.join(KINDS)}), and none was met")
        rows = [row for stage in chosen if (row := self._row(stage, counted)) is not None]
        images = len(subject.searched_names())
        yield Shown(
            "dead-units",
            _bars(rows),
            f"Of {images} images. {' '.join(row.told for row in rows)}",
            "; ".join(f"{row.stage}: {row.dead:.1%} dead, {row.saturated:.1%} saturated" for row in rows) + ".",
        )

    def _row(self, stage: str, counted: Sequence[Tally]) -> _Row | None:
        of_stage = [tally for tally in counted if tally.stage == stage]
        if not of_stage:
            return None
        units = sum(len(tally.bound) for tally in of_stage)
        dead, full, lines = 0, 0, []
        for kind in dict.fromkeys(tally.kind for tally in of_stage):
            calls = [tally for tally in of_stage if tally.kind == kind]
            gone = [(nth, unit) for nth, tally in enumerate(calls, 1) for unit in tally.dead()]
            bound = [(nth, unit) for nth, tally in enumerate(calls, 1) for unit in tally.saturated(self.saturated)]
            dead, full = dead + len(gone), full + len(bound)
            line = f"{sum(len(tally.bound) for tally in calls)} units of {len(calls)} {kind.called}"
            line += f", {len(gone)} dead{_listed(gone)}" if kind.dead else ""
            line += f", {len(bound)} saturated{_listed(bound)}" if kind.bounded else ""
            lines.append(line)
        return _Row(stage, dead / units, full / units, f"{stage}: {'; '.join(lines)}.")


class _Row(NamedTuple):
    """A stage's bars: shares of all units of its activation functions."""

    stage: str
    dead: float
    saturated: float
    told: str


def tallies(network: Network, batches: Iterable[Tensor], stages: Sequence[str]) -> list[Tally]:
    """What each activation function of these stages did to images (B, C, H, W), uint8 or normalised, by its calls.

    A function that a stage calls twice is met twice: its units differ. Calls stand in the order that they come in.
    """
    counted: dict[tuple[str, int], Tally] = {}
    last = max(network.stages.index(stage) for stage in stages)
    with torch.no_grad():
        for images in batches:
            x = network.entering(images)
            for stage in network.stages[: last + 1]:
                with _Watching(counted if stage in stages else None, stage):
                    x = network.backbone.stages[stage](x)
    return list(counted.values())


class _Watching(TorchFunctionMode):
    """Sees what enters activation functions while a stage computes, and adds it to the tallies; changes nothing."""

    def __init__(self, counted: dict[tuple[str, int], Tally] | None, stage: str) -> None:
        super().__init__()
        self._found, self._stage, self._calls = counted, stage, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        activation = args[0] if args else kwargs.get("input")
        if self._found is None or not isinstance(activation, Tensor):
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "").strip("_")
        kind = _kind(name, args, kwargs)
        if kind is not None:
            self._add(self._found, kind, activation)
        last = name in LAST or (getattr(activation, "units_last", False) and (kind is not None or name == "dropout"))
        result = func(*args, **kwargs)
        if last:
            result.units_last = True  # for the next function: the shape alone does not tell
        return result

    def _add(self, counted: dict[tuple[str, int], Tally], kind: _Kind, x: Tensor) -> None:
        unit = x.ndim - 1 if x.ndim in (1, 3) or getattr(x, "units_last", False) else 1
        flat = x.detach().movedim(unit, 0).flatten(1)  # (D, images and places)
        positive = (flat > 0).any(dim=1).cpu()
        bound = ((flat <= kind.low) | (flat >= kind.high)).sum(dim=1).cpu()
        key = (self._stage, self._calls)
        self._calls += 1
        tally = counted.setdefault(key, Tally(self._stage, kind, torch.zeros_like(positive), torch.zeros_like(bound)))
        tally.positive |= positive
        tally.bound += bound
        tally.places += flat.shape[1]


def _kind(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> _Kind | None:
    """Which activation function a call is, None where it is none; a cut at 0 is a ReLU however it is called."""
    if name in KINDS:
        return KINDS[name]
    if name not in CUTS:
        return None
    either_side = {"min_val": -1.0, "max_val": 1.0} if name == "hardtanh" else {}
    arguments: dict[str, Any] = {**either_side, **dict(zip(CUTS[name], args[1:], strict=False)), **kwargs}
    low, high = [arguments.get(key) for key in CUTS[name]]
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return None
    if low == 0:
        return KINDS["relu"] if high is None else KINDS["relu6"] if high == 6 else _Kind("hardtanh", True, high=high)
    return _Kind("hardtanh", False, low, high) if name == "hardtanh" and low is not None and high is not None else None


def _listed(units: Sequence[tuple[int, int]]) -> str:
    """The first ones by name: 3:17 is channel 17 of the stage's third such function."""
    if not units:
        return ""
    more = ", ..." if len(units) > LISTED else ""
    return f" ({', '.join(f'{call}:{unit}' for call, unit in units[:LISTED])}{more})"


def _bars(rows: Sequence[_Row]) -> RgbImage:
    figure = Figure(figsize=(6.4, 1.2 + 0.5 * len(rows)), dpi=100, layout="constrained")
    axes = figure.subplots()
    at = range(len(rows))
    for shift, name, colour in ((-0.2, "dead", "#444444"), (0.2, "saturated", "#d95f02")):
        shares = [100 * getattr(row, name) for row in rows]
        bars = axes.barh([n + shift for n in at], shares, height=0.38, color=colour, label=name)
        axes.bar_label(bars, [f"{share:.1f} %" for share in shares], padding=3, fontsize=8)
    axes.set_yticks(list(at), [row.stage for row in rows])
    axes.invert_yaxis()  # the input above
    axes.set_xlabel("% of the stage's units")
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    return drawing(figure)
