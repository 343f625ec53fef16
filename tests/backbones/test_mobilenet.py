import pytest
import torch
from torch import nn
from torchvision import models

from headstart.backbones.mobilenet import STAGES, mobilenet_v2


def test_mobilenet_v2_in_stages_equals_torchvisions():
    torch.manual_seed(0)
    backbone = mobilenet_v2(size=64, channels=3, keep=None).eval()
    torch.manual_seed(0)
    model = models.mobilenet_v2(weights=None).eval()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model.classifier(backbone(images)), model(images), rtol=1e-4, atol=1e-5)
    assert backbone.width == 1280


def test_the_stages_are_all_layers_each_once():
    assert [n for numbers in STAGES.values() for n in numbers] == list(range(len(models.mobilenet_v2().features)))


def test_each_stage_but_the_last_ends_where_the_resolution_does():
    maps = torch.zeros(1, 3, 64, 64)
    sides = []
    for stage in mobilenet_v2(size=64, channels=3, keep=None).eval().stages.values():
        maps = stage(maps)
        sides.append(maps.shape[-1])
    assert sides == [32, 16, 8, 4, 2, 2]


@pytest.mark.parametrize(("keep", "width"), [(1, 16), (2, 24), (3, 32), (4, 96), (5, 320), (6, 1280)])
def test_keep_puts_the_head_on_any_stage(keep, width):
    backbone = mobilenet_v2(size=32, channels=3, keep=keep).eval()
    assert backbone.names == tuple(STAGES)[:keep]
    assert backbone.width == width
    assert backbone(torch.zeros(2, 3, 32, 32)).shape == (2, width)


def test_other_channels_change_only_the_first_convolution():
    grey = mobilenet_v2(size=32, channels=1, keep=None)
    shapes = {name: t.shape for name, t in grey.state_dict().items()}
    usual = {name: t.shape for name, t in mobilenet_v2(size=32, channels=3, keep=None).state_dict().items()}
    assert {name for name in usual if usual[name] != shapes[name]} == {"stages.stem.0.0.weight"}
    assert grey.pixels.channels == 1
    assert isinstance(grey.stages["stem"][0][0], nn.Conv2d)


@pytest.mark.parametrize("keep", [None, 2])
def test_a_backbone_knows_what_its_tensors_were_called_in_the_network_that_it_was_cut_from(keep):
    backbone, net = mobilenet_v2(size=32, channels=3, keep=keep), models.mobilenet_v2()
    names = set(net.state_dict())
    assert names - set(backbone.original) == {"classifier.1.weight", "classifier.1.bias"}
    assert backbone.original["features.3.conv.0.0.weight"] == "stages.stage1.3.conv.0.0.weight"
    assert backbone.original["features.18.1.num_batches_tracked"] == "stages.last.18.1.num_batches_tracked"
    assert set(backbone.original.values()) >= set(backbone.state_dict())
