"""The recommendation of a ranking, in words that say how sure it is."""

from __future__ import annotations

import math
from typing import Any

from headstart.report.analysis.ranked_candidates import Ranked, by_score, by_static_rank, scores_in

NAMES = {
    "logistic": "cross-validated logistic regression",
    "neighbours": "leave-one-out nearest neighbours",
    "logme": "LogME",
    "h_score": "H-score (regularised)",
    "plain_h_score": "H-score (plain)",
    "leep": "LEEP",
    "nce": "NCE",
    "n_leep": "N-LEEP",
    "gbc": "GBC",
    "parc": "PARC",
    "transrate": "TransRate",
    "sfda": "SFDA",
    "etran": "ETran",
}
ACCURACIES = ("logistic", "neighbours")
SHOWN = 4  # candidates that a sentence names
ENOUGH = 3  # candidates, above which a rank correlation can differ from that of chance


def recommendation(result: dict[str, Any]) -> list[str]:
    """The sentences: which candidate, how sure, what other scores say, which depth, and what this cannot say.

    Args:
        result: The content of result.json of task=rank_sources.
    """
    return [
        *_choice(result),
        *_chance(result),
        *_agreement(result),
        *_depth(result),
        "This ranks frozen features. Whether a source helps at all, and which mode is best, say runs: headstart -m "
        "mode=scratch,feature_extraction,fine_tuning control=false,true seed=0,1,2",
    ]


def _choice(result: dict[str, Any]) -> list[str]:
    by, listed = result["by"], result["candidates"]
    pick = next(entry for entry in listed if entry["candidate"] == result["pick"])
    value = f"{NAMES[by]} {pick['scores'][by]['value']:.3f}"
    if len(by_score(listed, by)) == 1:
        return [f"{pick['candidate']} is the only candidate ({value}): there is nothing to compare it with."]
    draws = result["half_samples"]["draws"]
    images = f"{result['sizes']['train']:,} training images"
    if draws < 2:
        return [
            f"First is {pick['candidate']} ({value}). How sure that is nobody knows: there are no intervals "
            "(rank_sources.half_samples=20 gives some)."
        ]
    open_ones = [
        entry for entry in by_score(listed, by) if entry is not pick and not entry["behind_first"]["told_apart"]
    ]
    first = f"it is first in {pick['scores'][by]['first']:.0%} of {draws} half-samples"
    if not open_ones:
        return [f"Take {pick['candidate']}: {value}; {images} tell it from every other candidate, and {first}."]
    named = "; ".join(_gap(entry) for entry in open_ones[:SHOWN])
    more = f"; and {len(open_ones) - SHOWN} more" if len(open_ones) > SHOWN else ""
    smallest = min([pick, *open_ones], key=lambda entry: int(entry["parameters"]))
    sizes = {int(entry["parameters"]) for entry in (pick, *open_ones)}
    small = (
        f" The smallest of them is {smallest['candidate']} ({smallest['parameters']:,} parameters)."
        if len(sizes) > 1
        else ""
    )
    return [
        f"Not sure: {pick['candidate']} is first ({value}), {first}, but {images} do not tell it from {named}{more}. "
        f"Fine-tune these, or take the one that costs least.{small}"
    ]


def _gap(entry: Ranked) -> str:
    behind = entry["behind_first"]
    return f"{entry['candidate']} ({behind['difference']:+.3f} {_bounds(behind)})"


def _bounds(gap: dict[str, Any]) -> str:
    """The interval of a difference; without half-samples there is none, which is null on disk."""
    if gap["low"] is None or math.isinf(gap["low"]):
        return "(no interval)"
    return f"[{gap['low']:+.3f}, {gap['high']:+.3f}]"


def _chance(result: dict[str, Any]) -> list[str]:
    by, chance = result["by"], result["chance"]["largest_class"]
    name = by if by in ACCURACIES else "neighbours"
    values = [entry["scores"][name]["value"] for entry in result["candidates"] if name in entry["scores"]]
    if values and max(values) <= chance:
        return [
            f"No candidate's features are better than naming the largest class ({chance:.3f}): none of these "
            "sources is a good start."
        ]
    return []


def _agreement(result: dict[str, Any]) -> list[str]:
    listed, pick, by = result["candidates"], result["pick"], result["by"]
    names = [name for name in scores_in(listed) if len(by_score(listed, name)) > 1]
    if len(listed) < 2 or len(names) < 2:
        return []
    tops = {name: by_score(listed, name)[0]["candidate"] for name in names}
    agreeing = sum(top == pick for top in tops.values())
    others: dict[str, list[str]] = {}
    for name, top in tops.items():
        if top != pick:
            others.setdefault(top, []).append(name)
    told = "; ".join(f"{', '.join(own)} put {top} first" for top, own in others.items())
    taus = {other: tau for other, tau in result["agreement"]["weighted"][by].items() if other != by and tau is not None}
    static = by_static_rank(listed)[0]["candidate"]
    sentences = [
        f"{agreeing} of {len(names)} scores put {pick} first{f'; {told}' if told else ''}. The static rank "
        f"(parameters) puts {static} first."
    ]
    if len(listed) > ENOUGH and taus:
        low, high = min(taus, key=lambda key: taus[key]), max(taus, key=lambda key: taus[key])
        sentences.append(
            f"Weighted Kendall tau of {by} with the other scores is {taus[low]:+.2f} ({low}) to {taus[high]:+.2f} "
            f"({high}); a score that knows nothing stays below {result['null_weighted_tau']:.2f} in 95 % of sets of "
            f"{len(listed)} candidates."
        )
    return sentences


def _depth(result: dict[str, Any]) -> list[str]:
    pick = next(entry for entry in result["candidates"] if entry["candidate"] == result["pick"])
    depth = pick["depth"]
    if depth is None:
        return []
    last, stages = depth["last"], list(pick["stages"])
    if depth["best"] == stages[-1]:
        return [f"Depth: keep all {len(stages)} stages, whose last has the best features ({depth['by']})."]
    gap = f"{last['difference']:+.3f} {_bounds(last)}"
    if depth["last_told_apart"]:
        return [
            f"Depth: features after {depth['best']} are better than after {stages[-1]} ({depth['by']}: the last is "
            f"{gap}); try backbone.keep={depth['keep']}, or fine-tune the stages above it."
        ]
    return [
        f"Depth: features after {depth['best']} are first ({depth['by']}), but not told from those after {stages[-1]} "
        f"({gap}); keep all stages, or backbone.keep={depth['keep']} where speed counts."
    ]
