"""What an equal tuning tried and chose: for result.json, and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headstart.recipes.search_space import Space, at_border
from headstart.recipes.trial_scores import Rung, TrialScore
from headstart.system.printing.aligned_columns import aligned


@dataclass(frozen=True)
class Search:
    """A successive halving that is done."""

    space: Space
    settings: Sequence[Mapping[str, float]]
    seeds: Sequence[int]
    rungs: Sequence[Rung]  # from the shortest length to the longest; none where there was nothing to try
    metric: str | None
    lower: bool  # whether a lower value of the metric is better

    @property
    def best(self) -> int:
        """The number of the chosen setting."""
        return self.rungs[-1].ranked(lower=self.lower)[0] if self.rungs else 0


def tuning_record(search: Search) -> dict[str, Any]:
    """The entry `tuned` of result.json."""
    chosen = dict(search.settings[search.best])
    results = [result for rung in search.rungs for result in rung.all_results]
    return {
        "trials": len(search.settings),
        "seeds": list(search.seeds),
        "by": search.metric,
        "space": {key: list(bounds) for key, bounds in search.space.items()},
        "chosen": chosen,
        "border": at_border(search.space, chosen),
        "tried": [trial for number in range(len(search.rungs)) for trial in _trials(search, number)],
        "cost": {
            "wall_s": round(sum(result["wall_s"] for result in results), 4),
            "examples": sum(result["examples"] for result in results),
            "steps": sum(result["steps"] for result in results),
            "runs": len(results),
        },
    }


def _trials(search: Search, number: int) -> list[dict[str, Any]]:
    """The trials of one rung."""
    rung = search.rungs[number]
    next_trials = (search.rungs[number + 1] if number + 1 < len(search.rungs) else rung).trials
    entries = []
    for setting, trials in rung.trials.items():
        scores, results = rung.seed_scores[setting], rung.results[setting]
        for seed, trial, result, score in zip(search.seeds, trials, results, scores, strict=True):
            state = "diverged" if score.value is None else "finished" if setting in next_trials else "pruned"
            entries.append(
                {
                    "values": dict(search.settings[setting]),
                    "seed": seed,
                    "epochs": result["evaluations"][-1]["epoch"],
                    "steps": result["steps"],
                    "metric": score.value,
                    "folder": trial.folder.as_posix(),
                    "state": state,
                }
            )
    return entries


def tuning_lines(search: Search) -> str:
    """The settings as lines, with the value at each length; the chosen one is marked."""
    cells = [[*search.space, *(_length(rung) for rung in search.rungs), ""]]
    for number, values in enumerate(search.settings):
        scores = [_score_text(rung.scores.get(number)) for rung in search.rungs]
        mark = "chosen" if number == search.best else ""
        cells.append([*(f"{values[key]:g}" for key in search.space), *scores, mark])
    over = f", over {len(search.seeds)} seeds" if len(search.seeds) > 1 else ""
    head = f"{len(search.settings)} settings tried, by {search.metric} (mean of the last evaluations{over}):"
    return "\n".join([head, *(f"  {line}" for line in aligned(cells))])


def cost_line(cost: Mapping[str, Any], rungs: Sequence[Rung]) -> str:
    """The cost of the trials, in trials of the greatest length."""
    longest = max(1, *(result["steps"] for result in rungs[-1].all_results))  # one that diverged has ended early
    return (
        f"  they cost as much as {cost['steps'] / longest:.2g} trials of full length ({cost['runs']} trials, "
        f"{cost['wall_s']:.0f} s), once for all seeds and studies"
    )


def _length(rung: Rung) -> str:
    epochs = max(result["evaluations"][-1]["epoch"] for result in rung.all_results)
    steps = max(result["steps"] for result in rung.all_results)
    cfg = next(iter(rung.trials.values()))[0].cfg
    by_epochs = (cfg.trainer.get("max_epochs") or -1) > 0
    return f"{epochs:g} epoch{'' if epochs == 1 else 's'}" if by_epochs else f"{steps} steps"


def _score_text(score: TrialScore | None) -> str:
    if score is None:
        return ""
    return "diverged" if score.value is None else f"{score.value:.3f}"
