"""How good is the model for a target whose labels are out of reach?"""

from __future__ import annotations

from collections.abc import Sequence

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.selection.domain_predictions import Sides
from headstart.selection.selection import Score


class Scores(Callback):
    """Logs each score at each validation inside fit; told by BothSides (callbacks/domains/domain_predictions.py).

    Rank 0 computes them and tells the others, which must come to the same choice of the best checkpoint.
    """

    def __init__(self, *, scores: Sequence[Score]) -> None:
        self.scores = tuple(scores)

    def on_both_sides(self, trainer: Trainer, pl_module: LightningModule, sides: Sides) -> None:
        own = {score.figure: score(sides) for score in self.scores} if trainer.is_global_zero else {}
        pl_module.log_dict(trainer.strategy.broadcast(own))
