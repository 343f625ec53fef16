"""Co-tuning: cross-entropy of the source head with what the source says of each target class."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headstart.backbones.stages import pooled
from headstart.features.principal_axes import principal_axes
from headstart.features.probing.logistic_probe import logistic
from headstart.regularizers.regularizer import Batches, Regularizer, Stages, check_one_class, check_whole
from headstart.types import Batch, UserError

log = logging.getLogger(__name__)
STRENGTHS = (1e4, 1e3, 1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)  # scikit-learn's C, of which val chooses one
SCALES = torch.logspace(-2, 2, 401, dtype=torch.float64)  # of logits, of which val chooses one


class CoTuning(Regularizer):
    """weight * cross-entropy of the source's head against p(source class | target class), at an image's target class.

    Co-Tuning, You et al. 2020 (NeurIPS). The source's head is part of it and learns on; it is trainable with the
    last stage, at its rate. How the classes are related is computed once, before the first step, from the source's
    predictions on the target's images.

    Args:
        weight: The factor of the term.
        relationship: How p(source class | target class) is estimated: `direct`, or `reverse`, which the paper prefers.

    Raises:
        UserError: Before training, if the source has no head or not all stages, an image has several classes, or the
            weights are sharded.
    """

    needs_labels = True
    needs_source_head = True
    sized_later = ("related",)
    related: Tensor  # (T, S), p(y_s | y_t)

    def __init__(self, *, weight: Annotated[float, Ge(0)], relationship: Literal["direct", "reverse"]) -> None:
        super().__init__()
        self.weight, self.relationship = weight, relationship
        self.needs_validation = relationship == "reverse"
        self.source: nn.Module = nn.Identity()  # until its head is known: a plan asks for no weights
        self.register_buffer("related", torch.empty(0))

    def take_head(self, head: Mapping[str, Tensor]) -> None:
        if "linear.weight" not in head or "linear.bias" not in head:
            raise UserError(
                "regularizer=co_tuning needs the source's own head, and there is none; take weights=source, "
                "weights=pretrained of a whole backbone, or weights=file with a file that has the head, and a mode "
                "that reuses the source (not scratch); without a head try regularizer=l2_sp or regularizer=delta"
            )
        self._make_source(head["linear.weight"])
        self.source.load_state_dict({"weight": head["linear.weight"], "bias": head["linear.bias"]})

    def begin(self, stages: Stages, from_source: Collection[str]) -> None:
        if fresh := [name for name in list(stages)[:-1] if name not in from_source]:
            raise UserError(
                f"regularizer=co_tuning needs all stages of the source, and {', '.join(fresh)} start afresh; try "
                "weights.reset_from=null, or regularizer=l2_sp"
            )
        wanted = next(weight.shape[1] for weight in stages["head"].parameters() if weight.ndim == 2)
        if self.source.get_parameter("weight").shape[1] != wanted:
            raise UserError(
                f"regularizer=co_tuning: the source's head reads {self.source.get_parameter('weight').shape[1]} "
                f"features, the backbone gives {wanted}; it needs the whole backbone (backbone.keep=null)"
            )

    def look(self, stages: Stages, batches: Batches) -> None:
        check_whole(stages, "co_tuning")
        splits = {split: self._seen(stages, batches, split) for split in ("train", "val")}
        classes = stages["head"](splits["train"][2]).shape[1]
        (p, y, _), (p_val, y_val, _) = splits["train"], splits["val"]
        if missing := sorted(set(range(classes)) - set(y.tolist())):
            raise UserError(f"regularizer=co_tuning needs a training image of each class, class {missing[0]} has none")
        if self.relationship == "direct":
            relation = direct(p, y, classes)
        elif len(y_val):
            relation = reverse(p, y, p_val, y_val, classes)
        else:
            raise UserError("co_tuning's relationship=reverse needs validation images; try relationship=direct")
        self.related = relation.to(self.source.get_parameter("weight"))
        log.info("co_tuning: %d classes of the target, %d of the source", *self.related.shape)

    def beside(self, stages: Stages) -> Mapping[str, nn.Module]:
        return {list(stages)[-2]: self.source}

    def forward(self, *, stages: Stages, batch: Batch, features: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
        check_whole(stages, "co_tuning")
        check_one_class(batch, "co_tuning")
        return self.weight * cross_entropy(self.source(features).float(), self.related[batch.label].float())

    def _make_source(self, weight: Tensor) -> None:
        classes, width = weight.shape
        self.source = nn.Linear(width, classes)

    def _seen(self, stages: Stages, batches: Batches, split: str) -> tuple[Tensor, Tensor, Tensor]:
        """What the source says of a split: probabilities (N, S) float64, labels (N,), and one image's features."""
        probabilities, labels, features = [], [], None
        for batch in batches(split, stored=True):
            check_one_class(batch, "co_tuning")
            x = batch.image
            for stage in list(stages.values())[batch.start : -1]:
                x = stage(x)
            features = pooled(x)
            probabilities.append(self.source(features).double().softmax(dim=1).cpu())
            labels.append(batch.label.cpu())
        if features is None:
            return torch.empty(0), torch.empty(0, dtype=torch.long), torch.empty(0)
        return torch.cat(probabilities), torch.cat(labels), features[:1]

    def expect(self, state: Mapping[str, Tensor]) -> None:
        super().expect(state)
        if "source.weight" in state and isinstance(self.source, nn.Identity):
            self._make_source(state["source.weight"])


def direct(source: Tensor, label: Tensor, classes: int) -> Tensor:
    """p(y_s | y_t) as the mean of the source's probabilities (N, S) over the images of a class: (classes, S)."""
    return torch.stack([source[label == number].mean(dim=0) for number in range(classes)])


def reverse(source: Tensor, label: Tensor, val_source: Tensor, val_label: Tensor, classes: int) -> Tensor:
    """p(y_s | y_t) by Bayes' rule from p(y_t | y_s), which logistic regression learns: (classes, S).

    source (N, S): the source's probabilities of training images, from which it tells their classes; how strongly it
    is penalised is chosen by accuracy on val, and a scale of its logits by their likelihood there (so that they are
    calibrated). p(y_t | y_s) is what it says of an image that is surely y_s, p(y_s) the mean over all images.
    """
    heads = logistic(principal_axes(source), label, classes, c=STRENGTHS)
    right = (heads.predictions(val_source) == val_label).double().mean(dim=1)
    head = heads.one(int(right.argmax()))
    logits = head.logits(val_source)[0].T
    fits = torch.stack([cross_entropy(scale * logits, val_label) for scale in SCALES])
    scale = SCALES[fits.argmin()]
    target_given_source = (scale * (head.weight[0].T + head.bias[0])).softmax(dim=1)  # (S, classes)
    joint = target_given_source.T * torch.cat([source, val_source]).mean(dim=0)
    return joint / joint.sum(dim=1, keepdim=True)
