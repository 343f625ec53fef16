"""The weights that a mode starts from: those of its source, of a control, or none."""

from __future__ import annotations

from omegaconf import DictConfig

from headstart.backbones.weights.backbone_weights import Weights
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.runs.folder.run_naming import is_control


def weights_of(cfg: DictConfig) -> Weights:
    """The weights that the mode starts from: those of the source, or none; a control's are not looked for."""
    if not cfg.reuse:
        return Weights()
    if is_control(cfg):
        return Weights(control=True, reset_from=cfg.weights.get("reset_from"))
    # a partial, since instantiate would hand on a copy of cfg with all interpolations resolved for this run
    weights: Weights = instantiate(cfg.weights, _partial_=True, _recursive_=False)(cfg=cfg)
    return weights
