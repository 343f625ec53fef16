"""FixMatch: what the model is sure of in an image is the label of the same image under strong augmentation."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Interval
from torch import Tensor
from torch.nn.functional import cross_entropy

from headstart.adaptation.adaptation import Adaptation, Head, Ramp, Side
from headstart.types import UserError


class FixMatch(Adaptation):
    """strength * the cross-entropy of strongly augmented target images with what the model is sure of in them.

    Sohn et al. 2020, FixMatch (arXiv:2001.07685), eq. 4: the label is the likeliest class of the image as
    target.augment leaves it, without gradient, where its probability is `confidence` or more; others
    add nothing to the sum, and count in the mean all the same. There, the labelled images are few of the
    same data set: target_labels has these beside the source's.

    Args:
        weight: As of any adaptation; the paper's lambda_u.
        ramp: As of any adaptation.
        confidence: The paper's tau.
        strong: The strong augmentation, as a data set's `augment`.
    """

    measures = ("used_share", "agreement")

    def __init__(
        self,
        *,
        weight: Annotated[float, Ge(0)],
        ramp: Ramp,
        confidence: Annotated[float, Interval(ge=0, le=1)],
        strong: Any,
    ) -> None:
        super().__init__(weight=weight, ramp=ramp)
        if strong is None:
            raise UserError(
                "adaptation=fixmatch needs a strong augmentation, got none; try augment@adaptation.strong=rand_augment"
            )
        self.confidence, self.view = confidence, strong

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        if target.view is None:
            raise UserError(
                "adaptation=fixmatch augments images in each step, and got what frozen stages make of them; try "
                "feature_cache=off, or a mode whose stages learn, as mode=fine_tuning"
            )
        sureness, said = target.logits.detach().float().softmax(dim=1).max(dim=1)
        used = (sureness >= self.confidence).float()
        strong = target.view.float()
        self.metrics = {"used_share": used.mean(), "agreement": (strong.argmax(dim=1) == said).float().mean()}
        return strength * (used * cross_entropy(strong, said, reduction="none")).mean()
