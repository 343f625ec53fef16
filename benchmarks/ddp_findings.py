"""What the records of both ranks say about a way of unfreezing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ddp_task import EPOCHS, INTERRUPTED_AFTER, RANKS, STAGES, part_of
from ddp_ways import Way
from torch import Tensor

NOT_WEIGHTS = ("running_mean", "running_var", "num_batches_tracked")
Epochs = Mapping[int, Any]


@dataclass(frozen=True)
class Finding:
    """Of one way and one seed. The lists have one entry for each epoch."""

    drift: list[float]  # the largest absolute difference of a weight between the ranks
    sent: list[float]  # bytes all-reduced, by step
    open: list[int]  # bytes of the weights that the schedule has open
    closed_weights_move: str  # "no", "BatchNorm's" or "yes"
    closed_statistics_move: bool
    closed_in_training: bool  # a closed BatchNorm normalises with its batch
    error: str | None
    learning: dict[int, str]  # epoch -> the parts whose weights move, after the interruption, in the whole run
    learning_resumed: dict[int, str]  # the same in the resumed one
    resumed_differs: float | None  # the largest absolute difference of a final weight, whole to resumed, on rank 0
    error_resumed: str | None


def finding(way: Way, folder: Path) -> Finding:
    """What the records in a seed's folder say."""
    whole = [_record(folder / f"whole-rank{rank}.pt") for rank in range(RANKS)]
    again = [_record(folder / f"resumed-rank{rank}.pt") for rank in range(RANKS)]
    epochs = [record["epochs"] for record in whole]
    done = sorted(epochs[0].keys() & epochs[1].keys())
    weights = [name for name in whole[0]["start"] if not name.endswith(NOT_WEIGHTS)]
    norms = _of_norms(weights, whole[0]["start"])
    statistics = [name for name in whole[0]["start"] if name.endswith(NOT_WEIGHTS[:2])]
    closed_statistics = closed_training = False
    closed_weights: set[str] = set()
    for rank in range(RANKS):
        for epoch in done:
            moved = _moved(whole[rank], epoch)
            closed = [name for name in (*weights, *statistics) if part_of(name) not in way.opens[epoch]]
            closed_weights |= {name for name in closed if name in moved and name in weights}
            closed_statistics |= any(name in moved for name in closed if name in statistics)
            closed_training |= any(
                part_of(f"{name}.") not in way.opens[epoch] for name in epochs[rank][epoch]["batch_norm_in_training"]
            )
    last = EPOCHS - 1
    ended = last in epochs[0] and last in again[0]["epochs"]
    return Finding(
        drift=[_apart(epochs[0][e]["state"], epochs[1][e]["state"], weights) for e in done],
        sent=[epochs[0][e]["bytes_a_step"] for e in done],
        open=[_size(epochs[0][e]["state"], weights, way.opens[e]) for e in done],
        closed_weights_move="no" if not closed_weights else "yes" if closed_weights - norms else "BatchNorm's",
        closed_statistics_move=closed_statistics,
        closed_in_training=closed_training,
        error=_first(record["error"] for record in whole),
        learning=_learning(whole[0], weights),
        learning_resumed=_learning(again[0], weights),
        resumed_differs=_apart(epochs[0][last]["state"], again[0]["epochs"][last]["state"], weights) if ended else None,
        error_resumed=_first(record["error"] for record in again),
    )


def _record(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"start": {}, "epochs": {}, "error": "the process was ended or hung"}
    return torch.load(path)


def _first(errors: Any) -> str | None:
    return next((error for error in errors if error is not None), None)


def _moved(record: Mapping[str, Any], epoch: int) -> set[str]:
    """The names of what changed in an epoch; empty where the state before it was not seen."""
    now = record["epochs"][epoch]["state"]
    before = record["epochs"].get(epoch - 1, {"state": record["start"]})["state"]
    return {name for name in now if not torch.equal(now[name], before[name])}


def _apart(one: Mapping[str, Tensor], other: Mapping[str, Tensor], names: Sequence[str]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in names)


def _size(state: Mapping[str, Tensor], names: Sequence[str], parts: Sequence[str]) -> int:
    return sum(state[name].numel() * state[name].element_size() for name in names if part_of(name) in parts)


def _learning(record: Mapping[str, Any], weights: Sequence[str]) -> dict[int, str]:
    found = {}
    for epoch in sorted(record["epochs"]):
        if epoch <= INTERRUPTED_AFTER:
            continue
        moved = _moved(record, epoch)
        words = []
        for part in STAGES:
            names = {name for name in weights if part_of(name) == part}
            if names <= moved:
                words.append(part)
            elif names & moved:
                norms = _of_norms(weights, record["start"])
                words.append(f"{part}'s BatchNorm" if names & moved <= norms else f"some of {part}")
        found[epoch] = ", ".join(words) or "nothing"
    return found


def _of_norms(weights: Sequence[str], state: Mapping[str, Tensor]) -> set[str]:
    """The weights that lie in a BatchNorm."""
    return {name for name in weights if f"{name.rpartition('.')[0]}.running_mean" in state}
