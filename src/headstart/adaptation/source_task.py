"""Multi-task learning: the task of the source beside that of the target, on one backbone."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headstart.adaptation.adaptation import Adaptation, Head, Side


class SourceTask(Adaptation):
    """strength * the cross-entropy of the source's labels, by a head of their own: both tasks share the backbone.

    Multi-task learning with hard sharing, Caruana 1997 (Machine Learning 28). The source may have other classes.
    """

    main = "target"
    measures = ("source_loss", "source_accuracy")

    def prepare(self, *, width: int, num_classes: int, source_classes: int) -> None:
        self.source_head = nn.Linear(width, source_classes)

    def forward(self, *, source: Side, target: Side, head: Head, strength: float) -> Tensor:
        assert source.label is not None
        logits = self.source_head(source.features)
        loss = cross_entropy(logits, source.label)
        hits = (logits.detach().argmax(dim=1) == source.label).float().mean()
        self.metrics = {"source_loss": loss.detach(), "source_accuracy": hits}
        return strength * loss
