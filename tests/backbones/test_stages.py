import pytest
import torch
from torch import nn
from torchvision import models

from headstart.backbones.resnet import resnet18
from headstart.backbones.small_cnn import small_cnn
from headstart.backbones.stages import Backbone, pooled
from headstart.types import Pixels, UserError


def cnn(keep=None):
    torch.manual_seed(0)
    return small_cnn(width=4, size=16, channels=1, keep=keep)


def everything(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_resnet18_in_stages_equals_torchvisions():
    torch.manual_seed(0)
    backbone = resnet18(size=64, channels=3, keep=None).eval()
    torch.manual_seed(0)
    model = models.resnet18(weights=None).eval()
    model.fc = nn.Identity()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(backbone(images), model(images), rtol=1e-4, atol=1e-5)
    assert backbone.width == 512


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


def test_a_frozen_stage_changes_no_weight_and_no_buffer_and_an_open_one_changes_all():
    backbone = cnn().train()
    backbone.open_only(["stage4"])
    before = everything(backbone)
    # momentum and decay move a weight even with a gradient of 0, so they would show a leak
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        backbone(torch.randn(8, 1, 16, 16)).square().sum().backward()
        optimizer.step()
    after = everything(backbone)
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]) == (not name.startswith("stages.stage4")), name


def test_closing_a_stage_again_drops_the_gradient_that_it_has():
    backbone = cnn()
    backbone(torch.randn(4, 1, 16, 16)).sum().backward()
    backbone.open_only(["stage4"])
    assert all(p.grad is None for p in backbone.stages["stage1"].parameters())
    assert all(p.grad is not None for p in backbone.stages["stage4"].parameters())


def test_train_leaves_frozen_stages_in_eval():
    backbone = cnn()
    backbone.open_only(["stage3", "stage4"])
    backbone.eval()
    backbone.train()
    assert [stage.training for stage in backbone.stages.values()] == [False, False, True, True]
    assert backbone.open_names == ("stage3", "stage4")


def test_an_unknown_stage_is_named_with_those_that_there_are():
    with pytest.raises(UserError, match="no stage layer9; the stages are stage1, stage2, stage3, stage4"):
        cnn().open_only(["layer9"])


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
