"""Stages of a backbone: their names, cuts, width and normalisation."""

import pytest
import torch
from torch import nn

from headstart.backbones.stages import Backbone, pooled
from headstart.backbones.zoo.small_cnn import small_cnn
from headstart.types import Pixels, UserError


def cnn(keep=None):
    torch.manual_seed(0)
    return small_cnn(width=4, size=16, channels=1, keep=keep)


@pytest.mark.parametrize("keep", [1, 2, 3, 4])
def test_keep_gives_the_first_stages_pooled(keep):
    whole, first = cnn().eval(), cnn(keep).eval()
    x = torch.randn(3, 1, 16, 16)
    maps = x
    for name in whole.names[:keep]:
        maps = whole.stages[name](maps)
    assert first.names == whole.names[:keep]
    assert first.width == maps.shape[1]
    torch.testing.assert_close(first(x), maps.mean(dim=(2, 3)))


@pytest.mark.parametrize("start", [0, 1, 2, 3, 4])
def test_the_stages_from_start_on_continue_what_the_first_gave(start):
    backbone = cnn().eval()
    x = torch.randn(3, 1, 16, 16)
    maps = x
    for stage in list(backbone.stages.values())[:start]:
        maps = stage(maps)
    torch.testing.assert_close(backbone(maps, start=start), backbone(x))


@pytest.mark.parametrize("keep", [0, 5, -1])
def test_keep_outside_the_stages_is_an_error_that_names_them(keep):
    with pytest.raises(UserError, match=f"1 to 4, got {keep}; the stages are stage1"):
        cnn(keep)


def test_a_backbone_of_ones_own_needs_only_stages():
    stages = {"flat": nn.Flatten(), "line": nn.Linear(12, 7)}
    backbone = Backbone(stages, pixels=Pixels(2, 3, (0.0,) * 3, (1.0,) * 3), keep=None)
    assert backbone.width == 7
    assert backbone(torch.randn(5, 3, 2, 2)).shape == (5, 7)


def test_pooled_is_the_mean_over_space():
    maps = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]], [[0.0, 0.0], [0.0, 4.0]]]])
    assert pooled(maps).tolist() == [[4.0, 1.0]]


@pytest.mark.parametrize("name", ["head", "all", "biases", "norms"])
def test_a_stage_cannot_have_a_name_that_means_something_else(name):
    stages = {"first": nn.Conv2d(1, 2, 3), name: nn.Conv2d(2, 3, 3)}
    with pytest.raises(UserError, match=f"not be called head, all.*the stages first, {name}; give {name} another"):
        Backbone(stages, pixels=Pixels(16, 1, (0.5,), (0.5,)), keep=None)
