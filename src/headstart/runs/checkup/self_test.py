"""A run of seconds that goes through every step of a real one."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig, open_dict

from headstart.runs.checkup.finding import Finding
from headstart.runs.training.train_run import train
from headstart.system.metric_direction import lower_is_better
from headstart.types import UserError

BUDGET = "00:00:00:08"  # of training; setup and the test come on top
BATCHES = 20  # of an epoch, a validation and the test
SMALL = {
    "max_epochs": 2, "max_time": BUDGET, "devices": 1, "num_nodes": 1, "strategy": "auto", "profiler": None,
    "limit_train_batches": BATCHES, "limit_val_batches": BATCHES, "limit_test_batches": BATCHES,
}  # fmt: skip


def self_test(cfg: DictConfig) -> Finding:
    """Train the command's backbone on its target from random weights for some seconds, and test it.

    The run lies in a folder that is removed afterwards.

    Args:
        cfg: The command's config; its target, backbone, trainer and optimizer count.
    """
    began = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="headstart-doctor-") as folder, _silence():
            run = Path(folder) / "run"
            about = {"study": "doctor", "name": "run", "hash": "00000000", "overrides": []}
            result = train(_small(cfg, run), run, about=about)
    except UserError as error:  # of the command's own data or settings
        return Finding("self-test", "failed", " ".join(str(error).split())[:400])
    except Exception as error:  # whatever keeps a run from its end is what is looked for
        return Finding("self-test", "failed", f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")
    spent = time.perf_counter() - began
    figure = str(result["monitor"])
    value = result["metrics"].get(figure)
    measured = (
        "" if value is None else f", {figure} {value:.3f}{' (less is better)' if lower_is_better(figure) else ''}"
    )
    epochs = result["evaluations"][-1]["epoch"] if result["evaluations"] else 0
    state: Literal["ok", "failed"] = "ok" if result["state"] == "finished" else "failed"
    length = f"optimizer steps {result['steps']}, epochs {epochs:g}"
    return Finding("self-test", state, f"{result['state']} in {spent:.1f} s: {length}{measured}")


def _small(cfg: DictConfig, run: Path) -> DictConfig:
    """The config of a short run from scratch that leaves nothing outside of its folder."""
    plain = deepcopy(cfg)
    with open_dict(plain):
        plain.update({"mode": "scratch", "reuse": False, "trainable": "all", "control": False, "run_dir": str(run)})
        plain.update({"feature_cache": None, "adaptation": None, "selection": None, "forgetting": False, "tests": {}})
        plain.update({"recipe": None, "tuning": None, "regularizer": None, "resume": None, "peft": None})
        plain.trainer.update(SMALL)
        plain.logger = {name: node for name, node in plain.logger.items() if name == "csv"}
        for name in ("figures", "domains", "progress"):
            plain.callbacks[name] = None
    return plain


@contextmanager
def _silence() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
