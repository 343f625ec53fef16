"""Attentive head: attention by hand and by torch, the mean at the start, its closed form."""

import math

import pytest
import torch
from torch import nn

from headstart.modules.heads.attentive_head import AttentiveHead
from headstart.modules.heads.linear_head import class_means
from headstart.types import UserError


def attentive(width=8, class_tokens=1, **settings):
    torch.manual_seed(0)
    return AttentiveHead(
        **{"width": width, "num_classes": 3, "init": "random", "blocks": 1, "attention_heads": 2}
        | {"class_tokens": class_tokens} | settings
    )  # fmt: skip


def disturbed(head):
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return head


def test_attention_is_that_of_torch_s_multihead_attention():
    head, tokens = disturbed(attentive(class_tokens=0)), torch.randn(4, 6, 8)
    theirs = nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    with torch.no_grad():  # the query is given as it is, the output is not projected
        theirs.in_proj_weight.copy_(torch.cat([torch.eye(8), head.key.weight, head.value.weight]))
        theirs.out_proj.weight.copy_(torch.eye(8))
    query = head.query.reshape(1, 1, 8).expand(4, 1, 8)
    want, _ = theirs(query, head.norm(tokens), tokens)
    # torch projects what it is given; values are not normed here
    values = (tokens @ head.value.weight.T).unflatten(2, (2, 4)).transpose(1, 2)
    keys = (head.norm(tokens) @ head.key.weight.T).unflatten(2, (2, 4)).transpose(1, 2)
    weights = (head.query * keys).sum(dim=3).div(math.sqrt(4)).softmax(dim=2)
    by_hand = (weights[..., None] * values).sum(dim=2).reshape(4, 8)
    torch.testing.assert_close(want[:, 0], by_hand)
    torch.testing.assert_close(head.summary(tokens), by_hand)


def test_before_the_first_step_the_class_token_and_the_mean_patch_are_read():
    tokens = torch.randn(4, 7, 8)
    torch.testing.assert_close(attentive().summary(tokens), torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1))


def test_registers_are_no_patches():
    tokens = torch.randn(4, 4 + 9, 8)
    want = torch.cat([tokens[:, 0], tokens[:, 4:].mean(dim=1)], dim=1)
    torch.testing.assert_close(attentive(class_tokens=4).summary(tokens), want)


def test_maps_are_read_position_by_position():
    maps = torch.randn(4, 8, 3, 3)
    head = disturbed(attentive(class_tokens=0))
    torch.testing.assert_close(head(maps), head(maps.permute(0, 2, 3, 1).reshape(4, 9, 8)))
    torch.testing.assert_close(attentive(class_tokens=0).summary(maps), maps.mean(dim=(2, 3)))


def test_the_order_of_the_patches_does_not_count():
    head, tokens = disturbed(attentive()), torch.randn(2, 10, 8)
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(9)])
    torch.testing.assert_close(head(tokens[:, order]), head(tokens))


def test_its_closed_form_is_that_of_class_means_on_what_it_pools():
    head, maps, labels = attentive(class_tokens=0, init="class_means"), torch.randn(30, 8, 2, 2), torch.arange(30) % 3
    head.set_class_means(head.summary(maps).detach(), labels)
    weight, bias = class_means(maps.mean(dim=(2, 3)), labels, 3)
    torch.testing.assert_close(head(maps), maps.mean(dim=(2, 3)) @ weight.T + bias)


def test_each_parameter_learns_from_the_first_or_second_step_on():
    head, tokens = attentive(), torch.randn(8, 5, 8)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.5)
    before = {name: parameter.detach().clone() for name, parameter in head.named_parameters()}
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(tokens), torch.arange(8) % 3).backward()
        optimizer.step()
    same = [name for name, parameter in head.named_parameters() if torch.equal(parameter, before[name])]
    assert same == []


def test_heads_that_do_not_divide_the_width_are_an_error():
    with pytest.raises(UserError, match="must divide the width of the tokens, 8, got 3; try one of 1, 2, 4"):
        attentive(attention_heads=3)
