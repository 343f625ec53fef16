"""Image models of timm in stages."""

from __future__ import annotations

import inspect
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torchvision.ops import Permute

from headstart.backbones.bottleneck import BottleneckNorm, with_bottleneck
from headstart.backbones.network_splitting import NetworkPiece, chained, gathered, pieces, weights_in
from headstart.backbones.stages import Backbone, pooled
from headstart.backbones.weights.preprocessing.preprocessing_values import Preprocessing
from headstart.backbones.weights.preprocessing.timm_preprocessing import library, timm_config, timm_pixels
from headstart.backbones.zoo.dropout_rates import DropRate, check_rates, given_rates, require_rates
from headstart.types import Pixels, UserError

OTHERWISE = "try another model of the family, or one of backbone=torchvision"
BLOCK_GROUPS = 4  # stages of a chain of equal blocks
FEWEST = 3  # stages; a model that can be cut at fewer places is one block to us
TOLERANCE = 1e-3  # of the largest feature; float32 in another order of channels


def timm(
    *,
    name: str,
    size: Annotated[int, Ge(1)] | None,
    channels: Annotated[int, Ge(1)],
    keep: Annotated[int, Ge(1)] | None,
    preprocessing: Preprocessing = None,
    drop_rate: DropRate | None = None,
    drop_path_rate: DropRate | None = None,
    bottleneck: Annotated[int, Ge(1)] | None = None,
    bottleneck_norm: BottleneckNorm = "batch",
) -> Backbone:
    """Any image model of timm that can be divided into stages, with random weights.

    A stage ends where timm says that features can be taken (`feature_info`), a chain of equal blocks is divided into
    four groups; what is before the first block is `stem`, or `embedding` before equal blocks; layers behind the
    pooling are a stage `fc`. Stages chained and pooled give timm's forward_head(forward_features(x), pre_logits=True).

    Args:
        name: Of an architecture, or with a tag of its weights (convnext_tiny.fb_in22k), whose pixels it then takes.
        size: Pixels of an image's side; None means the size of these weights.
        channels: Of an image.
        keep: The first stages that are used; None means all.
        preprocessing: The tag of weights whose pixels are taken, or values for these (size, resize, interpolation,
            mean, std); None means those of the weights that the name says.
        drop_rate: timm's rate of dropout; None means timm's default.
        drop_path_rate: Rate of stochastic depth (drop path) at the last block, from 0 at the first one; None means
            timm's default, mostly 0.
        bottleneck: Features of a linear layer behind the stages, the last one then; None means none.
        bottleneck_norm: What comes behind that layer.

    Raises:
        UserError: There is no such model, it cannot take such images, has no such rate, or cannot be divided.
    """
    pixels = timm_pixels(name, size=size, channels=channels, preprocessing=preprocessing)
    rates = given_rates(drop_rate=drop_rate, drop_path_rate=drop_path_rate)
    net = built(name, pixels, rates=rates)
    stages = _stages(name, net, pixels)
    zoo = ("timm", name) if timm_config(name).has_weights else None
    backbone = Backbone(stages, pixels=pixels, keep=keep, net=net, zoo=zoo, model=("timm", name))
    check_rates(name, backbone, rates)
    return with_bottleneck(backbone, bottleneck, bottleneck_norm)


def built(
    name: str, pixels: Pixels, *, tensors: Mapping[str, Tensor] | None = None, rates: Mapping[str, float] | None = None
) -> nn.Module:
    """timm's model for such images, without a classifier and with random weights.

    tensors: of a file of the weights that the name means; the model then has them, converted by timm's own code
    for today's names, the size and the channels, and has its classifier. Raises UserError where these cannot be.
    """
    package = library()
    settings: dict[str, Any] = {"num_classes": 0} if tensors is None else {}
    with torch.device("meta"):  # only to see what it takes
        takes = inspect.signature(type(package.create_model(name))).parameters
    require_rates(name, takes, rates or {})
    settings |= rates or {}
    if "img_size" in takes:
        settings["img_size"] = pixels.size
    if "dynamic_img_size" in takes:  # all images are of one size; the code for several cannot be followed
        settings["dynamic_img_size"] = False
    if tensors is not None:
        settings |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": dict(tensors)}}
    try:
        net: nn.Module = package.create_model(name, in_chans=pixels.channels, **settings)
    except Exception as error:  # timm's code for a size that it does not take, or for a file of something else
        first, *others = str(error).splitlines() or [type(error).__name__]
        if tensors is not None:
            reason = (others or [first])[-1].strip()
            raise UserError(f"the file is not of timm's {name}: {reason[:200]}; is it the right one?") from error
        raise UserError(
            f"{name} cannot take images of {pixels.channels} channels and {pixels.size} pixels ({first}); "
            f"try backbone.size={timm_pixels(name, size=None, channels=3).size} backbone.channels=3"
        ) from error
    return net


