"""Any importable network in stages that the user names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn

from headstart.backbones.bottleneck import BottleneckNorm, with_bottleneck
from headstart.backbones.network_splitting import NetworkPiece, chained, gathered, pieces
from headstart.backbones.stages import RESERVED_NAMES, Backbone
from headstart.types import Pixels, UserError

NO_CLASSIFIER = "none"
Names = Sequence[str] | Mapping[str, str | Sequence[str]]


def module(
    *,
    target: str,
    settings: Mapping[str, Any],
    stages: Sequence[str] | Mapping[str, str | Sequence[str]],
    classifier: str | None,
    size: Annotated[int, Ge(1)],
    channels: Annotated[int, Ge(1)],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    keep: Annotated[int, Ge(1)] | None,
    bottleneck: Annotated[int, Ge(1)] | None = None,
    bottleneck_norm: BottleneckNorm = "batch",
) -> Backbone:
    """Any importable nn.Module in stages, its own code between the layers included.

    Args:
        target: The dotted name of a class or function that gives the module.
        settings: The arguments of the call.
        stages: The layers with which stages begin, from the input on; or name -> its layers, or a regular expression
            that matches all of a layer's path. Layers without parameters belong to the stage before them.
        classifier: The layer that is no part of the backbone, nor is what follows it; None means the last layer with
            parameters, if it is linear, and "none" means that there is none.
        size: Pixels of an image's side.
        channels: Of an image.
        mean: Of each channel, of values in [0, 1]; None means 0.5.
        std: The same for the standard deviation.
        keep: The first stages that are used; None means all.
        bottleneck: Features of a linear layer behind them, the last stage; None means none.
        bottleneck_norm: What comes behind that layer.

    Raises:
        UserError: A layer does not exist, has no stage or is used in another order, or the chained stages do not give
            the network's own result.
    """
    means, deviations = (tuple(values or (0.5,) * channels) for values in (mean, std))
    if not len(means) == len(deviations) == channels:
        raise UserError(
            f"backbone.mean and backbone.std must have {channels} values, one a channel, got {means} and {deviations}"
        )
    pixels = Pixels(size, channels, means, deviations)
    net = _built(target, settings)
    layers = _layers(net, stages)
    noise = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))
    training = net.training
    last = _classifier(net, classifier, noise)
    body = _pieces(net, layers, last, noise)
    groups = _grouped(body, layers, last, target, begins_alone=not isinstance(stages, Mapping))
    _check(net.eval(), groups, last, noise, target)
    cut = {name: chained(gathered(net, parts)).train(training) for name, parts in groups.items()}
    backbone = Backbone(cut, pixels=pixels, keep=keep, net=net.train(training))
    return with_bottleneck(backbone, bottleneck, bottleneck_norm)


def _built(target: str, settings: Mapping[str, Any]) -> nn.Module:
    """The network that a dotted name and its settings make."""
    parts = target.split(".")
    value: Any = None
    for at in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:at])
        try:
            value = import_module(name)
        except ModuleNotFoundError as error:
            if error.name and not f"{name}.".startswith(f"{error.name}."):
                raise UserError(f"backbone.target={target} cannot be imported: {error}") from error
            continue
        for part in parts[at:]:
            value = getattr(value, part, None)
        break
    if not callable(value):
        raise UserError(
            f"backbone.target must be the dotted name of a class or function that gives an nn.Module, got {target}; "
            "is it spelt as in `import`, and in the working folder or installed?"
        )
    try:
        net = value(**settings)
    except TypeError as error:
        raise UserError(f"{target} cannot be called with backbone.settings={dict(settings)}: {error}") from error
    if not isinstance(net, nn.Module):
        raise UserError(f"{target} must give an nn.Module, it gives a {type(net).__name__}")
    return net


def _layers(net: nn.Module, stages: Names) -> dict[str, list[str]]:
    """The paths of the layers of each stage; of a plain list of layers the one that a stage begins with."""
    paths = [path for path, _ in net.named_modules() if path]
    if not stages:
        raise UserError(f"backbone.stages must name layers, got none; the network's are {_some(net)}")
    if not isinstance(stages, Mapping):
        short = [path.rpartition(".")[2] for path in stages]
        plain = len(set(short)) == len(short) and all(map(str.isidentifier, short))
        named = (
            short if plain else [f"{'' if path[:1].isalpha() else 'layer'}{path.replace('.', '_')}" for path in stages]
        )
        stages = {name: [path] for name, path in zip(named, stages, strict=True)}
    of_stages: dict[str, list[str]] = {}
    for name, layers in stages.items():
        if not name.isidentifier() or name in RESERVED_NAMES:
            raise UserError(
                f"backbone.stages must have names of letters, digits and _, and not {', '.join(RESERVED_NAMES)}, got "
                f"{name!r}; "
                "write names of your own, as {low: [conv1], high: [layer1, layer2]}"
            )
        if isinstance(layers, str):
            matching = [path for path in paths if layers == path or _pattern(layers, name).fullmatch(path)]
            layers = [path for path in matching if not any(path.startswith(f"{above}.") for above in matching)]
        missing = next((path for path in layers if path not in paths), None)
        if missing is not None or not layers:
            near = get_close_matches(missing or "", paths, n=1)
            raise UserError(
                f"stage {name}: {missing or stages[name]} is no layer of {type(net).__name__}; "
                f"{f'did you mean {near[0]}?' if near else f'its layers are {_some(net)}'}"
            )
        of_stages[name] = list(layers)
    return of_stages


def _pattern(text: str, stage: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UserError(f"stage {stage}: {text!r} is neither a layer nor a regular expression: {error}") from error


def _some(net: nn.Module) -> str:
    return ", ".join(name for name, _ in net.named_children())


def _classifier(net: nn.Module, classifier: str | None, noise: Tensor) -> str | None:
    """The path of the layer before which the backbone ends; None where the network has none."""
    modules = dict(net.named_modules())
    if classifier == NO_CLASSIFIER:
        return None
    if classifier is not None:
        if classifier not in modules:
            raise UserError(
                f"backbone.classifier={classifier} is no layer of {type(net).__name__}; its layers are {_some(net)}"
            )
        return classifier
    calls: list[tuple[str, Tensor]] = []  # of layers that learn something themselves
    hooks = [
        layer.register_forward_hook(lambda _, __, gave, path=path: calls.append((path, gave)))
        for path, layer in modules.items()
        if list(layer.parameters(recurse=False))
    ]
    _run(net, noise)
    for hook in hooks:
        hook.remove()
    path, gave = calls[-1] if calls else ("", noise)
    return path if path and isinstance(modules[path], nn.Linear) and gave.ndim == 2 else None


def _run(net: nn.Module, noise: Tensor) -> Any:
    training = net.training
    try:
        with torch.no_grad():
            return net.eval()(noise)
    except Exception as error:  # the user's own code
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"{type(net).__name__} cannot take images {'x'.join(map(str, noise.shape[1:]))} "
            f"({type(error).__name__}: {reason}); try other backbone.size and backbone.channels"
        ) from error
    finally:
        net.train(training)


def _pieces(net: nn.Module, layers: Mapping[str, Sequence[str]], last: str | None, noise: Tensor) -> list[NetworkPiece]:
    """What the network computes; where its code cannot be followed, its layers as they are called, one by one."""
    wanted = [path for paths in layers.values() for path in paths] + ([last] if last else [])
    opened = {path[:at] for path in wanted for at in range(len(path)) if path[at] == "."}
    shape = tuple(noise.shape[1:])
    try:
        return pieces(net, lambda net, x: net(x), shape, opened=opened)
    except UserError as reason:
        return _called(net, opened, noise, reason)


def _called(net: nn.Module, opened: set[str], noise: Tensor, reason: UserError) -> list[NetworkPiece]:
    """The layers in the order of their calls, each of which must be given what the one before gave."""
    calls: list[tuple[str, Any, Any]] = []
    chains = {path for path, layer in net.named_modules() if isinstance(layer, nn.Sequential)}
    leaves = [
        (path, layer)
        for path, layer in net.named_modules()
        if path and path not in opened | chains and path.rpartition(".")[0] in opened | chains | {""}
    ]
    hooks = [
        layer.register_forward_hook(lambda _, inputs, gave, path=path: calls.append((path, inputs, gave)))
        for path, layer in leaves
    ]
    _run(net, noise)
    for hook in hooks:
        hook.remove()
    before, x = "the image", noise
    for path, inputs, gave in calls:
        if len(inputs) != 1 or inputs[0] is not x:
            raise UserError(
                f"{type(net).__name__} does more than to call its layers one after the other: what enters {path} is "
                f"not what {before} gives, and {reason}; write what is between them as a layer"
            )
        before, x = path, gave
    return [
        NetworkPiece(path, net.get_submodule(path), is_layer=True, output_shape=tuple(gave.shape[1:]))
        for path, _, gave in calls
    ]


def _grouped(
    body: Sequence[NetworkPiece],
    layers: Mapping[str, Sequence[str]],
    last: str | None,
    target: str,
    *,
    begins_alone: bool,
) -> dict[str, list[NetworkPiece]]:
    """The pieces by stages, up to the classifier; begins_alone: whether layers are those that stages begin with."""
    begins = {path: name for name, paths in layers.items() for path in paths}
    order = list(layers)
    groups: dict[str, list[NetworkPiece]] = {name: [] for name in order}
    now: str | None = None
    for part in body:
        if last is not None and f"{part.path}.".startswith(f"{last}."):
            break
        stage = next((name for path, name in begins.items() if f"{part.path}.".startswith(f"{path}.")), None)
        learns = bool(list(part.module.parameters()))
        if stage is None and learns and not begins_alone:
            if all(groups.values()):
                break
            raise UserError(f"{target}: {part.path} learns and is in no stage; add it to one in backbone.stages")
        if stage is not None and now is not None and order.index(stage) < order.index(now):
            raise UserError(
                f"{target} uses {part.path} of stage {stage} after stage {now}; name the stages in the order in which "
                "the network uses their layers, from the input on"
            )
        now = stage or now
        if now is None and learns:
            raise UserError(f"{target} uses {part.path} before the first stage; begin backbone.stages with it")
        groups[now or order[0]].append(part)
    if empty := [name for name, parts in groups.items() if not parts]:
        raise UserError(
            f"{target} cannot be cut at stage {empty[0]}: more than one tensor passes at {layers[empty[0]][0]}, or it "
            "is not used before the classifier; name the layer around it"
        )
    return groups


def _check(
    net: nn.Module, groups: Mapping[str, Sequence[NetworkPiece]], last: str | None, noise: Tensor, target: str
) -> None:
    """Raise UserError unless the stages give what enters the classifier, or what the network gives."""
    entered: list[Tensor] = []
    if last:
        hook = net.get_submodule(last).register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    want = _run(net, noise)
    if last:
        hook.remove()
        want = entered[0] if entered else want
    x = noise
    with torch.no_grad():
        for name, parts in groups.items():
            for part in parts:
                x = part.module.eval()(x)
            if not isinstance(x, Tensor) or x.ndim not in (2, 3, 4):
                shown = "x".join(map(str, x.shape)) if isinstance(x, Tensor) else type(x).__name__
                raise UserError(f"stage {name} of {target} must give maps, tokens or features, it gives {shown}")
    if not isinstance(want, Tensor) or x.shape != want.shape:
        return  # the backbone ends before the classifier: what it gives is nowhere in the network's own results
    if not torch.allclose(x, want, rtol=1e-3, atol=1e-5):
        raise UserError(
            f"the stages of {target} chained differ from the network itself by {float((x - want).abs().max()):.3g}; "
            "does it draw random numbers in evaluation?"
        )
