"""What happens when a run is started?"""

from __future__ import annotations

import logging
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from headstart.tasks.folders import finished
from headstart.tasks.names import config_hash
from headstart.tasks.train import train

log = logging.getLogger(__name__)


def fit(*, cfg: DictConfig) -> float:
    """Train one model in the run's folder, unless a finished run of the same hash is there -> its val figure.

    The value is what an adaptive sweeper maximises: the best checkpoint's val accuracy, never a test figure.
    """
    hydra = HydraConfig.get()
    folder = Path(cfg.run_dir)
    result = None if cfg.rerun else finished(folder)
    if result is not None:
        log.info("%s is finished, val/accuracy %.3f (rerun=true runs it again)", folder.name, _value(result))
        return _value(result)
    about = {
        "study": folder.parent.name,
        "name": folder.name,
        "hash": config_hash(cfg),
        "overrides": list(hydra.overrides.task),
    }
    return _value(train(cfg, folder, about=about))


def _value(result: dict[str, dict[str, float]]) -> float:
    return result["metrics"]["val/accuracy"]
