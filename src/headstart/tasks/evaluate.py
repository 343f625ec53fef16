"""How well does a finished run's model do, on its own data or on other?"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from headstart import launch
from headstart.tasks.folders import finished, write_json
from headstart.tasks.parts import assembled
from headstart.tasks.result import figures
from headstart.tasks.train import quieten
from headstart.types import UserError

log = logging.getLogger(__name__)


def evaluate(
    *,
    cfg: DictConfig,
    run_dir: str | Path,
    split: Literal["train", "val", "test"],
    checkpoint: Literal["best", "last"],
    data: DictConfig | None,
) -> dict[str, float]:
    """Print the figures of a run's model on a split, write them to <run_dir>/evaluate-<split>.json, and give them.

    data: other data than the run's target; its classes must be the same. Of this command's config only the
    trainer's accelerator and precision count, the rest is the run's own. Always on one device, so that each
    image counts once; of the ranks of torchrun or SLURM the first does it, the others return nothing.
    Raises UserError where the run is not finished or the classes differ.
    """
    quieten()
    if launch.rank() > 0:
        return {}
    if cfg.trainer.devices != 1 or cfg.trainer.get("num_nodes", 1) != 1:
        log.info("evaluating on one device: each image counts once")
    folder = Path(run_dir)
    result = finished(folder)
    if result is None:
        raise UserError(f"evaluate.run_dir must be the folder of a finished run (one with result.json), got {folder}")
    own = run_config(folder)
    parts = assembled(own, data)
    if (names := list(parts.data.class_names)) != result["class_names"]:
        raise UserError(
            f"the run's classes are {', '.join(result['class_names'])}; those of evaluate.data are {', '.join(names)}"
        )
    parts.data.setup("test")
    trainer: pl.Trainer = instantiate(
        {key: cfg.trainer[key] for key in ("_target_", "accelerator", "precision")},
        devices=1, logger=False, enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip
    path = folder / "checkpoints" / f"{checkpoint}.ckpt"
    if not path.is_file():
        raise UserError(f"there is no {path}; was the run started with callbacks.checkpoint?")
    parts.module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
    loader = parts.data.plain_dataloader(split)
    trainer.test(parts.module, dataloaders=loader, verbose=False)
    measured = {
        name.replace("test/", f"{split}/"): value for name, value in figures(trainer.callback_metrics, "test").items()
    }
    about: dict[str, Any] = {"run": folder.name, "checkpoint": checkpoint, "images": len(loader.dataset)}
    write_json(folder / f"evaluate-{split}{'-other' if data else ''}.json", about | {"metrics": measured})
    for name, value in sorted(measured.items()):
        print(f"{name:<26}{value:.4f}")
    return measured


def run_config(folder: Path) -> DictConfig:
    """The config that a run was made with."""
    for path in (
        folder / ".hydra" / "config.yaml",
        folder / "config.yaml",
    ):  # config.yaml: a source's own run
        if path.is_file():
            cfg = OmegaConf.load(path)
            assert isinstance(cfg, DictConfig)
            return cfg
    raise UserError(f"{folder} has no .hydra/config.yaml, so how the run was made is not known")