# ---------------------------------------------------------------------- stages


def _stages(name: str, net: Any, pixels: Pixels) -> dict[str, nn.Module]:
    """The model's stages; run once on noise, to see that it takes such images and that their chain is the model."""
    # a generator of its own: the run's random numbers stay as they are
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, pixels.channels, pixels.size, pixels.size, generator=generator)
    training = net.training
    try:
        with torch.no_grad():
            want = net.eval().forward_head(net.forward_features(noise), pre_logits=True)
    except Exception as error:  # timm's code for a size that it does not take
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"{name} cannot take images of {pixels.size} pixels ({why}); "
            f"try backbone.size={timm_pixels(name, size=None, channels=3).size}"
        ) from error
    finally:
        net.train(training)
    infos = getattr(net, "feature_info", None) or []
    listed = [(info["module"], info["reduction"], info["num_chs"]) for info in infos]
    opened = _containers([path for path, _, _ in listed])
    try:
        body = pieces(net, lambda net, x: net.forward_features(x), tuple(noise.shape[1:]), opened=opened)
        top = pieces(net, lambda net, x: net.forward_head(x, pre_logits=True), body[-1].output_shape)
        groups = _grouped(body, listed)
        if len(groups) < FEWEST or any(not 1 <= len(parts[-1].output_shape) <= 3 for parts in groups.values()):
            raise UserError("more than one tensor passes between its blocks")
        maps, features = _chained_on(noise, [part for parts in groups.values() for part in parts], top)
        if not _same(features, want):
            raise UserError("chained they give other features than the model")
    except UserError as error:
        raise UserError(f"timm's {name} cannot be cut into stages: {error}; {OTHERWISE}") from error
    ends = {title: _has_channels_last(parts[-1].output_shape, net) for title, parts in groups.items()}
    begins = dict(zip(groups, [False, *ends.values()], strict=False))
    *_, last = groups
    parts = {title: list(of_stage) for title, of_stage in groups.items()}
    leaves = dict(ends)
    if any(weights_in(part) for part in top):
        parts["fc"], begins["fc"], leaves["fc"] = list(top), ends[last], False
    elif any(part.module.state_dict() for part in top) or not _same(
        pooled(maps.permute(0, 3, 1, 2) if ends[last] else maps), pooled(want)
    ):  # else it is the mean, which a Backbone takes itself
        parts[last], leaves[last] = [*parts[last], *top], False
    return {
        title: _channels_first(gathered(net, of_stage), enters=begins[title], leaves=leaves[title]).train(training)
        for title, of_stage in parts.items()
    }


@torch.no_grad()
def _chained_on(x: Tensor, body: Sequence[NetworkPiece], top: Sequence[NetworkPiece]) -> tuple[Tensor, Tensor]:
    """What the body makes of x, and the top of that."""
    for part in body:
        x = part.module.eval()(x)
    maps = x
    for part in top:
        x = part.module.eval()(x)
    return maps, x


