"""Guided backpropagation from a class's logit to the pixels."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from headstart.explain.chosen_class import Of, explained
from headstart.explain.explained_network import Network
from headstart.explain.gradients.relu_backward_rules import relu_rule
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.pictures.input_gradient import beside, of_classes


class GuidedBackpropagation:
    """The gradient of a class's logit, of which ReLUs pass only positive values, and only where they are active.

    Args:
        of: The class: `label` takes the true one where it is known, else the predicted one; `prediction` always takes
            the predicted one.
    """

    title = "Guided backpropagation"
    about = (
        "Beside the image what goes back from a class's logit if each ReLU lets through only positive signals to units "
        "that are on (Springenberg et al. 2014): middle grey is nothing, right its magnitude. Sharper than a gradient, "
        "and less about the class: edges stand out that speak for other classes too."
    )

    def __init__(self, *, of: Of) -> None:
        self.of: Of = of

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One sheet an image. Raises UnfitError as guided_backpropagation does."""
        for explained_class in explained(subject, of=self.of, title="guided backpropagation"):
            signal = guided_backpropagation(
                subject.network, explained_class.x, index=torch.tensor([explained_class.number])
            )[0].cpu()
            image = beside(subject.images.pixels[explained_class.position], signal)
            yield Shown(
                explained_class.name,
                image,
                f"{explained_class.said}: image, guided backpropagation, its magnitude",
                ALT,
            )


ALT = "The image, a grey picture of the same size on which coloured edges stand out, and a dark one with the brightest."


def guided_backpropagation(network: Network, x: Tensor, *, index: Tensor) -> Tensor:
    """What goes back from the logits of classes index (B,) to normalised images x (B, C, H, W), as x.

    Springenberg et al. 2014 (arXiv:1412.6806), section 3.4; see relu_rules.py. To be called within network.at_rest().
    Raises UnfitError where the network has no ReLU, or something else that bends the signal.
    """
    leaf = x.detach().clone().requires_grad_()
    with relu_rule("guided") as way:
        logits = network.logits(leaf.clone())
    if not way.check(logits, kind="guided_backpropagation", to="the classes").relus:
        raise UnfitError("guided_backpropagation goes back through ReLUs, and this network has none")
    return of_classes(logits, leaf, index)
