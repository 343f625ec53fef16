"""Batches that fit into memory: halved, with twice as many accumulated, where a run is out of memory."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import TypeVar

import torch
from omegaconf import DictConfig, open_dict

from headstart.distributed.rank_launcher import RankError
from headstart.runs.folder.run_folder import write_json
from headstart.system.resource_errors import LESS_MEMORY, exhausted

log = logging.getLogger(__name__)
HALVE = "halve_batch"  # the setting
FILE = "batch.json"  # in the run's folder: how often the batch was halved; ranks and resumed runs read it
Outcome = TypeVar("Outcome")


def where_it_fits(cfg: DictConfig, folder: Path, attempt: Callable[[], Outcome]) -> Outcome:
    """What the attempt gives; with halve_batch=true it is made again with half the batch as long as memory runs out.

    Each attempt begins with the first step, so that a run ends as one that was asked for with that batch. The
    effective batch stays: trainer.accumulate_grad_batches doubles. Of several ranks their parent makes the attempts, so
    that all take the same batch.

    Args:
        cfg: The config of the run, with the batch that is tried first.
        folder: The run's folder, in which `with_fitting_batch` finds how often the batch was halved.
        attempt: Trains the run, its config made by `with_fitting_batch`.

    Raises:
        Exception: What the attempt raises, where it is no want of memory or the batch cannot be halved any more.
    """
    if not cfg.get(HALVE):
        return attempt()
    if cfg.get("rerun"):
        (folder / FILE).unlink(missing_ok=True)
    while True:
        try:
            return attempt()
        except Exception as error:
            size = with_fitting_batch(cfg, folder).target.batch_size
            if not _is_out_of_memory(error) or size % 2 or size < 2:
                raise
        # here, where nothing holds the model of that attempt any more
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        write_json(folder / FILE, {"halved": _halved(folder) + 1})
        smaller = with_fitting_batch(cfg, folder)
        log.warning(
            "out of memory with target.batch_size=%d: the run begins again with %d, and "
            "trainer.accumulate_grad_batches=%d, so that a step has as many images as before",
            size, smaller.target.batch_size, smaller.trainer.accumulate_grad_batches,
        )  # fmt: skip


def with_fitting_batch(cfg: DictConfig, folder: Path) -> DictConfig:
    """The config with the batch that is known to fit by the run's folder; cfg itself without halve_batch=true."""
    times = _halved(folder) if cfg.get(HALVE) else 0
    if not times:
        return cfg
    smaller = deepcopy(cfg)
    with open_dict(smaller):
        smaller.target.batch_size = max(1, cfg.target.batch_size // 2**times)
        smaller.trainer.accumulate_grad_batches = cfg.trainer.accumulate_grad_batches * 2**times
    return smaller


def _halved(folder: Path) -> int:
    try:
        return int(json.loads((folder / FILE).read_text(encoding="utf-8"))["halved"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _is_out_of_memory(error: Exception) -> bool:
    told = str(error) if isinstance(error, RankError) else exhausted(error) or ""
    return LESS_MEMORY in told
