"""The contract of a backbone, for each file of conf/backbone that builds a network of headstart's own."""

import pytest
import torch
from omegaconf import OmegaConf

from backbone_contract import check_every_cut, check_frozen
from composed import CONF
from headstart.compat.hydra.hydra_instantiation import instantiate

LIBRARIES = ("torchvision_models", "timm_models", "user_module")  # families of networks, with tests of their own


def own_networks():
    for path in sorted((CONF / "backbone").glob("*.yaml")):
        target = OmegaConf.load(path).get("_target_", "")
        if "headstart.backbones.zoo." in target and target.split(".")[-2] not in LIBRARIES:
            yield path.stem


@pytest.mark.parametrize("name", list(own_networks()))
def test_a_backbone_is_the_chain_of_its_stages_at_every_cut_and_frozen_where_it_is_frozen(name):
    cfg = OmegaConf.load(CONF / "backbone" / f"{name}.yaml")
    torch.manual_seed(0)
    backbone = instantiate(cfg)
    channels, size = backbone.pixels.channels, backbone.pixels.size
    image = backbone.entering(torch.randint(0, 256, (4, channels, size, size), dtype=torch.uint8))
    check_every_cut(backbone.eval(), image)
    check_frozen(backbone, image)
