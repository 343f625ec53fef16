"""Classification models of torchvision in stages."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any

from annotated_types import Ge
from torch import nn
from torchvision import models

from headstart.backbones.bottleneck import BottleneckNorm, with_bottleneck
from headstart.backbones.stages import Backbone
from headstart.backbones.weights.preprocessing.preprocessing_values import Preprocessing
from headstart.backbones.weights.preprocessing.torchvision_preprocessing import torchvision_pixels
from headstart.backbones.zoo.dropout_rates import DropRate, check_rates, given_rates, with_rates
from headstart.backbones.zoo.torchvision_families import stages_of
from headstart.types import UserError


def torchvision(
    *,
    name: str,
    size: Annotated[int, Ge(1)] | None,
    channels: Annotated[int, Ge(1)],
    keep: Annotated[int, Ge(1)] | None,
    preprocessing: Preprocessing = None,
    dropout: DropRate | None = None,
    stochastic_depth_prob: DropRate | None = None,
    bottleneck: Annotated[int, Ge(1)] | None = None,
    bottleneck_norm: BottleneckNorm = "batch",
) -> Backbone:
    """Any classification model of torchvision, in stages that follow its architecture; with random weights.

    Stages chained and pooled give what enters the model's last linear layer; layers before that which need all of
    an image (VGG's, AlexNet's and MaxViT's) are a stage `fc` of their own. The maps of SqueezeNet, whose classifier is
    a convolution, are pooled before that. Auxiliary outputs (GoogLeNet, Inception) are left out.

    Args:
        name: Of a classification model in torchvision.models.
        size: Pixels of an image's side; None means the size of the default weights.
        channels: Of an image. With other than 3 the first convolution is a new one.
        keep: The first stages that are used; None means all.
        preprocessing: The name of weights whose pixels are taken, or values for these (size, resize, interpolation,
            mean, std); None means those of the default weights.
        dropout: Rate of dropout in the stages, DenseNet's `drop_rate` too; None means torchvision's default.
        stochastic_depth_prob: Rate of stochastic depth at the last block, from 0 at the first one; None means
            torchvision's default.
        bottleneck: Features of a linear layer behind the stages, the last one then; None means none.
        bottleneck_norm: What comes behind that layer.

    Raises:
        UserError: There is no such model, it cannot take such images, or has no such rate.
    """
    names = models.list_models(module=models)
    if name not in names:
        near = get_close_matches(name, names, n=3, cutoff=0.4) or names[:3]
        raise UserError(
            f"backbone.name must be a classification model of torchvision, got {name!r}; the closest are "
            f"{', '.join(near)}; torchvision.models.list_models(module=torchvision.models) lists them all"
        )
    pixels = torchvision_pixels(name, size=size, channels=channels, preprocessing=preprocessing)
    rates = given_rates(dropout=dropout, stochastic_depth_prob=stochastic_depth_prob)
    net = built(name, pixels.size, rates)
    if channels != 3:
        _with_channels(net, channels)
    try:
        backbone = Backbone(stages_of(name, net), pixels=pixels, keep=keep, net=net, zoo=("torchvision", name))
    except RuntimeError as error:
        raise UserError(
            f"{name} cannot take images of {pixels.size} pixels ({str(error).splitlines()[0]}); "
            f"try backbone.size={torchvision_pixels(name, size=None, channels=channels).size}"
        ) from error
    check_rates(name, backbone, rates)
    return with_bottleneck(backbone, bottleneck, bottleneck_norm)


def built(name: str, size: int, rates: Mapping[str, float] | None = None) -> nn.Module:
    """A model of torchvision with random weights, for images of `size` pixels.

    Args:
        name: Of the model.
        size: Pixels of an image's side.
        rates: Of dropout and stochastic depth; what is left out has torchvision's default.

    Raises:
        UserError: It takes no such images, or has no such rate.
    """
    settings: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        settings = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit"):
        settings = {"image_size": size}
    elif name.startswith("maxvit"):
        settings = {"input_size": (size, size)}
    try:
        net = with_rates(name, partial(models.get_model, name, weights=None, **settings), rates or {})
    except (AssertionError, ValueError) as error:
        default = torchvision_pixels(name, size=None, channels=3).size
        reason = next(iter(str(error).splitlines()), "they do not fall into whole patches")
        raise UserError(
            f"{name} cannot take images of {size} pixels ({reason}); try backbone.size={default}"
        ) from error
    return net


def _with_channels(net: nn.Module, channels: int) -> None:
    """Replace the first convolution by a new one for images with `channels` channels."""
    path, first = next((path, module) for path, module in net.named_modules() if isinstance(module, nn.Conv2d))
    above, _, last = path.rpartition(".")
    replacement = nn.Conv2d(
        channels,
        first.out_channels,
        kernel_size=first.kernel_size,  # type: ignore[arg-type]
        stride=first.stride,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    net.get_submodule(above).register_module(last, replacement)
