"""A copy gives what its stage gave, and does not change while the stage learns."""

import torch
from torch import nn

from headstart.backbones.frozen_copy import FrozenCopies


def stages():
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU())
    second = nn.Sequential(nn.Flatten(2), nn.TransformerEncoderLayer(16, 2, 8, dropout=0.5, batch_first=True))
    return {"first": first, "second": second}


def image():
    return torch.randn(5, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def outputs(parts, x):
    found = {}
    for name, stage in parts.items():
        found[name] = x = stage(x)
    return found


def test_a_copy_gives_what_the_stages_give_in_eval():
    parts = stages()
    copies = FrozenCopies(parts)
    for stage in parts.values():
        stage.eval()
    with torch.no_grad():
        want = outputs(parts, image())
    got = copies.outputs(image(), 0)
    assert list(got) == ["first", "second"]
    for name in want:
        torch.testing.assert_close(got[name], want[name])
    torch.testing.assert_close(copies.outputs(want["first"], 1)["second"], want["second"])


def test_it_has_no_parameter_and_no_gradient_and_is_in_eval_whatever_anybody_says():
    copies = FrozenCopies(stages())
    around = nn.Sequential(copies).train()
    assert not list(around.parameters())
    assert not any(module.training for module in copies.modules())
    before = copies.of("first")[1].running_mean.clone()
    assert not copies.outputs(image(), 0)["second"].requires_grad
    assert torch.equal(copies.of("first")[1].running_mean, before)


def test_it_takes_what_the_stages_have_become_and_keeps_it_when_they_go_on():
    parts = stages()
    copies = FrozenCopies(parts)
    with torch.no_grad():
        parts["first"][0].weight.add_(1)
        parts["first"][1].running_var.mul_(3)
    copies.take(parts)
    taken = parts["first"][0].weight.detach().clone()
    with torch.no_grad():
        parts["first"][0].weight.add_(1)
    assert torch.equal(copies.of("first")[0].weight, taken)
    assert torch.equal(copies.of("first")[1].running_var, parts["first"][1].running_var)


def test_by_hand_it_follows_a_weight_by_a_tenth_of_the_way_and_learns_in_the_mode_of_the_stage():
    parts = stages()
    copies = FrozenCopies(parts)
    with torch.no_grad():
        parts["first"][1].weight.fill_(5.0)  # from 1
    parts["first"][1].eval()
    copies.follow(parts, momentum=0.9)
    torch.testing.assert_close(copies.of("first")[1].weight, torch.full((3,), 1.4))
    assert not copies.of("first")[1].training
    assert copies.of("second")[1].training


def test_its_tensors_have_names_that_no_search_for_the_models_own_weights_finds():
    names = set(FrozenCopies(stages()).state_dict())
    assert names == {f"copy:{name}.{key}" for name, stage in stages().items() for key in stage.state_dict()}
