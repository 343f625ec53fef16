"""MLP head: its formula, its closed form on the hidden layer, dropout in training alone."""

import pytest
import torch

from headstart.modules.heads.linear_head import class_means
from headstart.modules.heads.mlp_head import MLPHead
from headstart.types import UserError


def mlp(**settings):
    torch.manual_seed(0)
    usual = {"init": "random", "hidden_width": 7, "activation": "relu", "dropout": 0.0}
    return MLPHead(width=5, num_classes=3, **usual | settings)


def test_it_is_two_linear_maps_with_a_relu_between():
    head, x = mlp(), torch.randn(4, 5)
    weights = {name: tensor.detach().numpy() for name, tensor in head.named_parameters()}
    hidden = (x.numpy() @ weights["hidden.weight"].T + weights["hidden.bias"]).clip(0)
    want = hidden @ weights["linear.weight"].T + weights["linear.bias"]
    torch.testing.assert_close(head(x), torch.from_numpy(want))


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "tanh"])
def test_the_activation_is_torch_s_own(activation):
    head, x = mlp(activation=activation), torch.randn(4, 5)
    torch.testing.assert_close(head.summary(x), getattr(torch.nn.functional, activation)(head.hidden(x)))


def test_its_closed_form_is_that_of_class_means_on_the_hidden_layer():
    head, x, labels = mlp(init="class_means").eval(), torch.randn(30, 5), torch.arange(30) % 3
    head.set_class_means(head.summary(x), labels)
    weight, bias = class_means(head.hidden(x).relu().detach(), labels, 3)
    torch.testing.assert_close(head(x), head.summary(x) @ weight.T + bias)


def test_dropout_leaves_out_its_share_of_the_hidden_units_in_training_alone():
    head, x = mlp(hidden_width=2000, activation="tanh", dropout=0.3), torch.randn(1, 5)
    assert (head.train().summary(x) == 0).float().mean().item() == pytest.approx(0.3, abs=0.05)
    torch.testing.assert_close(head.eval().summary(x), head.hidden(x).tanh())


def test_zeros_make_each_class_as_likely_as_any_other():
    assert mlp(init="zeros")(torch.randn(4, 5)).abs().max() == 0


def test_a_source_s_head_comes_along_whole_with_its_rows_in_the_target_s_order():
    source, head, x = mlp(), mlp(init="source", hidden_width=7), torch.randn(4, 5)
    with torch.no_grad():
        source.hidden.weight.add_(1)
    head.set_source(source.state_dict(), ("a", "b", "c"), ("c", "a", "b"))
    torch.testing.assert_close(head(x), source(x)[:, [2, 0, 1]])


def test_a_linear_source_head_is_an_error_that_says_what_came():
    with pytest.raises(UserError, match=r"a head of the same kind, got one with linear.weight, linear.bias for hidden"):
        mlp(init="source").set_source(
            {"linear.weight": torch.ones(3, 5), "linear.bias": torch.ones(3)}, ("a", "b", "c"), ("a", "b", "c")
        )
