"""What a choice tried, chose and dropped: for result.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headstart.report.leaderboard.pareto_front import pareto_front
from headstart.runs.candidates.choosing.arm import NO_SOURCE, ComparedArm
from headstart.runs.candidates.choosing.inference_speed import InferenceSpeed
from headstart.runs.candidates.choosing.narrowing import Narrowed
from headstart.runs.candidates.choosing.timed_halving import Halving, TriedPair

COSTS = ("train_s", "peak_memory_mib", "parameters", "latency_ms")


def candidate_entries(narrowing: Narrowed, unavailable: dict[str, str]) -> list[dict[str, Any]]:
    """The candidates: what is known of each, and why it does not go on.

    Args:
        narrowing: The candidates that could be had.
        unavailable: Why another one could not.
    """
    dropped = {entry.what: entry for entry in narrowing.dropped}
    texts = [*(candidate.text for candidate in narrowing.kept), *dropped]
    entries: list[dict[str, Any]] = [
        {
            "candidate": text,
            "kept": text not in dropped,
            "why": dropped[text].why if text in dropped else "",
            "at_s": dropped[text].at_s if text in dropped else None,
            "score": narrowing.scores.get(text),
            **narrowing.speeds[text]._asdict(),
        }
        for text in texts
    ]
    return [*entries, *({"candidate": text, "kept": False, "why": why} for text, why in unavailable.items())]


def trial_entries(arms: Sequence[ComparedArm], halving: Halving) -> list[dict[str, Any]]:
    """All trials in their order, each with what became of its setting.

    Args:
        arms: That were compared.
        halving: What was tried.
    """
    entries = []
    for number, rung in enumerate(halving.rungs):
        following = {tried.pair for later in halving.rungs[number + 1 :] for tried in later}
        for tried in rung:
            arm, is_last = arms[tried.pair.arm], number + 1 == len(halving.rungs)
            state, why = tried.state, tried.why
            if tried.is_measured and not is_last and tried.pair not in following:
                state, why = "dropped", "neither the best of its arm nor in the better half at this length"
            entries.append(
                {
                    "candidate": arm.candidate,
                    "mode": arm.mode,
                    "values": dict(arm.settings[tried.pair.setting]),
                    "epochs": tried.epochs,
                    "metric": tried.score.value if tried.score else None,
                    "state": state,
                    "why": why,
                    "at_s": tried.at_s,
                    "folder": tried.folder.as_posix(),
                }
            )
    return entries


def pareto_entries(
    arms: Sequence[ComparedArm], halving: Halving, speeds: dict[str, InferenceSpeed]
) -> list[dict[str, Any]]:
    """The best setting of each arm: its val metric, and what it costs; front: the costs in which no arm beats it.

    An arm is on the front of a cost where no other one is as good on val for less, or better for as much.

    Args:
        arms: That were compared.
        halving: What was tried.
        speeds: Candidate -> its speed; of mode=scratch under its name.
    """
    best: dict[int, TriedPair] = {}
    for tried in halving.ranked():
        best.setdefault(tried.pair.arm, tried)
    entries = [_costs(arms[number], tried, speeds) for number, tried in best.items()]
    for entry in entries:
        entry["front"] = []
    metrics = [entry["metric"] for entry in entries]
    for cost in COSTS:
        for position in pareto_front(metrics, [entry[cost] for entry in entries], lower=halving.lower):
            entries[position]["front"].append(cost)
    return entries


def _costs(arm: ComparedArm, tried: TriedPair, speeds: dict[str, InferenceSpeed]) -> dict[str, Any]:
    assert tried.result is not None
    assert tried.score is not None
    speed = speeds[arm.candidate if arm.candidate in speeds else NO_SOURCE]
    return {
        "candidate": arm.candidate,
        "mode": arm.mode,
        "metric": tried.score.value,
        "epochs": tried.epochs,
        "train_s": tried.result["wall_s"],
        "peak_memory_mib": tried.result["peak_memory_mib"],
        "parameters": speed.parameters,
        "latency_ms": speed.latency_ms,
    }
