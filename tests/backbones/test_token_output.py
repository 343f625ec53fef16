"""Tokens and maps in place of pooled features, by what the networks give without headstart."""

import pytest
import torch

from headstart.backbones.stages import pooled
from headstart.backbones.token_output import give_tokens
from headstart.backbones.zoo.torchvision_models import torchvision
from headstart.types import UserError


def image(size):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def own(name, size):
    backbone = torchvision(name=name, size=size, channels=3, keep=None)
    return backbone.eval()


@torch.no_grad()
def tokens_of_vit(backbone, x, blocks):
    """The last blocks' tokens through the final norm, by a walk through the layers by name."""
    kept = []
    for stage in backbone.stages.values():
        for name, layer in stage.named_children() if not hasattr(stage, "conv_proj") else [("embedding", stage)]:
            if name == "ln":
                norm = layer
            elif name != "class_token":
                x = layer(x)
                kept.append(x)
    return torch.cat([norm(tokens) for tokens in kept[-blocks:]], dim=2)


@torch.no_grad()
def test_a_vit_s_last_blocks_stand_side_by_side_with_the_class_token_first():
    backbone, x = own("vit_b_32", 64), image(64)
    names, features = list(backbone.state_dict()), backbone(x)
    want = tokens_of_vit(backbone, x, 3)
    give_tokens(backbone, 3)
    tokens = backbone(x)
    assert (backbone.width, backbone.class_tokens, tuple(tokens.shape)) == (3 * 768, 1, (2, 1 + 4, 3 * 768))
    torch.testing.assert_close(tokens, want)
    torch.testing.assert_close(tokens[:, 0, -768:], features)  # the last block's class token is the feature
    assert list(backbone.state_dict()) == names


@torch.no_grad()
@pytest.mark.parametrize(("name", "width"), [("resnet18", 512), ("mobilenet_v2", 1280), ("swin_t", 768)])
def test_maps_are_those_whose_mean_the_features_are(name, width):
    backbone, x = own(name, 64), image(64)
    features = backbone(x)
    give_tokens(backbone, 1)
    maps = backbone(x)
    assert (backbone.width, backbone.class_tokens, maps.shape) == (width, 0, (2, width, 2, 2))
    torch.testing.assert_close(pooled(maps), features)


@torch.no_grad()
def test_a_pooling_before_the_last_norm_is_left_out_and_the_norm_is_kept():
    backbone, x = own("convnext_tiny", 64), image(64)
    maps = backbone.stages["stage4"][1](backbone.stages["stage4"][0](list(backbone.outputs(x).values())[-2]))
    want = backbone.stages["stage4"].norm(maps)
    give_tokens(backbone, 1)
    torch.testing.assert_close(backbone(x), want)


def test_more_blocks_than_the_last_stage_has_is_an_error_that_says_how_many_there_are():
    with pytest.raises(UserError, match=r"head.blocks must be 1 to 3, as the last stage, blocks4, has 3 equal blocks"):
        give_tokens(own("vit_b_32", 64), 4)
    with pytest.raises(UserError, match=r"head.blocks must be 1 to 1"):
        give_tokens(own("resnet18", 64), 2)


def test_features_without_places_are_an_error_that_says_what_to_try():
    with pytest.raises(UserError, match=r"the last stage, fc, gives features without places; try backbone.keep=5"):
        give_tokens(own("mobilenet_v3_small", 64), 1)
