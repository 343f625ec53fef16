"""The contract of a regularizer: a term of the loss of a model whose weights come from a source."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from headstart.types import Batch, UserError

Stages = Mapping[str, nn.Module]  # a model's parts from the input to the head, by name


class Batches(Protocol):
    """Gives all images of a split in their order, without augmentation, on the model's device, as they enter a stage.

    stored: where the feature cache has what frozen stages give, take that, and enter the stage after them.
    """

    def __call__(self, split: str, *, stored: bool) -> Iterable[Batch]: ...


class Regularizer(nn.Module):
    """Gives a scalar for each training batch; what it must remember is a buffer, so that checkpoints hold it.

    prepare is called once, when the model is made, so that all buffers are there before a checkpoint is loaded;
    take_head and begin once, when the model has the weights that the run starts with (of a resumed run the checkpoint
    comes after them); look once, before the first step, and not when a run is resumed; forward in each training step.
    Only forward has to be written.

    What is not known when the model is made (how many classes the source has) is prepared empty and named in
    sized_later: a checkpoint gives it its size.
    """

    replaces_weight_decay = False  # whether the optimizer's weight decay is to be off
    reads_outputs = False  # whether forward needs what each stage gave
    needs_labels = False  # whether it reads those of training images
    needs_source_head = False  # whether it is nothing without the head of the source's own classes
    needs_validation = False  # whether look chooses something on images of val
    runs_copies = False  # whether it has stages of its own that began as the model's, and needs what enters these
    sized_later: tuple[str, ...] = ()  # its buffers and parameters whose shape is not known in prepare

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_pre_hook(_expect)  # type: ignore[no-untyped-call]

    def prepare(self, stages: Stages) -> None:
        """Make room for what the others will remember."""

    def take_head(self, head: Mapping[str, Tensor]) -> None:
        """Look at the head of the source's own classes: linear.weight (S, D) and linear.bias (S,), or empty."""

    def begin(self, stages: Stages, from_source: Collection[str]) -> None:
        """Look at the weights that the run starts with; from_source: the stages that have the source's."""

    def look(self, stages: Stages, batches: Batches) -> None:
        """Look at the target's training and validation images; all stages are in eval(), without gradients."""

    def beside(self, stages: Stages) -> Mapping[str, nn.Module]:
        """Networks of its own that learn, by the part with which each is trainable and frozen, at its rate."""
        return {}

    def forward(self, *, stages: Stages, batch: Batch, features: Tensor, outputs: Mapping[str, Tensor]) -> Tensor:
        """What a batch adds to the loss, scalar.

        batch: its image is normalised, or what enters stage batch.start. features: the backbone's (B, D) of it.
        outputs: what each stage from batch.start on gave, not pooled; empty unless reads_outputs.
        """
        raise NotImplementedError

    def expect(self, state: Mapping[str, Tensor]) -> None:
        """Make room for a checkpoint's tensors, by the names of this module's own; called before they are loaded."""
        for name in self.sized_later:
            if name in state:
                tensor = getattr(self, name)
                tensor.data = torch.empty_like(state[name], dtype=tensor.dtype, device=tensor.device)


def _expect(regularizer: nn.Module, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """torch's hook before a module's tensors are loaded."""
    assert isinstance(regularizer, Regularizer)
    regularizer.expect({name.removeprefix(prefix): state_dict[name] for name in state_dict if name.startswith(prefix)})


def check_whole(stages: Stages, name: str) -> None:
    """Raises UserError where the weights lie in shards."""
    if any(isinstance(weight, DTensor) for weight in stages["head"].parameters()):
        raise UserError(f"regularizer={name} needs whole weights on each device; with trainer=fsdp leave it out")


def check_one_class(batch: Batch, name: str) -> None:
    """Raises UserError where an image has several classes, or shares of them."""
    if batch.label.ndim != 1 or batch.label.is_floating_point():
        raise UserError(
            f"regularizer={name} needs one class an image, got labels of shape {tuple(batch.label.shape)} and type "
            f"{batch.label.dtype}; try regularizer=l2_sp or regularizer=bss"
        )
