"""Names of tensors of Hugging Face's ViT, DINOv2, DINOv3, CLIP and SigLIP image towers, translated into timm's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from headstart.types import UserError

# the weights that read the image, by which a tower is known: the names before it are its prefix
FIRST = re.compile(r"^(.*?)embeddings\.(patch_embeddings\.projection|patch_embeddings|patch_embedding)\.weight$")
LAYER = re.compile(r"^(?:model\.)?(?:encoder\.)?layers?\.(\d+)\.(.*)$")
OUTSIDE = (  # of the layers
    (r"embeddings\.(?:cls_token|class_embedding)", "cls_token"),
    (r"embeddings\.(?:position_embeddings|position_embedding\.weight)", "pos_embed"),
    (
        r"embeddings\.(?:patch_embeddings\.projection|patch_embeddings|patch_embedding)\.(weight|bias)",
        r"patch_embed.proj.\1",
    ),
    (r"embeddings\.register_tokens", "reg_token"),
    (r"embeddings\.distillation_token", "dist_token"),
    (r"pre_layrnorm\.(weight|bias)", r"norm_pre.\1"),  # spelt so there
    (r"(?:layernorm|post_layernorm|norm)\.(weight|bias)", r"norm.\1"),
    (r"head\.probe", "attn_pool.latent"),
    (r"head\.attention\.out_proj\.(weight|bias)", r"attn_pool.proj.\1"),
    (r"head\.layernorm\.(weight|bias)", r"attn_pool.norm.\1"),
    (r"head\.mlp\.(fc[12])\.(weight|bias)", r"attn_pool.mlp.\1.\2"),
)  # fmt: skip
INSIDE = (
    (r"(?:attention\.output\.dense|self_attn\.out_proj|attention\.o_proj)\.(weight|bias)", r"attn.proj.\1"),
    (r"(?:layernorm_before|layer_norm1|norm1)\.(weight|bias)", r"norm1.\1"),
    (r"(?:layernorm_after|layer_norm2|norm2)\.(weight|bias)", r"norm2.\1"),
    (r"(?:intermediate\.dense|mlp\.fc1|mlp\.weights_in)\.(weight|bias)", r"mlp.fc1.\1"),
    (r"(?:output\.dense|mlp\.fc2|mlp\.weights_out|mlp\.down_proj)\.(weight|bias)", r"mlp.fc2.\1"),
    (r"layer_scale([12])\.lambda1", r"ls\1.gamma"),
)
PROJECTION = re.compile(r"(?:attention\.attention|self_attn|attention)\.(query|key|value|q_proj|k_proj|v_proj)\.(\w+)")
ORDER = ("q", "k", "v")


def tower_prefix(state: Mapping[str, Tensor], prefix: str | None) -> str | None:
    """What stands before the names of an image tower of Hugging Face's; None where there is none.

    Args:
        state: Of a file.
        prefix: That the tower's names begin with; None means any.
    """
    prefixes = [match[1] for name in state if (match := FIRST.match(name)) and name.startswith(prefix or "")]
    return min(prefixes, key=len) if prefixes else None


def in_names_of_timm(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of an image tower under timm's names, queries, keys and values in one; others are left out.

    Args:
        state: Of a file of transformers.
        prefix: Before the tower's names.

    Raises:
        UserError: A layer lacks its queries, keys or values.
    """
    names = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    renamed: dict[str, Tensor] = {}
    projections: dict[tuple[str, str], dict[str, Tensor]] = {}
    for name, tensor in names.items():
        layer = LAYER.match(name)
        if layer and (part := PROJECTION.fullmatch(layer[2])):
            projections.setdefault((layer[1], part[2]), {})[part[1][0]] = tensor
        elif layer:
            if short := _inside(layer[2], gated=f"{name[: layer.start(2)]}mlp.gate_proj.weight" in names):
                renamed[f"blocks.{layer[1]}.{short}"] = tensor
        elif short := _replaced(name, OUTSIDE):
            renamed[short] = _shaped(short, tensor)
    if "embeddings.patch_embeddings.weight" in names:  # DINOv3's, whose keys have no bias
        renamed = {re.sub(r"\.ls([12])\.gamma$", r".gamma_\1", name): tensor for name, tensor in renamed.items()}
    elif "reg_token" in renamed:  # timm's own rule for DINOv2 adds the class token's position to it
        renamed["register_tokens"] = renamed.pop("reg_token")
        renamed["mask_token"] = torch.zeros(())
    return renamed | _joined(projections) | _pooling(names) | _classifier(state)


def _joined(projections: Mapping[tuple[str, str], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Queries, keys and values as one; where keys have no bias, the two others by themselves."""
    joined: dict[str, Tensor] = {}
    for (layer, kind), parts in projections.items():
        if kind == "bias" and set(parts) == {"q", "v"}:
            joined |= {f"blocks.{layer}.attn.{part}_bias": tensor for part, tensor in parts.items()}
        elif set(parts) == set(ORDER):
            joined[f"blocks.{layer}.attn.qkv.{kind}"] = torch.cat([parts[part] for part in ORDER])
        else:
            raise UserError(
                f"layer {layer} of the file must have queries, keys and values ({kind}), it has "
                f"{', '.join(sorted(parts))}; was it saved whole?"
            )
    return joined


def _pooling(names: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """SigLIP's attention pooling: timm has the query's projection apart from those of keys and values."""
    pooling: dict[str, Tensor] = {}
    for kind in ("weight", "bias"):
        if (tensor := names.get(f"head.attention.in_proj_{kind}")) is not None:
            query, *others = tensor.chunk(3)
            pooling |= {f"attn_pool.q.{kind}": query, f"attn_pool.kv.{kind}": torch.cat(others)}
    return pooling


def _classifier(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"head.{kind}": state[f"classifier.{kind}"] for kind in ("weight", "bias") if f"classifier.{kind}" in state}


def _inside(name: str, *, gated: bool) -> str | None:
    """A tensor's name in a block of timm; gated: of a SwiGLU, whose first layer is two."""
    part = re.fullmatch(r"mlp\.(gate|up)_proj\.(weight|bias)", name)
    if part:
        return f"mlp.fc1{'_g' if part[1] == 'gate' else '_x' if gated else ''}.{part[2]}"
    return _replaced(name, INSIDE)


def _replaced(name: str, rules: tuple[tuple[str, str], ...]) -> str | None:
    return next((match.expand(new) for old, new in rules if (match := re.fullmatch(old, name))), None)


def _shaped(name: str, tensor: Tensor) -> Tensor:
    if name in ("cls_token", "pos_embed"):
        return tensor.reshape(1, -1, tensor.shape[-1])
    if name == "patch_embed.proj.weight" and tensor.ndim == 2:  # of patches as rows of pixels (SigLIP 2, any ratio)
        side = int((tensor.shape[1] // 3) ** 0.5)
        return tensor.reshape(-1, side, side, 3).permute(0, 3, 1, 2)
    return tensor
