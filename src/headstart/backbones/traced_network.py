"""A network's own code as a graph of torch.fx, with the shape of each value."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from headstart.compat.pytorch.torch_fake_tensors import tensors_without_values
from headstart.types import UserError

DROPOUTS: Mapping[Any, Callable[[float], nn.Module]] = {
    functional.dropout: nn.Dropout, functional.dropout1d: nn.Dropout1d,
    functional.dropout2d: nn.Dropout2d, functional.dropout3d: nn.Dropout3d,
}  # fmt: skip


@dataclass(frozen=True)
class TracedNetwork:
    """A network's code as a graph.

    Args:
        graph: The code; nodes name modules and tensors as the network does.
        named: These modules and tensors by their names.
        in_state_dict: The names of the tensors that the state dict has.
    """

    graph: fx.Graph
    named: Mapping[str, Any]
    in_state_dict: frozenset[str]


class _CallOfNetwork(nn.Module):
    """`run(net, image)` as a module, which torch.fx can follow."""

    def __init__(self, net: nn.Module, run: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.net, self.run = net, run

    def forward(self, image: Any) -> Any:
        return self.run(self.net, image)


class _Tracer(fx.Tracer):
    """Follows the network's own code, and that of the layers at the paths in `opened`."""

    proxy_buffer_attributes = True  # else values computed from buffers would be constants

    def __init__(self, opened: Collection[str]) -> None:
        super().__init__()
        self.opened = {"net", *(f"net.{path}" for path in opened)}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not (is_chain(m) or module_qualified_name in self.opened)


def is_chain(module: nn.Module) -> bool:
    """Whether a module calls its children one after the other."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def traced(net: nn.Module, run: Callable[[Any, Any], Any], opened: Collection[str]) -> TracedNetwork:
    """The code of `run(net, x)` as a graph.

    Args:
        net: Any module.
        run: Calls it.
        opened: Paths of layers whose own code is followed too.

    Raises:
        UserError: The code cannot be followed, or is another one in training than in evaluation.
    """
    whole, training = _CallOfNetwork(net, run), net.training
    graphs = []
    try:
        for mode in (True, False):
            net.train(mode)
            graphs.append(_Tracer(opened).trace(whole))
    except Exception as error:  # the network's own code, which may do anything
        raise untraceable(error) from error
    finally:
        net.train(training)
    in_training, graph = graphs
    named: dict[str, Any] = _dropouts(in_training, graph)
    if str(in_training) != str(graph):
        raise UserError("its own code is another one in training than in evaluation; write what differs as a layer")
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr") and node.target not in named:
            owner = whole.get_submodule(node.target.rpartition(".")[0])
            named[node.target.removeprefix("net.")] = getattr(owner, node.target.rpartition(".")[2])
            node.target = node.target.removeprefix("net.")
    return TracedNetwork(graph, named, frozenset(net.state_dict()))


def untraceable(error: Exception) -> UserError:
    reason = next(iter(str(error).splitlines()), "").partition(". ")[0]
    return UserError(f"its own code cannot be followed ({type(error).__name__}: {reason})")


def _dropouts(in_training: fx.Graph, graph: fx.Graph) -> dict[str, nn.Module]:
    """Replace functional.dropout(..., training=self.training) in both graphs by layers -> these by their names."""
    layers: dict[str, nn.Module] = {}
    for trained, evaluated in zip(in_training.nodes, graph.nodes, strict=False):
        layer = DROPOUTS.get(evaluated.target) if trained.target is evaluated.target else None
        if layer is None:
            continue
        calls = [
            dict(zip(("input", "p", "training", "inplace"), node.args, strict=False)) | node.kwargs
            for node in (trained, evaluated)
        ]
        if [call.get("training", True) for call in calls] != [True, False]:
            continue
        name = f"dropout{len(layers) + 1}"
        layers[name] = layer(calls[1].get("p", 0.5))
        for node, call in zip((trained, evaluated), calls, strict=True):
            node.op, node.target, node.args, node.kwargs = "call_module", name, (call["input"],), {}
    return layers


def with_fixed_numbers(network: TracedNetwork, given: tuple[int, ...]) -> dict[fx.Node, Any]:
    """Replace numbers that follow from the shape of x by constants -> the value of each node.

    Two batches of different sizes are traced without computing: a number that is equal for both does not depend on the
    batch. The values are tensors without numbers in them, numbers and tuples.

    Args:
        network: Its graph is changed.
        given: The shape of x without the batch.

    Raises:
        UserError: The code depends on the numbers in x.
    """
    try:
        two, three = (_values(network, (batch, *given)) for batch in (2, 3))
    except Exception as error:  # the network's own code, which may read numbers that are not there
        raise untraceable(error) from error
    for node in list(network.graph.nodes):
        value = two.get(node)
        if node.op in ("placeholder", "output") or not _is_plain(value) or value != three[node]:
            continue
        for user in list(node.users):
            user.args, user.kwargs = (_replaced(argument, node, value) for argument in (user.args, user.kwargs))
    return two


def _values(network: TracedNetwork, shape: tuple[int, ...]) -> dict[fx.Node, Any]:
    """The value of each node for images of that shape: tensors without numbers in them, numbers and tuples."""
    values: dict[fx.Node, Any] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            values[n] = super().run_node(n)
            return values[n]

    # the copy shares the layers' tensors, not what they remember of an image's size
    tensors = {id(tensor): tensor for tensor in _tensors(network.named.values())}
    module = fx.GraphModule(copy.deepcopy(dict(network.named), tensors), network.graph).eval()
    with torch.no_grad(), tensors_without_values():
        Recorder(module, garbage_collect_values=False).run(torch.empty(shape))
    return dict(zip(network.graph.nodes, values.values(), strict=True))


def _tensors(named: Iterable[Any]) -> Iterator[Tensor]:
    for value in named:
        yield from itertools.chain(value.parameters(), value.buffers()) if isinstance(value, nn.Module) else [value]


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, tuple | list) else isinstance(value, int | float | bool)


def _replaced(arguments: Any, node: fx.Node, value: Any) -> Any:
    """The arguments of a call with the value in place of the node."""
    plain = tuple(value) if isinstance(value, tuple | list) else value  # no torch.Size: fx cannot write it down
    return fx.node.map_arg(arguments, lambda argument: plain if argument is node else argument)
