"""Exponential moving average of the weights, which is what validation and best.ckpt see."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NamedTuple

import torch
import torch.distributed as dist
from annotated_types import Interval
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from headstart.compat.lightning.lightning_trainer import callbacks_of, set_callbacks
from headstart.modules.module_protocols import regularizer_of
from headstart.types import UserError


class _Buffer(NamedTuple):
    """Where a buffer lies; its module is in train mode where training changes it."""

    name: str
    owner: nn.Module
    key: str


class EMA(Callback):
    """Keeps an exponential moving average of the weights; validation, best.ckpt and the end of fit have it.

    Running statistics and other buffers of floating type are averaged alike; integer buffers are the model's.

    The average of a weight begins with its first step after it has become trainable, at its value after that step, and
    has a count of its own. A frozen weight has no average, so that the validated model has it to the bit. A checkpoint
    made during validation holds the averages as weights and the trained weights in this callback's state, other
    checkpoints the other way round; a run resumes exactly from each. The callback moves itself to the end of the
    trainer's callbacks, so that others see the averages at the end of a validation. Averages are at least float32.

    Args:
        decay: The share of the average that stays in an optimizer step.
        warmup: Whether the share is smaller at first: 1 - n^(-2/3) at the n-th update of a weight, as in timm's
            ModelEmaV3 (gamma 1, power 2/3).

    Raises:
        UserError: In fit, if the weights are sharded.
    """

    def __init__(self, *, decay: Annotated[float, Interval(ge=0, lt=1)] = 0.999, warmup: bool = True) -> None:
        if not 0 <= decay < 1:
            raise UserError(f"an average's decay is at least 0 and below 1, got {decay}; try 0.999")
        self.decay, self.warmup = decay, warmup
        self.averages: dict[str, Tensor] = {}  # of what is trainable
        self._updates: dict[str, int] = {}  # of each average
        self._trained: dict[str, Tensor] = {}  # while the module has the averages, what it had before
        self._hooks: list[Any] = []

    def restart(self, names: Collection[str]) -> None:
        """Begin the averages of these parameters and buffers anew: until their next step they are as they are now."""
        for name in names:
            self.averages.pop(name, None)
            self._updates.pop(name, None)

    @contextmanager
    def instead(self, module: LightningModule) -> Iterator[None]:
        """The module has the averages, as in a validation; on all devices at once."""
        self._put_in(module)
        try:
            yield
        finally:
            self._put_back(module)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        self.averages, self._updates, self._trained = {}, {}, {}
        # a new list: Lightning is going through the old one
        set_callbacks(trainer, [*(callback for callback in callbacks_of(trainer) if callback is not self), self])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        tensors = _tensors(pl_module)
        if any(isinstance(tensor, DTensor) for tensor in tensors.values()):
            raise UserError("an average needs whole weights on each device; with trainer=fsdp leave callbacks=ema out")
        self.averages = {name: average.to(tensors[name].device) for name, average in self.averages.items()}
        self._put_back(pl_module)  # of a checkpoint that was made during validation
        buffers = _buffers(pl_module)
        for optimizer in trainer.optimizers:
            held = {id(p) for group in optimizer.param_groups for p in group["params"]}
            parameters = {name: p for name, p in pl_module.named_parameters() if id(p) in held}
            # after the step, not at the batch's end: once in an accumulation, and before anybody saves a checkpoint
            self._hooks.append(optimizer.register_step_post_hook(self._after_step(parameters, buffers)))
            buffers = []  # the first optimizer's step counts for them

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._put_in(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._put_back(pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._put_in(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def state_dict(self) -> dict[str, Any]:
        return {"averages": self.averages, "updates": self._updates, "trained": self._trained}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.averages, self._updates = dict(state_dict["averages"]), dict(state_dict["updates"])
        self._trained = dict(state_dict["trained"])

    def _after_step(self, parameters: dict[str, nn.Parameter], buffers: list[_Buffer]) -> Callable[..., None]:
        def update(*_: Any) -> None:
            # on all devices in the same order, as they broadcast in this order
            now: dict[str, Tensor] = {name: p for name, p in parameters.items() if p.requires_grad}
            now |= {buffer.name: getattr(buffer.owner, buffer.key) for buffer in buffers if buffer.owner.training}
            self.restart([name for name in (*parameters, *(buffer.name for buffer in buffers)) if name not in now])
            self._update(now)

        return update

    @torch.no_grad()
    def _update(self, now: dict[str, Tensor]) -> None:
        by_decay: dict[tuple[float, torch.dtype, torch.device], list[str]] = {}
        for name, tensor in now.items():
            count = self._updates[name] = self._updates.get(name, 0) + 1
            if count == 1:
                self.averages[name] = tensor.detach().to(_wide(tensor.dtype), copy=True)
            else:
                average = self.averages[name]
                by_decay.setdefault((self._decay_at(count), average.dtype, average.device), []).append(name)
        for (decay, dtype, _), names in by_decay.items():
            averages = [self.averages[name] for name in names]
            get_ema_multi_avg_fn(decay)(  # type: ignore[no-untyped-call]
                averages, [now[name].detach().to(dtype) for name in names], 0
            )

    def _decay_at(self, count: int) -> float:
        return min(self.decay, 1 - count ** (-2 / 3)) if self.warmup else self.decay

    @torch.no_grad()
    def _put_in(self, module: LightningModule) -> None:
        """Give the module the averages, on every device those of rank 0, whose running statistics are its own."""
        tensors = _tensors(module)
        parameters = dict(module.named_parameters())
        for name, average in self.averages.items():
            self._trained[name] = tensors[name].detach().clone()
            tensors[name].copy_(average)
            if name not in parameters and dist.is_initialized():
                dist.broadcast(tensors[name].detach(), src=0)

    @torch.no_grad()
    def _put_back(self, module: LightningModule) -> None:
        tensors = _tensors(module)
        for name, trained in self._trained.items():
            tensors[name].copy_(trained)
        self._trained = {}


def _tensors(module: LightningModule) -> dict[str, Tensor]:
    """The parameters, and the buffers that a checkpoint has."""
    state = module.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}


def _buffers(module: LightningModule) -> list[_Buffer]:
    """The buffers that training may change: of floating type, in a child of the module that has parameters."""
    regularizer = regularizer_of(module)  # what a term of the loss remembers is as it is
    trained = tuple(
        f"{name}." for name, child in module.named_children() if list(child.parameters()) and child is not regularizer
    )
    places = [name.rpartition(".") for name in _tensors(module).keys() - dict(module.named_parameters()).keys()]
    buffers = [_Buffer(f"{path}.{key}", module.get_submodule(path), key) for path, _, key in sorted(places)]
    return [
        buffer
        for buffer in buffers
        if buffer.name.startswith(trained) and getattr(buffer.owner, buffer.key).is_floating_point()
    ]


def _wide(dtype: torch.dtype) -> torch.dtype:
    """The type that an average of such weights needs: a step of a half-precision one would round to nothing."""
    return torch.promote_types(dtype, torch.float32)
