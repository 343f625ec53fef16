"""Candidates fine-tuned on a target: a run for each learning rate and seed, of which val chooses the rate."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig, open_dict

from headstart.recipes.trial_runs import without_pictures
from headstart.runs.candidates.candidate import SourceCandidate
from headstart.runs.folder.folder_mark import write_mark
from headstart.runs.folder.run_naming import config_hash, safe
from headstart.runs.folder.training_lock import made_once
from headstart.runs.saved.config_writing import write_config
from headstart.runs.training.train_run import train
from headstart.runs.weights.weights_preprocessing import with_weights_preprocessing
from headstart.types import UserError

log = logging.getLogger(__name__)
RUNS = Path("outputs/rank_check_runs")  # shared by all checks


class FineTuned(NamedTuple):
    """What came of fine-tuning a candidate.

    Attributes:
        lr: The rate with the best mean over seeds on val, of equals the first.
        test: Test accuracy of that rate's runs, by seed; nan of one that diverged.
        val: Their val accuracy.
    """

    lr: float
    test: list[float]
    val: list[float]


def fine_tuned(by_seed: Mapping[int, SourceCandidate], times: Sequence[float]) -> FineTuned:
    """Fine-tune a candidate on a target with each rate and seed; a run that is there already is taken.

    Test accuracy chooses nothing.

    Args:
        by_seed: The candidate's config with each seed.
        times: Factors of optimizer.lr.
    """
    own = float(next(iter(by_seed.values())).cfg.optimizer.lr)
    rates = [own * factor for factor in times]
    results = [[_result(candidate.cfg, rate) for candidate in by_seed.values()] for rate in rates]
    val = [[_measured(result, "val/accuracy") for result in of_rate] for of_rate in results]
    best = int(np.argmax(np.nan_to_num([np.mean(values) for values in val], nan=-1.0)))
    return FineTuned(rates[best], [_measured(result, "test/accuracy") for result in results[best]], val[best])


def _measured(result: Mapping[str, Any], tag: str) -> float:
    """A final metric; nan of a run that diverged, whatever its last whole checkpoint had.

    Raises:
        UserError: A run that did not diverge has no such metric.
    """
    if result.get("state") == "diverged":
        return math.nan
    value = result["metrics"].get(tag)
    if value is None:
        raise UserError(
            f"rank_check compares {tag} after fine-tuning, and {result.get('name')} has none; it needs val and test "
            "images (trainer.limit_test_batches=1.0), and module.metric=null"
        )
    return float(value)


def _result(cfg: DictConfig, rate: float) -> dict[str, Any]:
    """The result of one run, trained now if it is not there."""
    plain = without_pictures(with_weights_preprocessing(cfg))
    with open_dict(plain):
        plain.optimizer.lr = rate
        plain.task, plain.fit = "fit", {"_target_": "headstart.tasks.fit.fit"}
    digest = config_hash(plain)
    backbone = str(plain.backbone["_target_"]).rpartition(".")[2]
    folder = RUNS / f"{safe(f'{backbone},lr={rate},seed={plain.seed}')}-{digest}"
    with open_dict(plain):
        plain.run_dir = folder.as_posix()

    def make() -> dict[str, Any]:
        write_mark(folder, digest, asked=digest)
        write_config(plain, folder / "config.yaml")
        about = {"study": RUNS.name, "name": folder.name, "hash": digest, "overrides": []}
        return train(plain, folder, about=about)

    return made_once(folder, digest, make, what="run")
