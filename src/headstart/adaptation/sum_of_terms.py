"""Sum of adaptations: several terms of the loss at once, each with its own weight and ramp."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from headstart.adaptation.adaptation import Adaptation, DevicePredictions, Head, Ramp, Side, Stages
from headstart.backbones.stages import Backbone
from headstart.types import Batch, UserError


class SumOfTerms(Adaptation):
    """The sum of other adaptations' terms, each at its own strength; their metrics are logged as <name>_<metric>.

    Args:
        terms: Name -> adaptation; null leaves one out. All must have the same `main`, but for those that look at the
            target alone.

    Raises:
        UserError: There is no term, or terms do not go together.
    """

    def __init__(self, *, terms: Mapping[str, Adaptation | None]) -> None:
        super().__init__(weight=1, ramp="constant")
        chosen = {name: term for name, term in terms.items() if term is not None}
        if not chosen:
            raise UserError(
                "adaptation=sum needs a term at least, got none; try adaptation@adaptation.terms.first=cdan"
            )
        self.terms = nn.ModuleDict(chosen)
        self._check()
        leading = [term for term in chosen.values() if not term.reads_target_alone] or list(chosen.values())
        self.main = leading[0].main
        self.reads_paired = any(term.reads_paired for term in leading)
        self.learns_labels = all(term.learns_labels for term in chosen.values())
        self.looks = any(term.looks for term in chosen.values())
        self.finalizes = any(term.finalizes for term in chosen.values())
        self.trains_norms_alone = any(term.trains_norms_alone for term in chosen.values())
        self.reads_target_alone = all(term.reads_target_alone for term in chosen.values())
        self.measures = tuple(f"{name}_{measure}" for name, term in chosen.items() for measure in term.measures)
        views = [term.view for term in chosen.values() if term.view is not None]
        if len(views) > 1:
            raise UserError(
                "adaptation=sum makes one second view of an image, got two terms with one; leave one of them out"
            )
        self.view = views[0] if views else None
        self.least_images = max(term.least_images for term in chosen.values())
        ramps: list[Ramp] = [term.ramp for term in chosen.values() if term.ramp != "constant"]
        self.ramp = ramps[0] if ramps else "constant"
        self._progress = 0.0

    @property
    def option(self) -> str:
        return "sum"

    def _check(self) -> None:
        """Raise UserError where terms do not go together."""
        if inner := [name for name, term in self._each().items() if isinstance(term, SumOfTerms)]:
            raise UserError(
                f"a term of adaptation=sum must be another adaptation, got a sum as {inner[0]}; give its terms to the "
                "outer one: +adaptation@adaptation.terms.third=coral"
            )
        mains = {name: term.main for name, term in self._each().items() if not term.reads_target_alone}
        if len(set(mains.values())) > 1:
            said = ", ".join(f"{name} ({self._each()[name].option}) {main}" for name, main in mains.items())
            raise UserError(
                "adaptation=sum needs terms whose training images are of one data set, with labels or without, got "
                f"{said}; mcc, self_training and tent go with any of them"
            )
        own = [name for name, term in self._each().items() if type(term).paired_features != Adaptation.paired_features]
        if own and len(self.terms) > 1:
            raise UserError(
                f"{self._each()[own[0]].option} makes features of the source's images in its own way, and so "
                "is no term of a sum; take it alone"
            )

    def _each(self) -> dict[str, Adaptation]:
        return {name: term for name, term in self.terms.items() if isinstance(term, Adaptation)}

    def prepare(self, *, width: int, num_classes: int, source_classes: int) -> None:
        for term in self._each().values():
            term.prepare(width=width, num_classes=num_classes, source_classes=source_classes)

    def stand_beside(self, stages: Stages) -> None:
        for term in self._each().values():
            term.stand_beside(stages)

    def check_stages(self, stages: Stages) -> None:
        for term in self._each().values():
            term.check_stages(stages)

    def begin(self, stages: Stages, from_source: Collection[str]) -> None:
        for term in self._each().values():
            term.begin(stages, from_source)

    def look(self, seen: DevicePredictions) -> None:
        for term in self._each().values():
            if term.looks:
                term.look(seen)

    def paired_features(self, backbone: Backbone, batch: Batch) -> Tensor:
        return next(iter(self._each().values())).paired_features(backbone, batch)

    def finalize(self, stages: Stages, run: Callable[[], None]) -> None:
        for term in self._each().values():
            if term.finalizes:
                term.finalize(stages, run)

    def strength(self, progress: float) -> float:
        """1: each term has a strength of its own at this share of the run, which forward takes."""
        self._progress = progress
        return 1.0

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        total = torch.zeros((), device=target.logits.device)
        self.metrics = {}
        for name, term in self._each().items():
            if not term.has_term:
                continue
            total = total + term(source=source, target=target, head=head, strength=term.strength(self._progress))
            self.metrics |= {f"{name}_{measure}": value for measure, value in term.metrics.items()}
        return strength * total
