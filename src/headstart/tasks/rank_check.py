"""The task `rank_check`: whether scores of frozen features foresee which source is best after fine-tuning."""

from __future__ import annotations

import logging
import math
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, MinLen
from numpy.typing import NDArray
from omegaconf import DictConfig

from headstart.report.analysis.ranked_candidates import by_static_rank
from headstart.report.rendering.rank_check_page import rank_check_markdown, rank_check_text
from headstart.report.statistics.rank_correlation import null_point
from headstart.report.statistics.score_checking import CheckedScore, checked_scores, outcomes
from headstart.runs.candidates.candidate import SourceCandidate, composed_candidates
from headstart.runs.candidates.candidate_check import available
from headstart.runs.candidates.candidate_overrides import WORD
from headstart.runs.candidates.ranking.candidate_features import check_labels
from headstart.runs.candidates.ranking.candidate_row import RankingSettings
from headstart.runs.candidates.ranking.candidate_scores import ALL, ScoreName
from headstart.runs.candidates.ranking.fine_tuned import fine_tuned
from headstart.runs.candidates.ranking.ranking import ranking
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.folder_ownership import finished_or
from headstart.runs.folder.run_folder import RESULT, write_json
from headstart.runs.folder.run_naming import Hashes, job_overrides
from headstart.runs.outcome.library_versions import versions
from headstart.runs.probing.frozen_features import NO_SOURCE, check_before, result_origin
from headstart.runs.top_level_settings import Seed
from headstart.runs.training.missing_validation import check_chooses_on_val
from headstart.system import rank_environment
from headstart.system.files.atomic_write import write_whole
from headstart.system.printing.terminal_printing import tell
from headstart.types import UserError

log = logging.getLogger(__name__)
PAGE = "rank_check.md"
STATIC, NEIGHBOURS = "static", "neighbours"
Grid = dict[str, dict[int, list[SourceCandidate]]]  # target -> seed -> candidates


def rank_check(
    *,
    cfg: DictConfig,
    candidates: Annotated[list[str], MinLen(3)],
    targets: Annotated[list[str], MinLen(2)],
    seeds: Annotated[list[Seed], MinLen(2)],
    times: Annotated[list[Annotated[float, Gt(0)]], MinLen(1)],
    scores: Annotated[list[ScoreName], MinLen(1)] | None,
    neighbours: Annotated[int, Ge(1)],
    sample: Annotated[int, Ge(20)],
    draws: Annotated[int, Ge(100)],
) -> float:
    """Score candidates on several targets, fine-tune them there, compare -> the least mean regret of a score's pick.

    Scores see the training images of each target and seed; the truth is the mean test accuracy over the seeds after
    fine-tuning with the command's mode, at the rate that is best on val. Everything that is finished is taken as it
    is, so that an interrupted check goes on. Only the first of several ranks computes.

    Args:
        cfg: The composed config.
        candidates: Source models, as for rank_sources.
        targets: Overrides of the target, one text a target.
        seeds: Of the target's images and of fine-tuning.
        times: Factors of optimizer.lr to choose from, the same for all candidates.
        scores: Those that are checked; None for all.
        neighbours: k of the nearest neighbours.
        sample: As for rank_sources.
        draws: Of the bootstrap over targets and candidates.

    Raises:
        UserError: A candidate or a target cannot be composed or had.
    """
    if rank_environment.rank() > 0:
        return math.nan
    check_chooses_on_val(cfg, "rank_check")

    def make(folder: Path, config_hashes: Hashes) -> dict[str, Any]:
        _check_each_once(targets)
        grid = _composed(cfg, candidates, targets, seeds)
        write_mark(folder, config_hashes.now, asked=config_hashes.now)
        chosen = tuple(dict.fromkeys([NEIGHBOURS, *(ALL if scores is None else scores)]))
        settings = RankingSettings(
            by=NEIGHBOURS, scores=chosen, neighbours=neighbours, sample=sample, half_samples=0, half_images=sample,
            depth=False, seed=int(cfg.seed),
        )  # fmt: skip
        begun = time.monotonic()
        result = {
            **result_origin(cfg, folder, NO_SOURCE),
            **_checked(grid, settings, times, draws),
            "wall_s": time.monotonic() - begun,
            "versions": versions(),
        }
        write_whole(folder / PAGE, rank_check_markdown(result, f"headstart {shlex.join(job_overrides())}"))
        write_json(folder / RESULT, result)
        return result

    result = finished_or(cfg, make, again="checks")
    tell(f"{rank_check_text(result)}\n  page: {Path(cfg.run_dir) / PAGE}")
    return float(result["metrics"]["rank_check/least_regret"])


