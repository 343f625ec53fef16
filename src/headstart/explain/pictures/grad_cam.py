"""Grad-CAM: places of a stage's maps that raise a class's logit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from headstart.explain.chosen_class import ExplainedClass, Of, explained
from headstart.explain.explained_network import Network, maps
from headstart.explain.picture_protocol import Shown, Subject, UnfitError
from headstart.explain.rendering import map_rendering


class Slopes(NamedTuple):
    """A stage's maps (B, D, h, w), and the derivatives of a class's logit with respect to them, as large."""

    maps: Tensor
    gradient: Tensor


class _ClassMaps(ABC):
    """Pictures of one map an image: where it is high, there is what speaks for the class; all have one scale."""

    title: str
    about: str

    def __init__(self, *, stage: str | None, of: Of) -> None:
        self.stage = stage
        self.of: Of = of

    def drawn(self, subject: Subject) -> Iterator[Shown]:
        """One sheet an image. Raises UnfitError where no stage has maps that reach the logit."""
        network = subject.network
        if self.stage is not None:
            network.check(self.stage)
        weighed_maps: list[tuple[ExplainedClass, str, Tensor]] = []
        for explained_class in explained(subject, of=self.of, title=self.title):
            index = torch.tensor([explained_class.number], device=explained_class.x.device)
            stage = self.stage or last_with_slopes(network, explained_class.x, index)
            weighed_map = self.weighed(slopes(network, explained_class.x, index, stage=stage))[0].cpu()
            weighed_maps.append((explained_class._replace(x=explained_class.x[:0]), stage, weighed_map))
        most = max((float(weighed_map.max()) for _, _, weighed_map in weighed_maps), default=0.0)
        for explained_class, stage, weighed_map in weighed_maps:
            photo = map_rendering.larger(map_rendering.photo(subject.images.pixels[explained_class.position]))
            painted = map_rendering.heat(_as_large(weighed_map, photo.shape[:2]), low=0.0, high=most, colours=COLOURS)
            bar = map_rendering.colour_bar(0.0, most, height=photo.shape[0], colours=COLOURS)
            sheet = map_rendering.sheet_in_a_row([photo, map_rendering.over(photo, painted), bar])
            size = " x ".join(map(str, weighed_map.shape))
            yield Shown(
                explained_class.name,
                sheet,
                f"{explained_class.said}: from {size} places of {stage}{_nothing(weighed_map)}; its greatest place has "
                f"{float(weighed_map.max()):.3g}, red is {most:.3g}, the greatest of all {len(weighed_maps)} images",
                ALT,
            )

    @staticmethod
    @abstractmethod
    def weighed(at_stage: Slopes) -> Tensor:
        """The map of a class (B, h, w), >= 0."""


COLOURS = "turbo"
ALT = (
    "The image, and the image under colours from blue, where nothing speaks for the class, to red, where most does in "
    "any of the images."
)


class GradCAM(_ClassMaps):
    """Gradient-weighted class activation maps, for each image.

    stage: of whose maps, None = the last whose maps the logit depends on. of: which class, as of the gradients.
    """

    title = "Grad-CAM"
    about = (
        "Red places of the last maps speak for the class, blue ones do not (Selvaraju et al. 2017): each map counts as "
        "much as the logit grows with it on average, and what speaks against the class is left out. As coarse as the "
        "maps are. All images share one scale of colours, which the bar shows."
    )

    @staticmethod
    def weighed(at_stage: Slopes) -> Tensor:
        return grad_cam(at_stage)


class GradCAMPlusPlus(_ClassMaps):
    """Grad-CAM++, for each image: settings as of Grad-CAM."""

    title = "Grad-CAM++"
    about = (
        "As Grad-CAM, but places count by how much each raises the class (Chattopadhay et al. 2018), so that several "
        "objects of the class are all found. All images share one scale of colours, which the bar shows."
    )

    @staticmethod
    def weighed(at_stage: Slopes) -> Tensor:
        return grad_cam_plus_plus(at_stage)


def grad_cam(at_stage: Slopes) -> Tensor:
    """(B, h, w) >= 0: the maps' sum, each times the mean of its derivatives.

    Selvaraju et al. 2017 (arXiv:1610.02391), eqs. 1 and 2.
    """
    weight = at_stage.gradient.mean(dim=(2, 3), keepdim=True)
    return (weight * at_stage.maps).sum(dim=1).clamp(min=0)


def grad_cam_plus_plus(at_stage: Slopes) -> Tensor:
    """(B, h, w) >= 0: the maps' sum, each times the sum of its positive derivatives, weighed place by place.

    Chattopadhay et al. 2018 (arXiv:1710.11063), eqs. 5 and 19 for the score exp(logit), whose derivatives are powers
    of the logit's times exp(logit), a factor of the whole map that is left out. A place whose weight is 0 / 0 has none.
    """
    slope = at_stage.gradient
    below = 2 * slope**2 + at_stage.maps.sum(dim=(2, 3), keepdim=True) * slope**3
    alpha = torch.where(below == 0, 0.0, slope**2 / torch.where(below == 0, 1.0, below))
    weight = (alpha * slope.clamp(min=0)).sum(dim=(2, 3), keepdim=True)
    return (weight * at_stage.maps).sum(dim=1).clamp(min=0)


def slopes(network: Network, x: Tensor, index: Tensor, *, stage: str) -> Slopes:
    """The maps of a stage for normalised images x (B, C, H, W), and how the logits of classes index (B,) rise in them.

    To be called within network.at_rest(). Raises UnfitError where the stage has no maps.
    """
    with torch.no_grad():
        activations = network.activations(x, stage)
    if maps(activations) is None:
        raise UnfitError(
            f"class activation maps need maps, and {stage} gives {tuple(activations.shape[1:])}, without places"
        )
    leaf = activations.detach().clone().requires_grad_()
    start = network.stages.index(stage) + 1
    logits = network.head(network.backbone(leaf.clone(), start=start))  # a copy: stages may work in place
    (gradient,) = torch.autograd.grad(logits.gather(1, index[:, None]).sum(), leaf)
    shown, slope = maps(leaf.detach()), maps(gradient)
    assert shown is not None
    assert slope is not None
    return Slopes(shown.float(), slope.float())


def last_with_slopes(network: Network, x: Tensor, index: Tensor) -> str:
    """The last stage whose maps have several places, and whose logit depends on them.

    After the last attention of a transformer the logit depends on the class token alone. Raises UnfitError where there
    is none.
    """
    with torch.no_grad():
        shapes = {name: maps(activations) for name, activations in network.passing(x, network.stages)}
        with_places = [
            name for name, shape in shapes.items() if shape is not None and shape.shape[2] * shape.shape[3] > 1
        ]
    for stage in reversed(with_places):
        if bool(slopes(network, x, index, stage=stage).gradient.any()):
            return stage
    raise UnfitError("class activation maps need a stage whose maps have places that reach the logit, here is none")


def _as_large(stage_map: Tensor, shape: tuple[int, ...]) -> Tensor:
    large = torch.nn.functional.interpolate(stage_map[None, None], size=shape, mode="bilinear", align_corners=False)
    return large[0, 0]


def _nothing(stage_map: Tensor) -> str:
    return "" if bool(stage_map.any()) else "; nothing there speaks for the class"
