"""Label-free selection scores of the target, logged at each validation."""

from __future__ import annotations

from collections.abc import Sequence

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.selection.score_inputs import Sides
from headstart.selection.selection import Score


class SelectionScores(Callback):
    """Logs each score at each validation inside fit, where DomainPredictions calls it.

    Rank 0 computes them and broadcasts them, so that all ranks choose the same best checkpoint.

    Args:
        scores: The label-free scores.
    """

    def __init__(self, *, scores: Sequence[Score]) -> None:
        self.scores = tuple(scores)

    def on_both_sides(self, trainer: Trainer, pl_module: LightningModule, sides: Sides) -> None:
        values = {score.metric: score(sides) for score in self.scores} if trainer.is_global_zero else {}
        pl_module.log_dict(trainer.strategy.broadcast(values))
