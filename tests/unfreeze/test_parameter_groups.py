"""Parameter groups of an optimizer: which parameters, at which rate."""

import pytest
import torch
from torch import nn

from headstart.unfreeze.parameter_groups import parameter_groups
from headstart.unfreeze.schedules.explicit_phases import Explicit


class Net(nn.Module):
    """Three stages: convolutions and norms, blocks, a head."""

    def __init__(self):
        super().__init__()
        convolutions = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)]
        self.stem = nn.Sequential(*convolutions)
        self.blocks = nn.Sequential(*(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)) for _ in range(3)))
        self.head = nn.Linear(2, 3)


STAGES = ["stem", "blocks", "head"]


def rates(**arguments):
    groups = parameter_groups(Net(), lr=1.0, stages=STAGES, **arguments)
    return {group["name"]: group["lr"] for group in groups}


def test_each_stage_learns_at_a_fixed_fraction_of_the_one_above():
    found = rates(stage_decay=0.5)
    assert found == {
        "stem": 0.25, "stem/no_decay": 0.25, "blocks": 0.5, "blocks/no_decay": 0.5, "head": 1.0, "head/no_decay": 1.0,
    }  # fmt: skip
    assert next(iter(found)).startswith("stem")  # from the input to the head


def test_layer_decay_is_a_power_of_the_layers_above_a_norm_going_with_the_layer_before_it():
    found = rates(layer_decay=0.5)
    assert found["head"] == 1.0
    assert [found[f"blocks.{n}"] for n in (2, 1, 0)] == [0.5, 0.25, 0.125]
    assert found["stem.3"] == found["stem.3/no_decay"] == 2**-4
    assert found["stem.0"] == found["stem.0/no_decay"] == 2**-5


def test_both_decays_multiply():
    assert rates(stage_decay=0.1, layer_decay=0.5)["stem.0"] == pytest.approx(0.1**2 * 2**-5)


NORMS = Explicit(phases=[{"trainable": [r".*\.1\.bias"]}])


@pytest.mark.parametrize("arguments", [{}, {"layer_decay": 0.7}, {"schedule": NORMS}])
def test_every_parameter_is_in_exactly_one_group_whether_it_is_open_or_not(arguments):
    net = Net()
    net.stem.requires_grad_(False)
    groups = parameter_groups(net, lr=1.0, stages=STAGES, **arguments)
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in net.parameters())
    assert len({group["name"] for group in groups}) == len(groups)


def test_norms_and_biases_have_no_weight_decay():
    for group in parameter_groups(Net(), lr=1.0, stages=STAGES):
        without = group["name"].endswith("/no_decay")
        assert all((p.ndim <= 1) == without for p in group["params"])
        assert group.get("weight_decay", "the optimizer's") == (0.0 if without else "the optimizer's")


def test_a_schedule_that_opens_less_than_a_stage_gets_groups_as_fine_as_that():
    first = {"trainable": ["head", "blocks.2"], "epochs": 1, "lr": {"blocks.2.0": 0.1}}
    groups = parameter_groups(Net(), lr=1.0, stages=STAGES, schedule=Explicit(phases=[first, {"trainable": "all"}]))
    named = {group["name"]: group["params"] for group in groups}
    assert len(named["blocks"]) == 2  # the weights of the two blocks that stay closed
    assert len(named["blocks[blocks.2][blocks.2.0]"]) == 1


def test_any_torch_optimizer_takes_them():
    groups = parameter_groups(Net(), lr=0.1, stages=STAGES, layer_decay=0.9)
    optimizer = torch.optim.RMSprop(groups, weight_decay=0.1)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.1}


def test_the_ratio_is_of_all_stages_and_not_of_the_head():
    plain, slow = rates(stage_decay=0.5), rates(stage_decay=0.5, backbone_lr_ratio=0.1)
    assert {name: slow[name] / plain[name] for name in plain} == pytest.approx(
        {name: 1.0 if name.startswith("head") else 0.1 for name in plain}
    )
