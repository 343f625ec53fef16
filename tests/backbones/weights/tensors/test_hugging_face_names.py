"""Image towers under the names that Hugging Face publishes them by reach timm's tensors."""

import pytest
import torch

from headstart.backbones.weights.tensors.hugging_face_names import in_names_of_timm, tower_prefix
from headstart.backbones.weights.tensors.tensor_fitting import fitted
from headstart.backbones.zoo.timm_models import timm as timm_backbone
from headstart.types import UserError

library = pytest.importorskip("timm")


def state_of(name, **settings):
    """A network's tensors, all of them random, so that none can be taken for another."""
    torch.manual_seed(3)
    return {
        key: torch.randn_like(t) if t.is_floating_point() else t
        for key, t in library.create_model(name, **settings).state_dict().items()
    }


def split(state, block, names, layer):
    """Queries, keys and values of a block of timm's under three names of a layer."""
    found = {}
    for kind in ("weight", "bias"):
        if (tensor := state.get(f"{block}.attn.qkv.{kind}")) is not None:
            found |= {f"{layer}.{name}.{kind}": part for name, part in zip(names, tensor.chunk(3), strict=True)}
    return found


def layers(state, layer, names, parts):
    """All blocks of timm's, their layers under other names; parts: of timm's -> of the other project's."""
    found = {}
    for number in range(1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))):
        there = layer.format(number)
        found |= split(state, f"blocks.{number}", names, there)
        for key, tensor in state.items():
            inside = key.removeprefix(f"blocks.{number}.")
            for own, other in parts.items():
                if key != inside and inside.startswith(own):
                    found[f"{there}.{other}{inside.removeprefix(own)}"] = tensor
    return found


BERT = ("attention.attention.query", "attention.attention.key", "attention.attention.value")


def as_vit(state):
    """google/vit-base-patch16-224: ViTForImageClassification."""
    parts = {
        "attn.proj": "attention.output.dense", "norm1": "layernorm_before", "norm2": "layernorm_after",
        "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
    }  # fmt: skip
    tensors = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.position_embeddings": state["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": state["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": state["patch_embed.proj.bias"],
        "layernorm.weight": state["norm.weight"],
        "layernorm.bias": state["norm.bias"],
        **layers(state, "encoder.layer.{}", BERT, parts),
    }
    head = {f"classifier.{kind}": state[f"head.{kind}"] for kind in ("weight", "bias")}
    return {f"vit.{name}": tensor for name, tensor in tensors.items()} | head


