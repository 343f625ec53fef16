"""A frozen part changes in nothing: no weight, no statistic."""

import pytest
import torch
from torch import nn

from headstart.backbones.zoo.small_cnn import small_cnn
from headstart.unfreeze.freezing import Freezing


@pytest.fixture
def cnn():
    torch.manual_seed(0)
    return small_cnn(width=4, size=16, channels=1, keep=None).train()


def names(module, *beginnings):
    return {name for name, _ in module.named_parameters() if name.startswith(beginnings)}


def everything(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def freezing(module):
    return Freezing(module, names(module, ""))


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop])
def test_a_frozen_stage_changes_no_weight_and_no_buffer_and_an_open_one_changes_all(cnn, make):
    momentum = {} if make is torch.optim.AdamW else {"momentum": 0.9}
    optimizer = make(cnn.parameters(), lr=0.1, weight_decay=0.1, **momentum)
    held = freezing(cnn)
    # all learn first: momentum and decay then move a weight even without a gradient of its own, so a leak would show
    for open_stages in (["stages.stage1", "stages.stage2", "stages.stage3", "stages.stage4"], ["stages.stage2"]):
        held.train_only(names(cnn, *open_stages))
        before = everything(cnn)
        for _ in range(3):
            cnn(torch.randn(8, 1, 16, 16)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            held.hold()
    after = everything(cnn)
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]) == (not name.startswith("stages.stage2")), name


def test_closing_a_stage_drops_the_gradient_that_it_has(cnn):
    cnn(torch.randn(4, 1, 16, 16)).sum().backward()
    freezing(cnn).train_only(names(cnn, "stages.stage4"))
    assert all(p.grad is None for p in cnn.stages["stage1"].parameters())
    assert all(p.grad is not None for p in cnn.stages["stage4"].parameters())


def test_frozen_stages_come_back_to_eval_whoever_called_train(cnn):
    held = freezing(cnn)
    held.train_only(names(cnn, "stages.stage3", "stages.stage4"))
    cnn.eval()
    cnn.train()
    held.hold()
    assert [stage[1].training for stage in cnn.stages.values()] == [False, False, True, True]


def test_a_norm_that_is_open_alone_trains_in_a_stage_that_is_otherwise_closed(cnn):
    held = freezing(cnn)
    held.train_only(names(cnn, "stages.stage1.1"))
    assert cnn.stages["stage1"][1].training
    assert not cnn.stages["stage1"][0].training
    assert not cnn.stages["stage2"][1].training


def test_dropout_follows_the_stage_that_it_lies_in():
    model = nn.Sequential(*(nn.Sequential(nn.Linear(2, 2), nn.Dropout()) for _ in range(2)), nn.Dropout())
    freezing(model).train_only({"1.0.weight", "1.0.bias"})
    assert [model[0][1].training, model[1][1].training, model[2].training] == [False, True, True]


def test_what_was_frozen_or_in_eval_before_stays_so_and_the_end_leaves_all_as_found(cnn):
    cnn.stages["stage2"][0].weight.requires_grad_(False)
    cnn.stages["stage3"][1].eval()
    held = freezing(cnn)
    held.train_only(names(cnn, "stages.stage4"))
    held.train_only(names(cnn, ""))
    for _ in range(2):
        assert not cnn.stages["stage2"][0].weight.requires_grad
        assert not cnn.stages["stage3"][1].training
        assert cnn.stages["stage1"][1].training
        assert cnn.stages["stage1"][0].weight.requires_grad
        held.end()
