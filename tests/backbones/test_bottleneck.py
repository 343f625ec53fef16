"""A bottleneck: a linear layer, with or without BatchNorm, as the last stage of any backbone."""

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from backbone_contract import check_every_cut, check_frozen
from composed import CONF, composed
from headstart.backbones.bottleneck import FeatureBottleneck, LoneImageNorm
from headstart.backbones.weights.backbone_weights import Weights
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.modules.classifier import Classifier
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.weights.weights_from_file import file_weights
from headstart.unfreeze.parameter_groups import parameter_groups


def lenet(**changes):
    torch.manual_seed(0)
    return instantiate(OmegaConf.merge(OmegaConf.load(CONF / "backbone" / "lenet.yaml"), changes))


def grey(count=6):
    return torch.randint(0, 256, (count, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_it_is_the_linear_layer_and_the_norm_of_torch_on_what_the_stages_give(norm):
    with_it, without = lenet(bottleneck=16, bottleneck_norm=norm), lenet()
    assert with_it.names == (*without.names, "bottleneck")
    assert (with_it.width, without.width) == (16, 500)
    features, layer = without.eval()(grey()), with_it.stages["bottleneck"]
    want = features @ layer.linear.weight.T + layer.linear.bias  # the stages before it have the same random numbers
    torch.testing.assert_close(with_it.eval()(grey()), want / (1 + 1e-5) ** 0.5 if norm == "batch" else want)
    assert isinstance(layer.norm, nn.BatchNorm1d) == (norm == "batch")


def test_with_a_bottleneck_a_backbone_keeps_its_contract():
    backbone = lenet(bottleneck=16, dropout=0.0)
    image = backbone.entering(grey())
    check_every_cut(backbone.eval(), image)
    check_frozen(backbone, image)


def test_maps_are_pooled_first():
    maps = torch.randn(4, 5, 3, 3)
    layer = FeatureBottleneck(5, 2, "none")
    torch.testing.assert_close(layer(maps), layer.linear(maps.mean(dim=(2, 3))))


def test_an_image_alone_is_normalised_by_the_running_statistics_and_leaves_them():
    norm, torchs = LoneImageNorm(3), nn.BatchNorm1d(3)
    batch, lone = torch.randn(5, 3), torch.randn(1, 3)
    torch.testing.assert_close(norm.train()(batch), torchs.train()(batch))
    before = norm.running_mean.clone()
    torch.testing.assert_close(norm(lone), torchs.eval()(lone))
    assert torch.equal(norm.running_mean, before)


def test_its_learning_rate_is_the_heads_and_the_other_stages_are_its_share():
    module = assembled(composed("mode=scratch", "backbone.bottleneck=8")).module
    assert isinstance(module, Classifier)
    rates = {group["name"]: group["lr"] for group in parameter_groups(module, lr=0.5, backbone_lr_ratio=0.1)}
    ours = {name: rate for name, rate in rates.items() if name.startswith(("bottleneck", "head"))}
    assert set(ours.values()) == {0.5}
    assert {rate for name, rate in rates.items() if name not in ours} == {0.05}
    assert any(name.startswith("bottleneck") for name in ours)


def test_a_file_of_the_stages_leaves_the_bottleneck_as_it_is(tmp_path):
    plain = lenet()
    torch.save(plain.state_dict(), tmp_path / "lenet.pth")
    node = OmegaConf.merge(OmegaConf.load(CONF / "backbone" / "lenet.yaml"), {"bottleneck": 16})
    cfg = OmegaConf.create({"backbone": node})
    weights = file_weights(cfg=cfg, path=str(tmp_path / "lenet.pth"), sha256=None, prefix=None, reset_from=None)
    assert isinstance(weights, Weights)
    assert weights.reset_from == 3
