"""Where can a network be cut, so that a single tensor passes from one piece to the next?"""

from __future__ import annotations

import copy
import itertools
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from headstart.compat.torch_fake_tensors import tensors_without_values
from headstart.types import UserError

IMAGE = "image"  # what enters a piece
DROPOUTS: Mapping[Any, Callable[[float], nn.Module]] = {
    functional.dropout: nn.Dropout, functional.dropout1d: nn.Dropout1d,
    functional.dropout2d: nn.Dropout2d, functional.dropout3d: nn.Dropout3d,
}  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A stretch of a network's forward: one tensor in, one tensor out.

    path: of its layer in the network, of the first one with weights where it has several, "" where it has none.
    layer: whether it is that layer and nothing else, not the network's own code around layers. gives: the shape of
    what leaves it, without the batch.
    """

    path: str
    module: nn.Module
    layer: bool
    gives: tuple[int, ...]


def pieces(
    net: nn.Module, run: Callable[[Any, Any], Any], given: tuple[int, ...], *, opened: Collection[str] = ()
) -> list[Piece]:
    """What `run(net, x)` computes, in pieces as fine as a single tensor passes from one to the next.

    given: the shape of x without the batch, as (channels, height, width); what the code computes of it alone, as the
    number of patches in a row, is fixed. The network's own code is followed once, by torch.fx; its layers are not
    looked into, but for nn.Sequential and the paths in opened. What does not depend on x, such as tables of
    positions, is computed in each piece that needs it; what has a name in the state_dict lies in one piece only. The
    pieces hold the network's own modules and tensors. Raises UserError where the code cannot be followed: it
    depends on the numbers in x, is another one in training, or gives several tensors.
    """
    followed = _followed(net, run, opened)
    values = _fixed(followed, given)
    *nodes, output = followed.graph.nodes
    (result,) = output.args
    if not isinstance(result, fx.Node) or not isinstance(values[result], Tensor):
        raise UserError("it gives something else than one tensor")
    needed = {result}
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    depends = {nodes[0]}
    for node in nodes:  # in the order of the code
        if any(one in depends for one in node.all_input_nodes):
            depends.add(node)
    chain = [node for node in nodes[1:] if node in depends and node in needed]
    made, entering = [], nodes[0]
    stretches = _code_joined(_unshared(followed, list(_narrow(nodes[0], chain, values)), depends))
    for stretch in stretches:
        gives = tuple(values[stretch[-1]].shape[1:])
        made.append(_piece(followed, entering, stretch, depends, gives))
        entering = stretch[-1]
    return made


def chained(parts: Sequence[Piece]) -> nn.Module:
    """The pieces as one module, named after the network's own layers.

    Each bears the last word of its path (`blocks.3` is `3`), code without a layer `code`. A single layer is the module
    itself.
    """
    named: OrderedDict[str, nn.Module] = OrderedDict()
    for part in parts:
        short = part.path.rpartition(".")[2] or "code"
        name, count = short, 1
        while name in named:
            count += 1
            name = f"{short}_{count}"
        named[name] = part.module
    if len(parts) == 1 and parts[0].layer:
        return parts[0].module
    return nn.Sequential(named)


def gathered(net: nn.Module, parts: Sequence[Piece]) -> list[Piece]:
    """The same pieces, each container of which all layers are there, one after the other, as one piece."""
    found = list(parts)
    containers = {path: child for path, child in net.named_modules() if path and _is_chain(child) and len(child)}
    for path, child in sorted(containers.items(), key=lambda one: -one[0].count(".")):  # the inner ones first
        inside = [id(layer) for layer in child.children()]
        here = [id(part.module) if part.layer else 0 for part in found]
        at = here.index(inside[0]) if inside[0] in here else 0
        end = at + len(inside)
        if here[at:end] == inside:
            found[at:end] = [Piece(path, child, layer=True, gives=found[end - 1].gives)]
    return found


def weights_in(part: Piece) -> int:
    """How many matrices and kernels a piece has."""
    return sum(parameter.ndim > 1 for parameter in part.module.parameters())


# ---------------------------------------------------------------------- following the code


@dataclass(frozen=True)
class _Followed:
    """A network's code as a graph, and what its nodes name: modules and tensors by their names in the network."""

    graph: fx.Graph
    named: Mapping[str, Any]
    kept: frozenset[str]  # names in the state_dict


