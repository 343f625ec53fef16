"""Weight-normalised head: torch's own weight normalisation, and the closed form of a linear head."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from headstart.modules.heads.linear_head import LinearHead
from headstart.modules.heads.weight_norm_head import WeightNormHead


def made(init="random"):
    torch.manual_seed(0)
    return WeightNormHead(width=5, num_classes=3, init=init)


def test_logits_and_gradients_are_those_of_torchs_weight_norm():
    head, x = made(), torch.randn(6, 5)
    with torch.no_grad():
        head.length.mul_(torch.tensor([0.5, 2.0, 3.0]))
        head.bias.add_(torch.tensor([0.1, -0.2, 0.3]))
    theirs = weight_norm(nn.Linear(5, 3), dim=0)
    with torch.no_grad():
        theirs.parametrizations.weight.original0.copy_(head.length[:, None])
        theirs.parametrizations.weight.original1.copy_(head.direction)
        theirs.bias.copy_(head.bias)
    torch.testing.assert_close(head(x), theirs(x))
    head(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(head.length.grad, theirs.parametrizations.weight.original0.grad[:, 0])
    torch.testing.assert_close(head.direction.grad, theirs.parametrizations.weight.original1.grad)


def test_it_begins_as_the_linear_layer_of_its_directions():
    head, x = made(), torch.randn(6, 5)
    torch.testing.assert_close(head(x), x @ head.direction.T)


def test_the_length_of_a_direction_does_not_count():
    head, x = made(), torch.randn(6, 5)
    before = head(x)
    with torch.no_grad():
        head.direction.mul_(7)
    torch.testing.assert_close(head(x), before)


def test_its_closed_form_is_that_of_a_linear_head():
    x, label = torch.randn(12, 5), torch.arange(12) % 3
    head, linear = made("class_means"), LinearHead(width=5, num_classes=3, init="class_means")
    for one in (head, linear):
        one.set_class_means(x, label)
    torch.testing.assert_close(head(x), linear(x))


def test_zeros_make_all_classes_alike_and_can_be_learned_from():
    head, x = made("zeros"), torch.randn(6, 5)
    assert (head(x) == 0).all()
    head(x)[:, 0].sum().backward()
    assert head.length.grad.abs().sum() > 0


def test_a_sources_head_comes_in_the_order_of_the_targets_classes():
    source, x = made(), torch.randn(6, 5)
    head = WeightNormHead(width=5, num_classes=3, init="source")
    head.set_source(source.state_dict(), ("a", "b", "c"), ("c", "a", "b"))
    torch.testing.assert_close(head(x), source(x)[:, [2, 0, 1]])
