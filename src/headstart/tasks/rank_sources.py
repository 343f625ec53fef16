"""The task `rank_sources`: which source to start from, by scores of its frozen features on the target's images."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, MinLen
from omegaconf import DictConfig

from headstart.report.rendering.ranking_page import ranking_markdown, ranking_text
from headstart.runs.candidates.candidate import SourceCandidate, composed_candidates
from headstart.runs.candidates.candidate_check import available
from headstart.runs.candidates.ranking.candidate_features import check_labels
from headstart.runs.candidates.ranking.candidate_row import RankingSettings
from headstart.runs.candidates.ranking.candidate_scores import ALL, ScoreName
from headstart.runs.candidates.ranking.ranking import ranking
from headstart.runs.candidates.ranking.ranking_picture import ranking_figure
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import finished_or
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.folder.run_naming import Hashes, job_overrides
from headstart.runs.outcome.library_versions import versions
from headstart.runs.outcome.result_pictures import picture_loggers, show_in
from headstart.runs.probing.frozen_features import NO_SOURCE, check_before, result_origin
from headstart.system import rank_environment
from headstart.system.files.atomic_write import write_whole
from headstart.system.printing.terminal_printing import tell
from headstart.types import UserError

PAGE, PICTURE = "ranking.md", "ranking.png"


def rank_sources(
    *,
    cfg: DictConfig,
    candidates: Annotated[list[str], MinLen(1)],
    by: ScoreName,
    scores: Annotated[list[ScoreName], MinLen(1)] | None,
    neighbours: Annotated[int, Ge(1)],
    sample: Annotated[int, Ge(20)],
    half_samples: Annotated[int, Ge(0)],
    half_images: Annotated[int, Ge(20)],
    depth: bool,
    unavailable: Literal["error", "skip"],
) -> float:
    """Score candidates on the target's training images -> the val accuracy of a probe on the recommended one.

    All candidates are composed and checked before the first one is computed. Test images are not looked at. The table
    is printed and written to result.json and ranking.md; the picture goes to the loggers. Only the first of several
    ranks computes.

    Args:
        cfg: The composed config.
        candidates: Source models, in a form that headstart.runs.candidates.candidate_overrides lists.
        by: The score that the recommendation follows.
        scores: Those that are computed besides; None for all.
        neighbours: k of the nearest neighbours.
        sample: Images that scores which need all of them in memory are computed on, at most; stratified.
        half_samples: Halves of the images, for intervals; 0 for none.
        half_images: Images that are halved, at most; stratified.
        depth: Whether the stages before the last are scored too.
        unavailable: What is done about a candidate whose weights cannot be had.

    Raises:
        UserError: A candidate cannot be composed or had, or the target's labels are not one class an image.
    """
    if rank_environment.rank() > 0:
        return math.nan
    if cfg.get("adaptation"):
        raise UserError(
            "task=rank_sources reads the labels of the target, which an adaptation has none of; leave it out"
        )
    found = composed_candidates(cfg, list(candidates), setting="rank_sources.candidates")

    def make(folder: Path, config_hashes: Hashes) -> dict[str, Any]:
        write_mark(folder, config_hashes.now, asked=config_hashes.now)
        chosen = tuple(dict.fromkeys([by, *(ALL if scores is None else scores)]))
        settings = RankingSettings(
            by=by, scores=chosen, neighbours=neighbours, sample=sample, half_samples=half_samples,
            half_images=half_images, depth=depth, seed=int(cfg.seed),
        )  # fmt: skip
        return _ranked(cfg, folder, found, settings, skip=unavailable == "skip")

    result = finished_or(cfg, make, again="ranks", is_of_now=lambda known: _is_of(known, found))
    tell(f"{ranking_text(result)}\n  all tables: {Path(cfg.run_dir) / PAGE}")
    value = result["metrics"].get("val/accuracy")
    return math.nan if value is None else float(value)


def _is_of(result: dict[str, Any], candidates: Sequence[SourceCandidate]) -> bool:
    """Whether a finished ranking is of these candidates: a file or a run of the same name may be another one now."""
    ranked = {entry["candidate"]: entry["hash"] for entry in result["candidates"]}
    return all(
        ranked.get(candidate.text) == candidate.hash or candidate.text in result["unavailable"]
        for candidate in candidates
    )


def _ranked(
    cfg: DictConfig, folder: Path, found: Sequence[SourceCandidate], settings: RankingSettings, *, skip: bool
) -> dict[str, Any]:
    """The content of result.json, written with the page and the pictures."""
    begun = time.monotonic()
    check_before(cfg, check=check_labels)
    usable, reasons = available(found, skip=skip)
    ranked = ranking(usable, settings)
    pick = next(entry for entry in ranked["candidates"] if entry["candidate"] == ranked["pick"])
    accuracy = pick["val/accuracy"]
    result = {
        **result_origin(cfg, folder, NO_SOURCE),
        "metrics": {} if accuracy is None else {"val/accuracy": accuracy},
        **ranked,
        "unavailable": reasons,
        "picture": PICTURE,
        "wall_s": time.monotonic() - begun,
        "versions": versions(),
    }
    _draw(cfg, folder, result)
    write_whole(folder / PAGE, ranking_markdown(result, f"headstart {shlex.join(job_overrides())}"))
    write_json(folder / RESULT, result)
    return result


def _draw(cfg: DictConfig, folder: Path, result: dict[str, Any]) -> None:
    """The picture, as a file and in the loggers, there with the tables."""
    figure = ranking_figure(result)
    figure.savefig(folder / PICTURE, dpi=110)
    show_in(picture_loggers(cfg), "rank_sources", {"ranks": figure}, ranking_text(result, whole=True))
