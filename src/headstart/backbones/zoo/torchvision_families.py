"""Stages of torchvision's families of classification models."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import Permute

from headstart.types import UserError

Stages = dict[str, nn.Module]
BLOCK_GROUPS = 4  # stages of a transformer's equal blocks


def _resnet(net: Any) -> Stages:
    return {
        "stem": _chain(net, "conv1", "bn1", "relu", "maxpool"),
        **_named(net, "layer1", "layer2", "layer3", "layer4"),
    }


def _regnet(net: Any) -> Stages:
    return {"stem": net.stem, **_named(net.trunk_output, "block1", "block2", "block3", "block4")}


def _densenet(net: Any) -> Stages:
    features = net.features
    last = _chain(features, "transition3", "denseblock4", "norm5")
    last.add_module("relu", nn.ReLU())  # in the net's forward
    return {
        "stem": _chain(features, "conv0", "norm0", "relu0", "pool0"),
        "block1": _chain(features, "denseblock1"),
        "block2": _chain(features, "transition1", "denseblock2"),
        "block3": _chain(features, "transition2", "denseblock3"),
        "block4": last,
    }


def _convnext(net: Any) -> Stages:
    stages = _pairs(net.features)
    tail = {"avgpool": net.avgpool, "norm": net.classifier[0], "flatten": net.classifier[1]}
    return _with_tail(stages, tail)


def _swin(net: Any) -> Stages:
    """Its layers have channels last; between stages they come first, as in all maps here."""
    stages = {name: _channels_last_inside(stage, first=name == "stem") for name, stage in _pairs(net.features).items()}
    norm = _channels_last_inside(nn.Sequential(OrderedDict(norm=net.norm)), first=False)
    return _with_tail(stages, {"norm": norm})


def _vit(net: Any) -> Stages:
    blocks = list(net.encoder.layers.named_children())
    groups = _groups(blocks, BLOCK_GROUPS)
    stages: Stages = {"embedding": _Embedding(net)}
    stages |= {f"blocks{n}": nn.Sequential(OrderedDict(group)) for n, group in enumerate(groups, start=1)}
    return _with_tail(stages, {"ln": net.encoder.ln, "class_token": _ClassToken()})


def _maxvit(net: Any) -> Stages:
    stages: Stages = {"stem": net.stem}
    stages |= {f"block{n}": block for n, block in enumerate(net.blocks, start=1)}
    return stages | {"fc": nn.Sequential(*net.classifier[:-1])}


def _googlenet(net: Any) -> Stages:
    return {
        "stem": _chain(net, "conv1", "maxpool1", "conv2", "conv3", "maxpool2"),
        "inception3": _chain(net, "inception3a", "inception3b"),
        "inception4": _chain(net, "maxpool3", *(f"inception4{letter}" for letter in "abcde")),
        "inception5": _chain(net, "maxpool4", "inception5a", "inception5b"),
    }


def _inception(net: Any) -> Stages:
    stem = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2")
    return {
        "stem": _chain(net, *stem),
        "mixed5": _chain(net, "Mixed_5b", "Mixed_5c", "Mixed_5d"),
        "mixed6": _chain(net, "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
        "mixed7": _chain(net, "Mixed_7a", "Mixed_7b", "Mixed_7c"),
    }


def _shufflenet(net: Any) -> Stages:
    return {"stem": _chain(net, "conv1", "maxpool"), **_named(net, "stage2", "stage3", "stage4", "conv5")}


def _by_resolution_alone(net: Any) -> Stages:
    """EfficientNet, SqueezeNet: pooling and a classifier of one layer follow their features."""
    return _by_resolution(net.features.named_children())


def _mobilenet_v2(net: Any) -> Stages:
    """The bottlenecks of a resolution, 1/2 (with the first convolution) to 1/32; then the 1x1 convolution."""
    ends = {"stem": 2, "stage1": 4, "stage2": 7, "stage3": 14, "stage4": 18, "last": 19}
    begins = (0, *ends.values())
    return {
        name: _chain(net.features, *map(str, range(begin, end)))
        for begin, (name, end) in zip(begins, ends.items(), strict=False)
    }


def _mnasnet(net: Any) -> Stages:
    return _by_resolution(net.layers.named_children())


def _mobilenet_v3(net: Any) -> Stages:
    return _by_resolution(net.features.named_children()) | {"fc": _fc(net)}


def _vgg(net: Any) -> Stages:
    return _by_resolution(net.features.named_children()) | {"fc": _fc(net)}


CUTS: Mapping[str, Callable[[Any], Stages]] = {  # by how the names of a family begin
    "resnet": _resnet, "resnext": _resnet, "wide_resnet": _resnet, "regnet": _regnet, "densenet": _densenet,
    "convnext": _convnext, "swin": _swin, "vit": _vit, "maxvit": _maxvit, "googlenet": _googlenet,
    "inception": _inception, "shufflenet": _shufflenet, "efficientnet": _by_resolution_alone,
    "mobilenet_v2": _mobilenet_v2, "squeezenet": _by_resolution_alone, "mnasnet": _mnasnet,
    "mobilenet_v3": _mobilenet_v3, "vgg": _vgg, "alexnet": _vgg,
}  # fmt: skip


def stages_of(name: str, net: nn.Module) -> Stages:
    """The stages of a model of torchvision, by the family that its name begins with.

    Args:
        name: Of the model.
        net: The model.

    Raises:
        UserError: The family is not known here.
    """
    for family, cut in CUTS.items():
        if name.startswith(family):
            return cut(net)
    raise UserError(f"how {name} falls into stages is not known; it is younger than this version of headstart")


# ---------------------------------------------------------------------- pieces


def _chain(net: nn.Module, *names: str) -> nn.Sequential:
    return nn.Sequential(OrderedDict((name, net.get_submodule(name)) for name in names))


def _named(net: nn.Module, *names: str) -> Stages:
    return {name: net.get_submodule(name) for name in names}


def _pairs(features: nn.Sequential) -> Stages:
    """ConvNeXt and Swin: the patches, blocks; then patches merged and blocks, again and again."""
    children = list(features.named_children())
    parts = [children[:1], children[1:2], *(children[at : at + 2] for at in range(2, len(children), 2))]
    names = ["stem", *(f"stage{n}" for n in range(1, len(parts)))]
    return {name: nn.Sequential(OrderedDict(part)) for name, part in zip(names, parts, strict=True)}


def _fc(net: Any) -> nn.Sequential:
    """All layers between the maps and the last linear layer."""
    parts = [("avgpool", net.avgpool), ("flatten", nn.Flatten(1)), *list(net.classifier.named_children())[:-1]]
    return nn.Sequential(OrderedDict(parts))


def _with_tail(stages: Mapping[str, nn.Module], tail: Mapping[str, nn.Module]) -> Stages:
    """The same stages with more modules at the end of the last one."""
    *before, last = stages
    longer = nn.Sequential(OrderedDict([*stages[last].named_children(), *tail.items()]))
    return {name: stages[name] for name in before} | {last: longer}


def _groups(blocks: Sequence[tuple[str, nn.Module]], count: int) -> list[list[tuple[str, nn.Module]]]:
    """`count` groups of neighbours, as equal in size as possible."""
    ends = [round(len(blocks) * n / count) for n in range(count + 1)]
    return [list(blocks[begin:end]) for begin, end in pairwise(ends) if end > begin]


@torch.no_grad()
def _by_resolution(children: Iterable[tuple[str, nn.Module]]) -> Stages:
    """A stage for the layers of each resolution; the first is the stem."""
    groups: list[list[tuple[str, nn.Module]]] = []
    listed = list(children)
    side = None
    channels = next(m.in_channels for _, child in listed for m in child.modules() if isinstance(m, nn.Conv2d))
    x = torch.zeros(1, channels, 64, 64)
    for name, child in listed:
        training = child.training
        x = child.eval()(x)
        child.train(training)
        if x.shape[-1] != side:
            groups.append([])
            side = x.shape[-1]
        groups[-1].append((name, child))
    for at in range(len(groups) - 1, 0, -1):
        if not any(list(child.parameters()) for _, child in groups[at]):  # VGG's last pooling has no parameters
            groups[at - 1 : at + 1] = [groups[at - 1] + groups[at]]
    names = ["stem", *(f"stage{n}" for n in range(1, len(groups)))]
    return {name: nn.Sequential(OrderedDict(group)) for name, group in zip(names, groups, strict=True)}


def _channels_last_inside(stage: nn.Module, *, first: bool) -> nn.Sequential:
    """A stage with channels last inside, between permutations; first: whether its input has them first."""
    before = [] if first else [("to_last", Permute([0, 2, 3, 1]))]
    return nn.Sequential(OrderedDict([*before, *stage.named_children(), ("to_first", Permute([0, 3, 1, 2]))]))


class _Embedding(nn.Module):
    """Images (B, channels, H, W) -> (B, 1 + patches, D): the class token and the patches, with their positions."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.conv_proj, self.class_token = net.conv_proj, net.class_token
        self.pos_embedding, self.dropout = net.encoder.pos_embedding, net.encoder.dropout

    def forward(self, image: Tensor) -> Tensor:
        patches = self.conv_proj(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(image), -1, -1), patches], dim=1)
        embedded: Tensor = self.dropout(x + self.pos_embedding)
        return embedded


class _ClassToken(nn.Module):
    """Tokens (B, 1 + patches, D) -> the first one, (B, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]
