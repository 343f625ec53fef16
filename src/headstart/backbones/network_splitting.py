"""Division of a network into pieces between which a single tensor passes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from headstart.backbones.traced_network import TracedNetwork, is_chain, traced, with_fixed_numbers
from headstart.types import UserError

IMAGE = "image"  # what enters a piece


@dataclass(frozen=True)
class NetworkPiece:
    """A stretch of a network's forward: one tensor in, one tensor out.

    Args:
        path: Of its layer in the network, of the first one with weights where it has several, "" where it has none.
        module: Computes the stretch.
        is_layer: Whether the module is that layer itself, without the network's own code.
        output_shape: Shape of the outgoing tensor without the batch.
    """

    path: str
    module: nn.Module
    is_layer: bool
    output_shape: tuple[int, ...]


def pieces(
    net: nn.Module, run: Callable[[Any, Any], Any], given: tuple[int, ...], *, opened: Collection[str] = ()
) -> list[NetworkPiece]:
    """The pieces of `run(net, x)`, as small as possible with a single tensor between one and the next.

    torch.fx follows the network's own code once; layers are not divided, but for nn.Sequential and the paths in
    `opened`. Values that do not depend on x, such as tables of positions, are computed in each piece that needs them;
    a tensor of the state dict lies in one piece only. The pieces hold the network's own modules and tensors.

    Args:
        net: Any module.
        run: Calls it.
        given: Shape of x without the batch, as (channels, height, width). Numbers that the code computes from it alone,
            such as the number of patches in a row, become constants.
        opened: Paths of layers that may be divided.

    Raises:
        UserError: The code cannot be followed: it depends on the numbers in x, is another one in training, or gives
            several tensors.
    """
    network = traced(net, run, opened)
    values = with_fixed_numbers(network, given)
    *nodes, output = network.graph.nodes
    (result,) = output.args
    if not isinstance(result, fx.Node) or not isinstance(values[result], Tensor):
        raise UserError("it gives something else than one tensor")
    needed = {result}
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    depends = {nodes[0]}
    for node in nodes:  # in the order of the code
        if any(value in depends for value in node.all_input_nodes):
            depends.add(node)
    chain = [node for node in nodes[1:] if node in depends and node in needed]
    divided, entering = [], nodes[0]
    stretches = _code_joined(_unshared(network, list(_narrow(nodes[0], chain, values)), depends))
    for stretch in stretches:
        output_shape = tuple(values[stretch[-1]].shape[1:])
        divided.append(_piece(network, entering, stretch, depends, output_shape))
        entering = stretch[-1]
    return divided


def chained(parts: Sequence[NetworkPiece]) -> nn.Module:
    """The pieces as one module, with the network's own names.

    A piece has the last word of its path (`blocks.3` is `3`), code without a layer the name `code`. A single layer is
    given as it is.

    Args:
        parts: Neighbouring pieces.
    """
    named: OrderedDict[str, nn.Module] = OrderedDict()
    for part in parts:
        short = part.path.rpartition(".")[2] or "code"
        name, count = short, 1
        while name in named:
            count += 1
            name = f"{short}_{count}"
        named[name] = part.module
    if len(parts) == 1 and parts[0].is_layer:
        return parts[0].module
    return nn.Sequential(named)


def gathered(net: nn.Module, parts: Sequence[NetworkPiece]) -> list[NetworkPiece]:
    """The same pieces, with each nn.Sequential as one piece where all of its layers are there in a row."""
    gathered_pieces = list(parts)
    containers = {path: child for path, child in net.named_modules() if path and is_chain(child) and len(child)}
    for path, child in sorted(containers.items(), key=lambda item: -item[0].count(".")):  # the inner ones first
        inside = [id(layer) for layer in child.children()]
        layers = [id(part.module) if part.is_layer else 0 for part in gathered_pieces]
        at = layers.index(inside[0]) if inside[0] in layers else 0
        end = at + len(inside)
        if layers[at:end] == inside:
            gathered_pieces[at:end] = [
                NetworkPiece(path, child, is_layer=True, output_shape=gathered_pieces[end - 1].output_shape)
            ]
    return gathered_pieces


def weights_in(part: NetworkPiece) -> int:
    """The number of weight matrices and kernels of a piece."""
    return sum(parameter.ndim > 1 for parameter in part.module.parameters())


def _narrow(x: fx.Node, chain: Sequence[fx.Node], values: Mapping[fx.Node, Any]) -> Iterator[list[fx.Node]]:
    """Stretches of the chain that end where the last value, a tensor, is the only one with later uses."""
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


def _unshared(
    network: TracedNetwork, stretches: list[list[fx.Node]], depends: Collection[fx.Node]
) -> list[list[fx.Node]]:
    """The stretches, joined from the first to the last one that use the same tensors of the state dict."""
    uses: list[set[str]] = []
    for stretch in stretches:
        names: set[str] = set()
        for node in _with_constants(stretch, depends):
            target = str(node.target)
            if node.op == "get_attr":
                names |= {target} & network.in_state_dict
            elif node.op == "call_module":
                names |= {f"{target}.{name}" for name in network.named[target].state_dict()}
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
    """The stretches, with neighbours without a layer joined."""
    joined: list[list[fx.Node]] = []
    for stretch in stretches:
        if joined and not any(node.op == "call_module" for node in [*joined[-1], *stretch]):
            joined[-1].extend(stretch)
        else:
            joined.append(stretch)
    return joined


def _with_constants(stretch: Sequence[fx.Node], depends: Collection[fx.Node]) -> list[fx.Node]:
    """The nodes of a stretch, each after the nodes that it needs and that do not depend on the image."""
    ordered: dict[fx.Node, None] = {}

    def visit(node: fx.Node) -> None:
        for source in node.all_input_nodes:
            if source not in depends and source not in ordered:
                visit(source)
        ordered[node] = None

    for node in stretch:
        visit(node)
    return list(ordered)


def _piece(
    network: TracedNetwork,
    entering: fx.Node,
    stretch: Sequence[fx.Node],
    depends: Collection[fx.Node],
    output_shape: tuple[int, ...],
) -> NetworkPiece:
    node = stretch[0]
    if len(stretch) == 1 and node.op == "call_module" and node.args == (entering,) and not node.kwargs:
        return NetworkPiece(str(node.target), network.named[str(node.target)], is_layer=True, output_shape=output_shape)
    graph = fx.Graph()
    copies = {entering: graph.placeholder(IMAGE)}
    nodes = _with_constants(stretch, depends)
    for original in nodes:
        copies[original] = graph.node_copy(original, lambda source: copies[source])
    graph.output(copies[stretch[-1]])
    targets = [str(node.target) for node in nodes if node.op in ("call_module", "get_attr")]
    used = {target: network.named[target] for target in targets}
    module = fx.GraphModule(used, graph, class_name="Code")
    for name, value in used.items():  # GraphModule would give state dict names to tensors without one
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and name not in network.in_state_dict:
            owner, _, last = name.rpartition(".")
            module.get_submodule(owner).register_buffer(last, value, persistent=False)
    paths = [str(node.target) for node in nodes if node.op == "call_module"]
    with_weights = [path for path in paths if list(network.named[path].parameters())]
    return NetworkPiece(next(iter(with_weights or paths), ""), module, is_layer=False, output_shape=output_shape)
