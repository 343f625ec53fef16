"""What is a term that is added to the loss of a model whose weights come from a source?"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor, nn

from headstart.types import Batch


class Regularizer(nn.Module):
    """Gives a scalar for each training batch; what it must remember is a buffer, so that checkpoints hold it.

    prepare is called once, when the model is made, so that all buffers are there before a checkpoint is loaded;
    begin once, when the model has the weights that the run starts with, and not when a run is resumed; forward in
    each training step. stages: the model's parts from the input to the head, by name.
    """

    replaces_weight_decay = False  # whether the optimizer's weight decay is to be off

    def prepare(self, stages: Mapping[str, nn.Module]) -> None:
        """Make room for what begin will remember."""

    def begin(self, stages: Mapping[str, nn.Module], from_source: Collection[str]) -> None:
        """Look at the weights that the run starts with; from_source: the stages that have the source's."""

    def forward(self, *, stages: Mapping[str, nn.Module], batch: Batch, features: Tensor) -> Tensor:
        """Batch, the backbone's features (B, D) of it -> what is added to the loss, scalar."""
        raise NotImplementedError
