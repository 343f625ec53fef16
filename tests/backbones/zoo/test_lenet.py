"""LeNet is the network of the papers."""

import pytest
import torch
from torch.nn.functional import linear, max_pool2d

from backbone_contract import check_every_cut, check_frozen
from headstart.backbones.zoo.lenet import lenet
from headstart.types import UserError


@pytest.fixture
def image():
    return torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_it_is_two_convolutions_and_a_layer_of_500(image):
    backbone = lenet(channels=1, dropout=0.5, keep=None).eval()
    weight = dict(backbone.stages.named_parameters())
    x = image.double() / 127.5 - 1
    for name in ("conv1.0", "conv2.0"):
        kernel, bias = weight[f"{name}.weight"].double(), weight[f"{name}.bias"].double()
        patches = x.unfold(2, 5, 1).unfold(3, 5, 1)
        x = torch.einsum("bcyxij,ocij->boyx", patches, kernel) + bias[:, None, None]
        x = max_pool2d(x, 2).clamp(min=0)
    want = linear(x.flatten(1), weight["full.1.weight"].double(), weight["full.1.bias"].double()).clamp(min=0)
    torch.testing.assert_close(backbone(image).double(), want, rtol=1e-4, atol=1e-5)
    counts = {name: sum(p.numel() for p in stage.parameters()) for name, stage in backbone.stages.items()}
    assert counts == {"conv1": 520, "conv2": 25_050, "full": 400_500}  # Caffe's LeNet, without its last layer


def test_every_cut_is_the_chain_up_to_there(image):
    backbone = lenet(channels=1, dropout=0.5, keep=None).eval()
    check_every_cut(backbone, backbone.entering(image))


def test_frozen_means_frozen(image):
    backbone = lenet(channels=1, dropout=0.5, keep=None)
    check_frozen(backbone, backbone.entering(image))


def test_a_cut_beyond_the_last_stage_lists_the_stages():
    with pytest.raises(UserError, match="1 to 3, got 4; the stages are conv1, conv2, full"):
        lenet(channels=1, dropout=0.5, keep=4)
