"""A ranking of candidates as plain values: scores, ranks and their intervals, agreement, depth, chance."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.report.statistics.rank_correlation import null_point, rank_correlation
from headstart.report.statistics.rank_intervals import behind_first, centred_draws, rank_intervals
from headstart.runs.candidates.candidate import SourceCandidate
from headstart.runs.candidates.ranking.candidate_features import candidate_features
from headstart.runs.candidates.ranking.candidate_row import (
    DEPTH_BY,
    CandidateRow,
    ImageSamples,
    RankingSettings,
    candidate_row,
    image_samples,
)
from headstart.runs.candidates.ranking.candidate_scores import ETRAN, etran_of
from headstart.types import UserError

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]


def ranking(candidates: Sequence[SourceCandidate], settings: RankingSettings) -> dict[str, Any]:
    """The ranking of candidates by their features of the target's training images.

    Each candidate makes one pass over train and val; test is not looked at.

    Args:
        candidates: That can be computed.
        settings: How they are scored.

    Raises:
        UserError: The target's labels are not one class an image, a source is no good, or no candidate has the score
            that the recommendation follows.
    """
    rows, samples = _rows(candidates, settings)
    whole, draws = _scores(rows, samples, settings)
    if not np.isfinite(whole[settings.by]).any():
        reasons = "; ".join(sorted({row.missing.get(settings.by, "") for row in rows}))
        raise UserError(f"no candidate has the score rank_sources.by={settings.by}: {reasons}; try another")
    listed = [_candidate(row, number, whole, draws, settings) for number, row in enumerate(rows)]
    counts = np.unique(samples.labels, return_counts=True)[1]
    first = int(np.nanargmax(whole[settings.by]))
    behind = behind_first(whole[settings.by], draws[settings.by], first)
    for entry, gap in zip(listed, behind, strict=True):
        entry["behind_first"] = {**gap._asdict(), "told_apart": gap.is_told_apart}
    return {
        "by": settings.by,
        "pick": rows[first].candidate.text,
        "candidates": listed,
        "agreement": _agreement(whole),
        "null_weighted_tau": null_point(len(rows), weighted=True) if len(rows) > 1 else None,
        "chance": {
            "largest_class": float(counts.max() / counts.sum()),
            "uniform": 1 / len(rows[0].features.class_names),
        },
        "sizes": {"train": len(samples.labels), "val": rows[0].val[2] if rows[0].val else 0},
        "sample": len(samples.sample),
        "half_samples": {"draws": len(samples.halves), "images": len(samples.halved)},
        "num_classes": len(rows[0].features.class_names),
        "class_names": list(rows[0].features.class_names),
    }


def _rows(candidates: Sequence[SourceCandidate], settings: RankingSettings) -> tuple[list[CandidateRow], ImageSamples]:
    rows: list[CandidateRow] = []
    samples: ImageSamples | None = None
    for number, candidate in enumerate(candidates, 1):
        features = candidate_features(candidate)
        if samples is None:
            samples = image_samples(features.labels, settings)
        if not np.array_equal(samples.labels, features.labels):
            raise UserError(
                f"candidate {candidate.text!r} sees other training images than {candidates[0].text!r}; do their "
                "settings draw other ones?"
            )
        rows.append(candidate_row(candidate, features, samples, settings))
        log.info(
            "%d of %d: %s, features %.1f s, scores %.1f s",
            number, len(candidates), candidate.text, features.seconds, rows[-1].seconds,
        )  # fmt: skip
    assert samples is not None
    return rows, samples


def _scores(
    rows: Sequence[CandidateRow], samples: ImageSamples, settings: RankingSettings
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Score -> its values (candidates,), and its draws (draws, candidates) around them."""
    whole, draws = {}, {}
    for name in settings.scores:
        if name == "etran":
            value = etran_of(*(_values(rows, part) for part in ETRAN))
            halves = etran_of(*(_halves(rows, part, samples) for part in ETRAN))
        else:
            value, halves = _values(rows, name), _halves(rows, name, samples)
        part = ETRAN[1] if name == "etran" else name
        used = max((row.values[part].images for row in rows if part in row.values), default=1)
        whole[name] = value
        draws[name] = centred_draws(value, halves, len(samples.halved) / used)
    return whole, draws


def _values(rows: Sequence[CandidateRow], part: str) -> Floats:
    return np.array([row.values[part].value if part in row.values else np.nan for row in rows], dtype=np.float64)


def _halves(rows: Sequence[CandidateRow], part: str, samples: ImageSamples) -> Floats:
    empty = np.full(len(samples.halves), np.nan)
    return np.stack([row.halves.get(part, empty) for row in rows], axis=-1)


def _candidate(
    row: CandidateRow,
    number: int,
    whole: dict[str, Floats],
    draws: dict[str, Floats],
    settings: RankingSettings,
) -> dict[str, Any]:
    static, scores = row.features.static, {}
    for name in settings.scores:
        if not np.isfinite(whole[name][number]):
            continue
        parts = [row.values[part] for part in (ETRAN if name == "etran" else (name,))]
        interval = rank_intervals(whole[name], draws[name])[number]
        scores[name] = {
            "value": float(whole[name][number]),
            **interval._asdict(),
            "images": parts[0].images,
            "seconds": sum(part.seconds for part in parts),
        }
    val = row.val
    return {
        "candidate": row.candidate.text,
        "hash": row.candidate.hash,
        "origin": row.features.origin,
        "parameters": static.parameters,
        "own_accuracy": static.accuracy,
        "own_accuracy_on": static.accuracy_on,
        "stages": row.stages,
        "scores": scores,
        "missing": row.missing,
        "val/accuracy": None if val is None else val[0],
        "val_interval": None if val is None else list(val[1]),
        "by_stage": row.by_stage,
        "depth": _depth(row, settings),
        "seconds": {"features": row.features.seconds, "scores": row.seconds},
    }


def _depth(row: CandidateRow, settings: RankingSettings) -> dict[str, Any] | None:
    """The stage after which the features are best, and whether the last one is told apart from it."""
    names, by = list(row.by_stage), DEPTH_BY
    if len(names) < 2 or any(by not in row.by_stage[name] for name in names):
        return None
    values = np.array([row.by_stage[name][by] for name in names], dtype=np.float64)
    best = int(len(values) - 1 - np.argmax(values[::-1]))  # of equals the deepest: there is nothing to cut
    used = row.values[by].images if by in row.values else len(row.features.labels)
    halves = row.stage_halves if row.stage_halves.size else np.empty((0, len(values)))
    draws = centred_draws(values, halves, settings.half_images / used if used > settings.half_images else 1.0)
    last = behind_first(values, draws, best)[-1]
    return {
        "by": by,
        "best": names[best],
        "keep": best + 1,
        "value": float(values[best]),
        "last": last._asdict(),
        "last_told_apart": last.is_told_apart,
    }


def _agreement(whole: dict[str, Floats]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Plain and weighted Kendall tau between each two scores, over the candidates that have both."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for kind, weighted in (("plain", False), ("weighted", True)):
        found[kind] = {}
        for one, left in whole.items():
            row: dict[str, float | None] = {}
            for other, right in whole.items():
                both = np.isfinite(left) & np.isfinite(right)
                tau = rank_correlation(left[both], right[both], weighted=weighted) if both.sum() > 1 else np.nan
                row[other] = float(tau) if np.isfinite(tau) else None
            found[kind][one] = row
    return found