def as_dinov2(state):
    """facebook/dinov2-small and facebook/dinov2-with-registers-small."""
    parts = {
        "attn.proj": "attention.output.dense", "norm": "norm", "mlp": "mlp", "ls1.gamma": "layer_scale1.lambda1",
        "ls2.gamma": "layer_scale2.lambda1",
    }  # fmt: skip
    tensors = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.mask_token": torch.zeros(1, state["cls_token"].shape[-1]),
        "embeddings.position_embeddings": state["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": state["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": state["patch_embed.proj.bias"],
        "layernorm.weight": state["norm.weight"],
        "layernorm.bias": state["norm.bias"],
        **layers(state, "encoder.layer.{}", BERT, parts),
    }
    if "reg_token" in state:  # timm has the class token's position in the token, and none of its own
        own = torch.randn_like(state["cls_token"])
        tensors["embeddings.register_tokens"] = state["reg_token"]
        tensors["embeddings.cls_token"] = state["cls_token"] - own
        tensors["embeddings.position_embeddings"] = torch.cat([own, state["pos_embed"]], dim=1)
    return tensors


def as_dinov3(state):
    """facebook/dinov3-vits16-pretrain-lvd1689m: no bias of keys."""
    parts = {
        "attn.proj": "attention.o_proj", "norm": "norm", "gamma_1": "layer_scale1.lambda1",
        "gamma_2": "layer_scale2.lambda1", "mlp.fc2": "mlp.down_proj", "attn.q_bias": "attention.q_proj.bias",
        "attn.v_bias": "attention.v_proj.bias",
    }  # fmt: skip
    gated = "blocks.0.mlp.fc1_g.weight" in state
    parts |= {"mlp.fc1_g": "mlp.gate_proj", "mlp.fc1_x": "mlp.up_proj"} if gated else {"mlp.fc1": "mlp.up_proj"}
    return {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.mask_token": torch.zeros(1, 1, state["cls_token"].shape[-1]),
        "embeddings.register_tokens": state["reg_token"],
        "embeddings.patch_embeddings.weight": state["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.bias": state["patch_embed.proj.bias"],
        "norm.weight": state["norm.weight"],
        "norm.bias": state["norm.bias"],
        **layers(state, "layer.{}", [f"attention.{part}_proj" for part in "qkv"], parts),
    }


TWO_TOWERS = {"attn.proj": "self_attn.out_proj", "norm1": "layer_norm1", "norm2": "layer_norm2", "mlp": "mlp"}


def as_clip(state):
    """openai/clip-vit-base-patch16: CLIPModel, with its tower of texts."""
    names = [f"self_attn.{part}_proj" for part in "qkv"]
    tensors = {
        "embeddings.class_embedding": state["cls_token"].flatten(),
        "embeddings.position_embedding.weight": state["pos_embed"][0],
        "embeddings.position_ids": torch.arange(3),
        "embeddings.patch_embedding.weight": state["patch_embed.proj.weight"],
        **{f"pre_layrnorm.{kind}": state[f"norm_pre.{kind}"] for kind in ("weight", "bias")},
        **{f"post_layernorm.{kind}": state[f"norm.{kind}"] for kind in ("weight", "bias")},
        **layers(state, "encoder.layers.{}", names, TWO_TOWERS),
    }
    texts = {"text_model.encoder.layers.0.layer_norm1.weight": torch.ones(3), "logit_scale": torch.ones(())}
    return {f"vision_model.{name}": tensor for name, tensor in tensors.items()} | texts


def as_siglip(state):
    """google/siglip2-base-patch16-224: SiglipVisionModel, whose pooling is PyTorch's MultiheadAttention."""
    names = [f"self_attn.{part}_proj" for part in "qkv"]
    pooling = {
        f"head.attention.in_proj_{kind}": torch.cat([state[f"attn_pool.{part}.{kind}"] for part in ("q", "kv")])
        for kind in ("weight", "bias")
    }
    ends = {
        "attn_pool.proj": "head.attention.out_proj",
        "attn_pool.norm": "head.layernorm",
        "attn_pool.mlp": "head.mlp",
    }
    tensors = {
        "embeddings.position_embedding.weight": state["pos_embed"][0],
        "embeddings.patch_embedding.weight": state["patch_embed.proj.weight"],
        "embeddings.patch_embedding.bias": state["patch_embed.proj.bias"],
        "head.probe": state["attn_pool.latent"],
        **pooling,
        **{key.replace(own, other): t for key, t in state.items() for own, other in ends.items() if own in key},
        **{f"post_layernorm.{kind}": state[f"norm.{kind}"] for kind in ("weight", "bias")},
        **layers(state, "encoder.layers.{}", names, TWO_TOWERS),
    }
    return {f"vision_model.{name}": tensor for name, tensor in tensors.items()}


TOWERS = [
    ("vit_tiny_patch16_224", as_vit, "vit."),
    ("vit_small_patch14_dinov2", as_dinov2, ""),
    ("vit_small_patch14_reg4_dinov2", as_dinov2, ""),
    ("vit_small_patch16_dinov3", as_dinov3, ""),
    ("vit_tiny_patch16_dinov3_qkvb", as_dinov3, ""),
    ("vit_small_plus_patch16_dinov3", as_dinov3, ""),
    ("vit_base_patch16_clip_224", as_clip, "vision_model."),
    ("vit_base_patch16_siglip_224", as_siglip, "vision_model."),
]


@pytest.mark.parametrize(("name", "published", "prefix"), TOWERS, ids=[name for name, *_ in TOWERS])
def test_each_tensor_of_a_published_tower_is_that_of_timm(name, published, prefix):
    """Two blocks suffice, as all are alike."""
    state = state_of(name, depth=2)
    there = published(state)
    assert tower_prefix(there, None) == prefix
    found = in_names_of_timm(there, prefix)
    if "mask_token" in found:  # timm's own rule, which the fitting applies, comes after it
        return
    missing = set(state) - set(found) - {"head.weight", "head.bias"}
    assert not missing
    assert all(torch.equal(found[key].reshape(state[key].shape), state[key]) for key in found if key in state)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "published", "prefix"), TOWERS, ids=[name for name, *_ in TOWERS])
def test_a_backbone_computes_what_timm_does_with_the_tensors_under_its_own_names(name, published, prefix):
    state = state_of(name)
    backbone = timm_backbone(name=name, size=None, channels=3, keep=None)
    ours = fitted(published(state), backbone, prefix=None, reset_from=None)
    assert ours.changes.startswith("renamed from Hugging Face's names")
    for there, here in backbone.original.items():
        torch.testing.assert_close(ours.tensors[here], state[there], rtol=0, atol=1e-6)


def test_patches_as_rows_of_pixels_are_filters():
    rows = torch.randn(8, 16 * 16 * 3)
    state = {"vision_model.embeddings.patch_embedding.weight": rows}
    filters = in_names_of_timm(state, "vision_model.")["patch_embed.proj.weight"]
    patch = torch.randn(3, 16, 16)
    convolved = torch.nn.functional.conv2d(patch[None], filters).flatten()
    torch.testing.assert_close(convolved, rows @ patch.permute(1, 2, 0).flatten(), rtol=1e-4, atol=1e-4)


def test_a_layer_without_keys_is_an_error():
    state = as_vit(state_of("test_vit"))
    del state["vit.encoder.layer.1.attention.attention.key.weight"]
    with pytest.raises(UserError, match=r"layer 1 of the file must have .*, it has q, v"):
        in_names_of_timm(state, "vit.")


def test_names_of_others_are_no_tower():
    assert tower_prefix(library.create_model("test_vit").state_dict(), None) is None
    assert tower_prefix(as_vit(state_of("test_vit")), "student.") is None


@pytest.mark.slow
def test_biases_that_a_variant_has_no_place_for_are_an_error_unless_they_are_zero():
    state = as_dinov3(state_of("vit_small_patch16_dinov3_qkvb"))
    backbone = timm_backbone(name="vit_small_patch16_dinov3", size=64, channels=3, keep=None)
    with pytest.raises(UserError, match=r"try backbone\.name=vit_small_patch16_dinov3_qkvb"):
        fitted(state, backbone, prefix=None, reset_from=None)
    zeros = {name: t * 0 if name.endswith(("q_proj.bias", "v_proj.bias")) else t for name, t in state.items()}
    assert fitted(zeros, backbone, prefix=None, reset_from=None).tensors
