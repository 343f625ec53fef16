"""Attention rollout follows from the blocks' own weights."""

import pytest
import torch
from torch import nn

from explained import FAMILIES, QUICK_FIRST, family, of_stages, plain, subject, untouched
from headstart.backbones.zoo.timm_models import timm as timm_backbone
from headstart.explain.explained_network import Network
from headstart.explain.picture_protocol import UnfitError
from headstart.explain.pictures.attention_rollout import AttentionRollout, attentions, over_patches, rollout
from headstart.modules.heads.linear_head import LinearHead

GLOBAL = ("vit_b_32",)
WINDOWS = ("swin_t", "maxvit_t")


def test_two_blocks_of_two_tokens_give_what_one_computes_by_hand():
    """(A + I) / 2 is [[.75, .25], [.5, .5]] and then [[.5, .5], [0, 1]]: the last block stands on the left."""
    first, last = torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    found = rollout([first[None, None], last[None, None]], "mean")
    torch.testing.assert_close(found, torch.tensor([[[0.625, 0.375], [0.5, 0.5]]]))


def test_heads_become_one_as_is_said_and_rows_sum_to_one():
    weights = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]]])
    assert rollout([weights], "mean")[0, 0].tolist() == [0.75, 0.25]
    assert rollout([weights], "min")[0, 0].tolist() == [1, 0]
    assert rollout([weights], "max")[0, 0].tolist() == [pytest.approx(2 / 3), pytest.approx(1 / 3)]
    chance = torch.randn(3, 2, 4, 9, 9, generator=torch.Generator().manual_seed(0)).softmax(dim=-1)
    for heads in ("mean", "min", "max"):
        torch.testing.assert_close(rollout(list(chance), heads).sum(dim=-1), torch.ones(2, 9))


def test_the_first_tokens_row_is_read_where_some_are_no_patches():
    found = torch.arange(25.0).reshape(1, 5, 5)
    assert over_patches(found).tolist() == [[[1, 2], [3, 4]]]
    assert over_patches(torch.arange(16.0).reshape(1, 4, 4)).tolist() == [[[6, 7], [8, 9]]]


def test_torchvisions_blocks_give_what_they_gave_by_the_recorded_weights():
    network = family("vit_b_32")
    x = network.entering(subject(network).images.pixels[:2])
    block = next(module for module in network.backbone.modules() if isinstance(module, nn.MultiheadAttention))
    seen = []
    handle = block.register_forward_hook(lambda _, given, out: seen.append((given[0], out[0])))
    with untouched(network), network.at_rest():
        weights = attentions(network, x)
    handle.remove()
    entered, left = seen[-1]
    _, _, value = nn.functional.linear(entered, block.in_proj_weight, block.in_proj_bias).chunk(3, dim=-1)
    value = value.unflatten(-1, (block.num_heads, -1)).transpose(1, 2)
    want = block.out_proj((weights[0] @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(left, want, rtol=1e-4, atol=1e-5)
    assert len(weights) == 12
    for one in weights:
        torch.testing.assert_close(one.sum(dim=-1), torch.ones(one.shape[:-1]))


def of_timm(name, size):
    torch.manual_seed(0)
    backbone = timm_backbone(name=name, size=size, channels=3, keep=None).eval()
    return Network(backbone, LinearHead(width=backbone.width, num_classes=3, init="random").eval())


def test_timms_fused_attention_gives_the_weights_of_its_unfused_one(monkeypatch):
    network = of_timm("vit_tiny_patch16_224", 224)
    x = network.entering(subject(network).images.pixels[:1])
    blocks = [module for module in network.backbone.modules() if hasattr(module, "fused_attn")]
    with network.at_rest():
        fused = attentions(network, x)
        assert len(fused) == len(blocks) == 12
        for block in blocks:
            monkeypatch.setattr(block, "fused_attn", False)
        plain_ones = attentions(network, x)
    for one, other in zip(fused, plain_ones, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_what_the_network_says_is_the_same_while_it_is_recorded():
    network = family("vit_b_32")
    x = network.entering(subject(network).images.pixels[:1])
    said = []
    handle = network.head.register_forward_hook(lambda *made: said.append(made[2]))
    with network.at_rest(), torch.no_grad():
        want = network.logits(x)
        attentions(network, x)
    handle.remove()
    torch.testing.assert_close(said[-1], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", QUICK_FIRST)
def test_every_family_has_a_map_of_its_patches_or_is_told_which_kinds_apply(name):
    network = family(name)
    given = subject(network, count=1)
    with untouched(network), torch.inference_mode(), network.at_rest():
        if name in GLOBAL:
            (shown,) = AttentionRollout(heads="mean").drawn(given)
            side = FAMILIES[name] // 32
            assert f"{side} x {side} patches" in shown.caption
        else:
            why = "within windows" if name in WINDOWS else "has none"
            with pytest.raises(UnfitError, match=f"{why}.*; gradient, .* and occlusion apply"):
                list(AttentionRollout(heads="mean").drawn(given))


def test_a_network_of_tokens_without_attention_has_none():
    network = of_stages({"only": nn.Sequential(nn.Flatten(2), nn.Linear(16, 4))}, size=4)
    with network.at_rest(), pytest.raises(UnfitError, match="has none"):
        attentions(network, torch.zeros(1, 3, 4, 4))
    with plain().at_rest(), pytest.raises(UnfitError, match="has none"):
        attentions(plain(), torch.zeros(1, 3, 16, 16))
