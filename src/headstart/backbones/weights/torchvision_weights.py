"""Pretrained weights of torchvision."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from headstart.backbones.weights.download import fetched
from headstart.backbones.weights.preprocessing.torchvision_preprocessing import torchvision_weights
from headstart.backbones.weights.pretrained_weights import Pretrained
from headstart.backbones.weights.tensors.tensor_file import tensors_in
from headstart.backbones.zoo.torchvision_models import built
from headstart.compat.pytorch.torch_module_versions import with_module_versions
from headstart.types import Pixels, UserError

# torchvision's DenseNet files are older than the rule that a module's name has no dot; its own loader renames so too
DENSE_LAYER = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


def pretrained(model: str, name: str | None, pixels: Pixels) -> Pretrained:
    """The weights of a model of torchvision, as headstart.backbones.weights.weight_libraries.WeightLibrary says.

    For grey images the first convolution's weights are summed over the colours.
    """
    weights = torchvision_weights(model, name)
    file = fetched(weights.url)
    tensors = as_named_now(model, tensors_in(file), size=pixels.size)
    if pixels.channels == 1:
        tensors = summed_over_colours(tensors, first_convolution(built(model, pixels.size)))
    made_for = weights.transforms()
    evaluated = pixels._replace(  # mean and deviation are the same for all of a model's weights
        size=made_for.crop_size[0], resize=made_for.resize_size[0], interpolation=made_for.interpolation.value
    )
    advice = f"backbone.preprocessing={weights.name} takes all that these were evaluated with"
    return Pretrained(weights.name, weights.url, file, tensors, evaluated, advice)


def as_named_now(model: str, state: Mapping[str, Tensor], *, size: int) -> dict[str, Tensor]:
    """The tensors of a file of torchvision's under the names that its model has today, for images of size pixels.

    The model's own loading does it, which knows older names. A vision transformer's position embeddings are
    interpolated for another size, as torchvision does it. Raises UserError where a tensor has another shape.
    """
    net = built(model, size)
    renamed: Any = with_module_versions({_renamed(name): tensor for name, tensor in state.items()}, of=state)
    if isinstance(net, VisionTransformer):
        renamed = interpolate_embeddings(size, net.patch_size, renamed)
    try:
        unmatched = net.load_state_dict(renamed, strict=False)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"the file is not of {model}: {reason}; was the right file put into the cache?") from error
    return {name: tensor for name, tensor in net.state_dict().items() if name not in unmatched.missing_keys}


def resampled(model: str, state: Mapping[str, Tensor], pixels: Pixels) -> dict[str, Tensor]:
    """The tensors of any file under today's names, a vision transformer's position embeddings for such images.

    Args:
        model: Of torchvision.
        state: Of the file, by the names of the model or older ones.
        pixels: Of the backbone.
    """
    renamed = {_renamed(name): tensor for name, tensor in state.items()}
    with torch.device("meta"):  # only to see the sides of its patches
        net = built(model, pixels.size)
    if not isinstance(net, VisionTransformer) or "encoder.pos_embedding" not in renamed:
        return renamed
    try:
        return dict(interpolate_embeddings(pixels.size, net.patch_size, OrderedDict(renamed)))
    except ValueError:  # of no square number of patches: it will be told with both shapes
        return renamed


def summed_over_colours(net_state: Mapping[str, Tensor], first: str) -> dict[str, Tensor]:
    """The same tensors, the first convolution's weights (out, 3, h, w) summed over colours: (out, 1, h, w).

    On a grey image that is what it would do on three equal channels.
    """
    return {name: t.sum(dim=1, keepdim=True) if name == first else t for name, t in net_state.items()}


def first_convolution(model: nn.Module) -> str:
    """The name of the weights that read the image."""
    return next(f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Conv2d))


def _renamed(name: str) -> str:
    old = DENSE_LAYER.match(name)
    return old[1] + old[2] if old else name