class _Whole(nn.Module):
    def __init__(self, net: nn.Module, run: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.net, self.run = net, run

    def forward(self, image: Any) -> Any:
        return self.run(self.net, image)


class _Tracer(fx.Tracer):
    """Follows the network's own code, and that of what is opened."""

    proxy_buffer_attributes = True  # else what is computed of them would be a number of today

    def __init__(self, opened: Collection[str]) -> None:
        super().__init__()
        self.opened = {"net", *(f"net.{path}" for path in opened)}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not (_is_chain(m) or module_qualified_name in self.opened)


def _is_chain(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _followed(net: nn.Module, run: Callable[[Any, Any], Any], opened: Collection[str]) -> _Followed:
    whole, training = _Whole(net, run), net.training
    graphs = []
    try:
        for mode in (True, False):
            net.train(mode)
            graphs.append(_Tracer(opened).trace(whole))
    except Exception as error:  # the network's own code, and it may do anything with what it is given
        raise _unfollowed(error) from error
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
    return _Followed(graph, named, frozenset(net.state_dict()))


def _unfollowed(error: Exception) -> UserError:
    told = next(iter(str(error).splitlines()), "").partition(". ")[0]
    return UserError(f"its own code cannot be followed ({type(error).__name__}: {told})")


def _dropouts(in_training: fx.Graph, graph: fx.Graph) -> dict[str, nn.Module]:
    """Put layers into the places of functional.dropout(..., training=self.training) -> these by their names."""
    made: dict[str, nn.Module] = {}
    for one, other in zip(in_training.nodes, graph.nodes, strict=False):
        layer = DROPOUTS.get(other.target) if one.target is other.target else None
        if layer is None:
            continue
        given = [
            dict(zip(("input", "p", "training", "inplace"), node.args, strict=False)) | node.kwargs
            for node in (one, other)
        ]
        if [call.get("training", True) for call in given] != [True, False]:
            continue
        name = f"dropout{len(made) + 1}"
        made[name] = layer(given[1].get("p", 0.5))
        for node, call in zip((one, other), given, strict=True):
            node.op, node.target, node.args, node.kwargs = "call_module", name, (call["input"],), {}
    return made


# ---------------------------------------------------------------------- cutting the graph


def _fixed(followed: _Followed, given: tuple[int, ...]) -> dict[fx.Node, Any]:
    """Put the numbers that follow from the shape of x into the graph -> what each node gives.

    Seen on two batches of different sizes, without computing: what is the same for both is no matter of the batch.
    """
    try:
        two, three = (_values(followed, (batch, *given)) for batch in (2, 3))
    except Exception as error:  # the network's own code, and it may ask the numbers that are not there
        raise _unfollowed(error) from error
    for node in list(followed.graph.nodes):
        value = two.get(node)
        if node.op in ("placeholder", "output") or not _is_plain(value) or value != three[node]:
            continue
        for user in list(node.users):
            user.args, user.kwargs = (_replaced(given, node, value) for given in (user.args, user.kwargs))
    return two


def _values(followed: _Followed, shape: tuple[int, ...]) -> dict[fx.Node, Any]:
    """What each node gives for images of that shape: tensors without numbers in them, numbers and tuples."""
    found: dict[fx.Node, Any] = {}

    class Noting(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            found[n] = super().run_node(n)
            return found[n]

    # the layers' tensors are shared, not what they remember of an image's size
    tensors = {id(one): one for one in _tensors(followed.named.values())}
    module = fx.GraphModule(copy.deepcopy(dict(followed.named), tensors), followed.graph).eval()
    with torch.no_grad(), tensors_without_values():
        Noting(module, garbage_collect_values=False).run(torch.empty(shape))
    return dict(zip(followed.graph.nodes, found.values(), strict=True))


def _tensors(named: Iterable[Any]) -> Iterator[Tensor]:
    for one in named:
        yield from itertools.chain(one.parameters(), one.buffers()) if isinstance(one, nn.Module) else [one]


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, tuple | list) else isinstance(value, int | float | bool)


def _replaced(arguments: Any, node: fx.Node, value: Any) -> Any:
    """The arguments of a call, the value in the place of the node."""
    plain = tuple(value) if isinstance(value, tuple | list) else value  # no torch.Size: fx cannot write it down
    return fx.node.map_arg(arguments, lambda one: plain if one is node else one)


def _narrow(x: fx.Node, chain: Sequence[fx.Node], values: Mapping[fx.Node, Any]) -> Iterator[list[fx.Node]]:
    """The stretches of the chain between places where the last value, a tensor, is all that is used later."""
    place = {node: number for number, node in enumerate(chain)}
    last_use = {
        node: max((place.get(user, len(chain) if user.op == "output" else -1) for user in node.users), default=-1)
        for node in [x, *chain]
    }
    live, stretch = {x}, []
    for number, node in enumerate(chain):
        stretch.append(node)
        live = {value for value in [*live, node] if last_use[value] > number}
        if live == {node} and isinstance(values[node], Tensor):
            yield stretch
            stretch = []


def _unshared(followed: _Followed, stretches: list[list[fx.Node]], depends: Collection[fx.Node]) -> list[list[fx.Node]]:
    """The stretches, joined from the first to the last one that use the same named tensors."""
    uses: list[set[str]] = []
    for stretch in stretches:
        names: set[str] = set()
        for node in _with_constants(stretch, depends):
            target = str(node.target)
            if node.op == "get_attr":
                names |= {target} & followed.kept
            elif node.op == "call_module":
                names |= {f"{target}.{name}" for name in followed.named[target].state_dict()}
        uses.append(names)
    last = {name: number for number, names in enumerate(uses) for name in names}
    joined: list[list[fx.Node]] = []
    until = -1
    for number, (stretch, names) in enumerate(zip(stretches, uses, strict=True)):
        if number <= until:
            joined[-1].extend(stretch)
        else:
            joined.append(list(stretch))
        until = max([until, *(last[name] for name in names)])
    return joined


def _code_joined(stretches: Sequence[list[fx.Node]]) -> list[list[fx.Node]]:
    """The stretches, neighbours joined that have no layer."""
    joined: list[list[fx.Node]] = []
    for stretch in stretches:
        if joined and not any(node.op == "call_module" for node in [*joined[-1], *stretch]):
            joined[-1].extend(stretch)
        else:
            joined.append(stretch)
    return joined


def _with_constants(stretch: Sequence[fx.Node], depends: Collection[fx.Node]) -> list[fx.Node]:
    """The nodes of a stretch and, each before what needs it, those that do not depend on the image."""
    ordered: dict[fx.Node, None] = {}

    def visit(node: fx.Node) -> None:
        for given in node.all_input_nodes:
            if given not in depends and given not in ordered:
                visit(given)
        ordered[node] = None

    for node in stretch:
        visit(node)
    return list(ordered)


def _piece(
    followed: _Followed,
    entering: fx.Node,
    stretch: Sequence[fx.Node],
    depends: Collection[fx.Node],
    gives: tuple[int, ...],
) -> Piece:
    node = stretch[0]
    if len(stretch) == 1 and node.op == "call_module" and node.args == (entering,) and not node.kwargs:
        return Piece(str(node.target), followed.named[str(node.target)], layer=True, gives=gives)
    graph = fx.Graph()
    copies = {entering: graph.placeholder(IMAGE)}
    nodes = _with_constants(stretch, depends)
    for one in nodes:
        copies[one] = graph.node_copy(one, lambda given: copies[given])
    graph.output(copies[stretch[-1]])
    used = {str(one.target): followed.named[str(one.target)] for one in nodes if one.op in ("call_module", "get_attr")}
    module = fx.GraphModule(used, graph, class_name="Code")
    for name, value in used.items():  # GraphModule would give names to tensors that the network has none for
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and name not in followed.kept:
            owner, _, last = name.rpartition(".")
            module.get_submodule(owner).register_buffer(last, value, persistent=False)
    paths = [str(one.target) for one in nodes if one.op == "call_module"]
    weighty = [path for path in paths if list(followed.named[path].parameters())]
    return Piece(next(iter(weighty or paths), ""), module, layer=False, gives=gives)
