import pytest
from torch import nn

from headstart.backbones.small_cnn import small_cnn
from headstart.modules.groups import parameter_groups


@pytest.fixture
def parts():
    return small_cnn(width=4, size=16, channels=1, keep=None), nn.Linear(32, 3)


def test_each_stage_learns_at_a_fixed_fraction_of_the_one_above(parts):
    rates = {group["name"]: group["lr"] for group in parameter_groups(*parts, lr=1.0, stage_decay=0.5)}
    assert rates["head"] == rates["head/no_decay"] == 1.0
    assert [rates[f"stage{n}"] for n in (4, 3, 2, 1)] == [0.5, 0.25, 0.125, 0.0625]
    assert next(iter(rates)).startswith("stage1")  # from the input to the head


def test_every_parameter_is_in_exactly_one_group_whether_it_is_open_or_not(parts):
    backbone, head = parts
    backbone.open_only([])
    listed = [id(p) for group in parameter_groups(*parts, lr=1.0, stage_decay=0.5) for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in [*backbone.parameters(), *head.parameters()])


def test_norms_and_biases_have_no_weight_decay(parts):
    for group in parameter_groups(*parts, lr=1.0, stage_decay=1.0):
        without = group["name"].endswith("/no_decay")
        assert all((p.ndim <= 1) == without for p in group["params"])
        assert group.get("weight_decay", "the optimizer's") == (0.0 if without else "the optimizer's")
