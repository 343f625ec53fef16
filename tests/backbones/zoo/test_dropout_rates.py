"""Rates of dropout and stochastic depth are the libraries' own, act in trainable stages alone, or are refused."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import open_dict
from torch import nn
from torchvision import models
from torchvision.ops import StochasticDepth

from composed import CONF
from headstart.backbones.zoo.timm_models import timm
from headstart.backbones.zoo.torchvision_models import torchvision
from headstart.runs.folder.run_naming import config_hash, register
from headstart.types import UserError
from headstart.unfreeze.freezing import Freezing

MODEL = {"size": 32, "channels": 3, "keep": None}


def depth_rates(module):
    return [block.p for block in module.modules() if isinstance(block, StochasticDepth)]


def vary(backbone):
    """Whether two passes over the same images differ, with norms in eval()."""
    x = torch.randn(4, 3, backbone.pixels.size, backbone.pixels.size)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        return not torch.equal(backbone(x), backbone(x))


def test_the_rate_is_that_of_the_last_block_as_torchvision_has_it():
    made = torchvision(name="convnext_tiny", stochastic_depth_prob=0.4, **MODEL)
    own = models.convnext_tiny(stochastic_depth_prob=0.4)
    assert depth_rates(made) == depth_rates(own)
    assert depth_rates(made)[-1] == 0.4
    # the builder of Swin takes no rate; its class makes 0.2 * number / (blocks - 1), of 12 blocks
    scaled = torchvision(name="swin_t", stochastic_depth_prob=0.4, **MODEL)
    assert depth_rates(scaled) == pytest.approx([0.4 * number / 11 for number in range(12)])


def test_without_a_rate_the_model_is_the_librarys_default():
    assert depth_rates(torchvision(name="swin_t", **MODEL)) == depth_rates(models.swin_t())


def test_stochastic_depth_is_off_in_frozen_stages_and_on_in_trainable_ones():
    backbone = torchvision(name="efficientnet_b0", stochastic_depth_prob=0.5, **MODEL).train()
    names = {name for name, _ in backbone.named_parameters()}
    held = Freezing(backbone, names)
    held.train_only(())
    assert not vary(backbone)
    held.train_only(names)
    assert vary(backbone)


def test_dropout_of_a_densenet_is_its_drop_rate():
    assert vary(torchvision(name="densenet121", dropout=0.5, **MODEL).train())
    assert not vary(torchvision(name="densenet121", dropout=0.0, **MODEL).train())


def test_drop_path_of_timm_acts_and_the_names_of_tensors_stay():
    pytest.importorskip("timm")
    with_rate = timm(name="mobilenetv3_small_050", drop_path_rate=0.5, **MODEL).train()
    assert vary(with_rate)
    assert with_rate.state_dict().keys() == timm(name="mobilenetv3_small_050", **MODEL).state_dict().keys()


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("mobilenet_v2", "dropout"),  # of its classifier, which is cut off
        ("resnet18", "dropout"),
        ("resnet18", "stochastic_depth_prob"),
    ],
)
def test_a_rate_that_would_change_nothing_is_refused(name, rate):
    with pytest.raises(UserError, match=rf"{name} has no {rate} in its stages"):
        torchvision(name=name, **{rate: 0.5}, **MODEL)


def test_timm_models_refuse_a_rate_that_they_do_not_take():
    pytest.importorskip("timm")
    with pytest.raises(UserError, match=r"vgg11 has no drop_path_rate in its stages"):
        timm(name="vgg11", drop_path_rate=0.5, **MODEL)


def test_a_run_without_rates_has_the_hash_of_before_there_were_any():
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        of_library = ["backbone=torchvision", "backbone.name=swin_t", "run_dir=run"]
        cfg, other = (compose("config", overrides=[*of_library, *more]) for more in ([], ["backbone.dropout=0.1"]))
    before = cfg.copy()
    with open_dict(before):
        del before.backbone["dropout"], before.backbone["stochastic_depth_prob"]
    assert config_hash(cfg) == config_hash(before) != config_hash(other)