def _same(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.allclose(
        first, second, rtol=0, atol=TOLERANCE * max(1e-6, float(second.abs().nan_to_num().max())), equal_nan=True
    )


def _has_channels_last(shape: tuple[int, ...], net: Any) -> bool:
    """Whether maps are (H, W, C): images here are square, and so are their maps."""
    if len(shape) != 3:
        return False
    if len(set(shape)) == 1:
        return bool(getattr(net, "output_fmt", "") == "NHWC")
    return shape[0] == shape[1]


def _channels_first(parts: Sequence[NetworkPiece], *, enters: bool, leaves: bool) -> nn.Module:
    """The pieces as one stage; enters, leaves: whether they have channels last, which then is so inside alone."""
    stage = chained(parts)
    if not (enters or leaves):
        return stage
    inside = list(stage.named_children()) if len(parts) > 1 else [(parts[0].path.rpartition(".")[2], stage)]
    before = [("to_last", Permute([0, 2, 3, 1]))] if enters else []
    after = [("to_first", Permute([0, 3, 1, 2]))] if leaves else []
    return nn.Sequential(OrderedDict([*before, *inside, *after]))


def _containers(paths: Sequence[str]) -> set[str]:
    """The modules that hold several of these, as `encoder` of encoder.blocks.0 and encoder.blocks.1."""
    above = Counter(path[:at] for path in set(paths) for at in range(len(path)) if path[at] == ".")
    return {path for path, count in above.items() if count > 1}


def _grouped(body: Sequence[NetworkPiece], listed: Sequence[tuple[str, int, int]]) -> dict[str, list[NetworkPiece]]:
    """The pieces by stages, as timm's feature_info says where these end: (path, reduction, channels) of each."""
    if all(_end(body, path) is None for path, *_ in listed):
        listed = _blocks(body)
    block_ends = [(end, rest) for path, *rest in listed if (end := _end(body, path)) is not None]
    block_ends = [
        block
        for block, before in zip(block_ends, [None, *block_ends], strict=False)
        if before is None or block[0] > before[0]
    ]
    if not block_ends:
        return {}
    ends, equal = [], False
    for _, run in groupby(block_ends, key=lambda block: block[1]):
        blocks = [end for end, _ in run]
        if equal := len(blocks) > BLOCK_GROUPS:
            blocks = [blocks[round(len(blocks) * n / BLOCK_GROUPS) - 1] for n in range(1, BLOCK_GROUPS + 1)]
        ends += blocks
    ends[-1] = len(body) - 1  # norms and last convolutions
    begin = _begin(body, next(path for path, *_ in listed if _end(body, path) == block_ends[0][0]))
    bounds = [0, *([begin] if begin else []), *(end + 1 for end in ends)]
    groups = [list(body[low:high]) for low, high in pairwise(bounds)]
    for before, group in pairwise(groups):
        while group and not weights_in(group[0]):  # a norm or a pooling is the end of what is before it
            before.append(group.pop(0))
    groups = [group for group in groups if group]
    return dict(zip(_titles(groups, {path for path, *_ in listed}, equal=equal), groups, strict=True))


def _blocks(body: Sequence[NetworkPiece]) -> list[tuple[str, int, int]]:
    """The layers of the longest list in the model, with the shapes that they give, where feature_info names none."""
    lists = Counter(part.path.rpartition(".")[0] for part in body if part.path.rpartition(".")[2].isdigit())
    longest = next((path for path, _ in lists.most_common(1)), None)
    return [
        (part.path, part.output_shape[0], part.output_shape[-1])
        for part in body
        if part.path.rpartition(".")[0] == longest
    ]


def _end(body: Sequence[NetworkPiece], path: str) -> int | None:
    """The last piece of what feature_info names; of what lies within a piece, as an activation, the one before."""
    positions = [at for at, part in enumerate(body) if f"{part.path}.".startswith(f"{path}.")]
    if positions:
        return positions[-1]
    within = next((at for at, part in enumerate(body) if part.path and path.startswith(f"{part.path}.")), 0)
    return within - 1 if within else None


def _begin(body: Sequence[NetworkPiece], path: str) -> int | None:
    """Where the first block begins, if something learns before it; no convolution alone is a block."""
    positions = [at for at, part in enumerate(body) if f"{part.path}.".startswith(f"{path}.")]
    weights = sum(weights_in(body[at]) for at in positions)
    if weights < 2 or not any(map(weights_in, body[: positions[0]])):
        return None
    return positions[0]


def _titles(groups: Sequence[Sequence[NetworkPiece]], listed: Collection[str], *, equal: bool) -> list[str]:
    """The model's own names of its stages, as layer1, where it has some; else numbers."""
    first, *others = [
        {part.path.partition(".")[0] for part in group if list(part.module.parameters())} for group in groups
    ]
    titles = [next(iter(names)) for names in others if len(names) == 1 and names <= set(listed)]
    if len(set(titles)) < len(others) or first & set(titles):
        titles = [f"{'blocks' if equal else 'stage'}{number}" for number in range(1, len(groups))]
    return ["embedding" if equal else "stem", *titles]
