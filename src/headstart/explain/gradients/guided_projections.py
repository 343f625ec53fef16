"""Projections of units to pixels by guided backpropagation."""

from __future__ import annotations

import torch
from torch import Tensor

from headstart.explain.explained_network import Network
from headstart.explain.gradients.relu_backward_rules import relu_rule
from headstart.explain.receptive_fields.receptive_search import Place
from headstart.explain.strongest_places import by_channel


def pools(network: Network, x: Tensor, *, stage: str) -> bool:
    """Whether max pooling lies between normalised images (B, C, H, W) and what a stage makes of them."""
    leaf = x.detach().clone().requires_grad_()
    with relu_rule("deconvnet") as way:
        output = network.activations(leaf.clone(), stage)
    return way.met(output).switches > 0


def guided_projections(
    network: Network, x: Tensor, *, stage: str, channels: list[int], places: list[Place] | None
) -> Tensor:
    """Projections of one unit for each image -> (B, C, H, W), around 0.

    As deconvnet.projections, with the rule of guided backpropagation and a signal of 1; tokens (B, N, D) can be maps
    too.

    Args:
        network: In which the unit is.
        x: Normalised images (B, C, H, W).
        stage: Of the units.
        channels: One of each image.
        places: One of each image; None means the strongest.

    Raises:
        UnfitError: Another activation function than ReLU lies between the image and the unit.
    """
    leaf = x.detach().clone().requires_grad_()
    with relu_rule("guided") as way:
        output = network.activations(leaf.clone(), stage)
        way.check(output, kind="guided backpropagation", to=stage)
    flat, shape = by_channel(output)
    rows = torch.arange(len(x), device=flat.device)
    of_channels = flat[rows, torch.tensor(channels, device=flat.device)]  # (B, places)
    if places is None:
        at = of_channels.argmax(dim=1)
    else:
        columns = 1 if shape is None else shape[1]
        at = torch.tensor([row * columns + column for row, column in places], device=flat.device)
    (signal,) = torch.autograd.grad(of_channels[rows, at].sum(), leaf)
    return signal