def _check_each_once(targets: Sequence[str]) -> None:
    if twice := next((target for at, target in enumerate(targets) if target in targets[:at]), None):
        raise UserError(f"rank_check.targets names {twice!r} twice; leave one of them out")


def _composed(cfg: DictConfig, candidates: Sequence[str], targets: Sequence[str], seeds: Sequence[int]) -> Grid:
    """Every candidate with every target and seed; each target is read once, and the candidates are checked on one."""
    grid: Grid = {}
    for target in targets:
        overrides = WORD.findall(target)
        if odd := next((word for word in overrides if "=" not in word), None):
            raise UserError(f"rank_check.targets: {odd} in {target!r} is no override (key=value)")
        grid[target] = {
            seed: composed_candidates(
                cfg, candidates, setting="rank_check.candidates", also=[*overrides, f"seed={seed}"]
            )
            for seed in seeds
        }
    for target, by_seed in grid.items():
        try:
            check_before(by_seed[seeds[0]][0].cfg, check=_read)
        except UserError as error:
            raise UserError(f"rank_check.targets: {target!r}: {error}") from error
    available(grid[targets[0]][seeds[0]], skip=False)
    return grid


def _read(data: Any) -> None:
    """Read the files of a target. Raises UserError where they cannot be read, or are not of one class an image."""
    check_labels(data)
    data.setup("fit")


def _checked(grid: Grid, settings: RankingSettings, times: Sequence[float], draws: int) -> dict[str, Any]:
    """The content of result.json that is the check's own."""
    texts = [candidate.text for candidate in next(iter(next(iter(grid.values())).values()))]
    names = [*settings.scores, STATIC]
    seeds = list(next(iter(grid.values())))
    values = {name: np.full((len(grid), len(seeds), len(texts)), np.nan) for name in names}
    test = np.full((len(grid), len(seeds), len(texts)), np.nan)
    runs: dict[str, dict[str, Any]] = {}
    for at, (target, by_seed) in enumerate(grid.items()):
        for number, seed in enumerate(seeds):
            _fill(values, at, number, ranking(by_seed[seed], settings))
        runs[target] = {}
        for model, text in enumerate(texts):
            tuned = fine_tuned({seed: by_seed[seed][model] for seed in seeds}, times)
            test[at, :, model] = tuned.test
            runs[target][text] = tuned._asdict()
        log.info("%d of %d targets: %s", at + 1, len(grid), target)
    outcome = outcomes(np.nan_to_num(test, nan=0.0))  # a run that diverged is the worst
    found = checked_scores(
        outcome, values, baselines=(STATIC, NEIGHBOURS), draws=draws, rng=np.random.default_rng(settings.seed)
    )
    checked = list(settings.scores)
    least = float(np.nanmin([found.values[name]["regret"].value for name in checked]))
    return {
        "metrics": {"rank_check/least_regret": least},
        "checked": checked,
        "targets": list(grid),
        "seeds": seeds,
        "candidates": texts,
        "scores": {name: _plain(measures) for name, measures in found.values.items()},
        "against": {
            base: {name: _plain(measures) for name, measures in of_base.items()}
            for base, of_base in found.against.items()
        },
        "tied_with_best": found.tied_with_best,
        "draws": draws,
        "null_weighted_tau": null_point(len(texts), weighted=True),
        "ties": dict(zip(grid, outcome.tie.tolist(), strict=True)),
        "fine_tuned": runs,
        "values": {name: array.tolist() for name, array in values.items()},
    }


def _fill(values: dict[str, NDArray[np.float64]], at: int, number: int, ranked: dict[str, Any]) -> None:
    """Take the scores of a target and seed; of the static rank the negative place."""
    static = [entry["candidate"] for entry in by_static_rank(ranked["candidates"])]
    for model, entry in enumerate(ranked["candidates"]):
        values[STATIC][at, number, model] = -static.index(entry["candidate"])
        for name, score in entry["scores"].items():
            values[name][at, number, model] = score["value"]


def _plain(measures: dict[str, CheckedScore]) -> dict[str, dict[str, float]]:
    return {measure: checked._asdict() for measure, checked in measures.items()}
