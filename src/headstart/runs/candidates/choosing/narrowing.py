"""Narrowing of candidates before anything is trained: by speed, then by a score of their frozen features."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headstart.data.data_protocols import is_multi_label, is_regression
from headstart.runs.candidates.candidate import SourceCandidate
from headstart.runs.candidates.choosing.inference_speed import InferenceSpeed, inference_speed
from headstart.runs.candidates.choosing.time_left import TimeLeft
from headstart.runs.candidates.ranking.candidate_row import RankingSettings
from headstart.runs.candidates.ranking.ranking import ranking
from headstart.runs.folder.run_folder import write_json
from headstart.runs.model_parts.assembly import assembled

log = logging.getLogger(__name__)
FILE = "candidates.json"
SCORE = "logistic"  # cross-validated accuracy of a logistic regression on the training images' features


class Dropped(NamedTuple):
    """What was left out, at which second, and why."""

    what: str
    at_s: float
    why: str


class Narrowed(NamedTuple):
    """The candidates that go on.

    Attributes:
        kept: In the order of their scores where there are some.
        dropped: The others.
        speeds: Candidate -> its speed.
        scores: Candidate -> cross-validated accuracy of a logistic regression on its features; of those that have one.
    """

    kept: list[SourceCandidate]
    dropped: list[Dropped]
    speeds: dict[str, InferenceSpeed]
    scores: dict[str, float]


def noted_narrowing(candidates: Sequence[SourceCandidate], folder: Path) -> Narrowed | None:
    """What an earlier process of the same command found; None where it did not come so far, or of other candidates.

    Args:
        candidates: That can be computed.
        folder: Of the command.
    """
    try:
        noted = json.loads((folder / FILE).read_text(encoding="utf-8"))
        by_text = {candidate.text: candidate for candidate in candidates}
        texts = [*noted["kept"], *(entry[0] for entry in noted["dropped"])]
        if (
            noted["hashes"] != {text: candidate.hash for text, candidate in by_text.items()}
            or not noted["kept"]
            or sorted(texts) != sorted(by_text)
            or sorted(noted["speeds"]) != sorted(by_text)
        ):
            return None
        return Narrowed(
            [by_text[text] for text in noted["kept"]],
            [Dropped(*entry) for entry in noted["dropped"]],
            {text: InferenceSpeed(*speed) for text, speed in noted["speeds"].items()},
            noted["scores"],
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


def note_narrowing(narrowing: Narrowed, candidates: Sequence[SourceCandidate], folder: Path) -> None:
    """Write down which candidates go on, for a process that goes on after this one was killed.

    Args:
        narrowing: To note.
        candidates: That could be computed.
        folder: Of the command.
    """
    content = {
        "hashes": {candidate.text: candidate.hash for candidate in candidates},
        "kept": [candidate.text for candidate in narrowing.kept],
        "dropped": [list(entry) for entry in narrowing.dropped],
        "speeds": {text: list(speed) for text, speed in narrowing.speeds.items()},
        "scores": narrowing.scores,
    }
    write_json(folder / FILE, content)


def narrowed(
    candidates: Sequence[SourceCandidate], time_left: TimeLeft, *, share: float, keep: int, seed: int
) -> Narrowed:
    """The candidates whose features can be had in time, and of those the best by score.

    A candidate is left out where one pass over train and val would take longer than its part of the time for scores,
    where it is told apart from the best one by halves of the images, or where `keep` others are better. The scores are
    of training images alone. What starts from no source has no features to score: it goes on.

    Args:
        candidates: That can be computed.
        time_left: Of the command.
        share: Of the whole time, until which the scores are to be there.
        keep: How many go on at most.
        seed: Of the halves.
    """
    data = _data(candidates[0])
    images = sum(data.sizes.get(split, 0) for split in ("train", "val"))
    speeds = {candidate.text: inference_speed(candidate.cfg) for candidate in candidates}
    in_time, dropped = list[SourceCandidate](), list[Dropped]()
    fastest = min(candidates, key=lambda candidate: speeds[candidate.text].image_s)
    part = time_left.until(share) / len(candidates)
    for candidate in candidates:
        needed = images * speeds[candidate.text].image_s
        if needed > part and candidate is not fastest:
            why = f"one pass over {images} images would take {needed:.0f} s, and its part of the time is {part:.0f} s"
            dropped.append(_dropped(candidate.text, time_left, why))
        else:
            in_time.append(candidate)
    scored = [candidate for candidate in in_time if candidate.cfg.reuse]
    if len(scored) < 2 or is_multi_label(data) or is_regression(data):
        if len(scored) > 1:
            log.info("candidates are scored by single classes, which these data have none of: all go on")
        return Narrowed(in_time, dropped, speeds, {})
    ranked = ranking(scored, _settings(seed))
    entries = sorted(ranked["candidates"], key=lambda entry: -entry["scores"][SCORE]["value"])
    scores = {entry["candidate"]: float(entry["scores"][SCORE]["value"]) for entry in entries}
    kept = list[SourceCandidate]()
    for entry in entries:
        why = _behind(entry, entries[0], is_full=len(kept) >= keep)
        if why and kept:
            dropped.append(_dropped(entry["candidate"], time_left, why))
        else:
            kept.append(next(candidate for candidate in scored if candidate.text == entry["candidate"]))
    return Narrowed([*kept, *(other for other in in_time if other not in scored)], dropped, speeds, scores)


def _behind(entry: dict[str, Any], best: dict[str, Any], *, is_full: bool) -> str:
    """Why a candidate does not go on; "" where it does."""
    value, first = entry["scores"][SCORE]["value"], best["scores"][SCORE]["value"]
    compared = f"a logistic regression on its features has {value:.3f}, on those of {best['candidate']} {first:.3f}"
    if entry["behind_first"]["told_apart"]:
        return f"{compared}: halves of the images tell them apart"
    return f"{compared}, and choose.keep others are better" if is_full else ""


def _settings(seed: int) -> RankingSettings:
    return RankingSettings(
        by=SCORE, scores=(SCORE,), neighbours=5, sample=2000, half_samples=20, half_images=500, depth=False, seed=seed
    )


def _data(candidate: SourceCandidate) -> Any:
    data = assembled(candidate.cfg).data
    data.setup("fit")
    return data


def _dropped(what: str, time_left: TimeLeft, why: str) -> Dropped:
    log.info("left out: %s, %s", what, why)
    return Dropped(what, round(time_left.spent, 1), why)
