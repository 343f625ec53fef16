"""Lightning's trainer: its callbacks, its data module, its checkpoint, and what it does to samplers."""

from __future__ import annotations

from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.profilers import Profiler

__all__ = [
    "MisconfigurationException",  # of a module that Lightning does not document
    "callbacks_of",
    "checkpoint_of",
    "datamodule_of",
    "profiled_module",
    "set_callbacks",
    "set_profiled_module",
    "shares_out_samples",
]


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """The trainer's callbacks, in their order.

    Relies on: the attribute `callbacks`, which the trainer sets outside of its class, so that no type says it.
    """
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])  # none yet while it is being made
    return callbacks


def set_callbacks(trainer: Trainer, callbacks: list[Callback]) -> None:
    """Give the trainer another list of callbacks. Lightning may be going through the old list: never change that one.

    Relies on: what `callbacks_of` relies on.
    """
    trainer.callbacks = callbacks  # type: ignore[attr-defined]


def datamodule_of(trainer: Trainer) -> Any:
    """The trainer's data module, whose contract the caller knows.

    Relies on: the attribute `datamodule`, which the trainer sets outside of its class, so that no type says it.
    """
    data: LightningDataModule = trainer.datamodule  # type: ignore[attr-defined]
    return data


def checkpoint_of(trainer: Trainer) -> dict[str, Any]:
    """What `trainer.save_checkpoint` would write now. Every rank must call it, as callbacks gather their state in it.

    Relies on: `trainer._checkpoint_connector.dump_checkpoint()`.
    """
    state: dict[str, Any] = trainer._checkpoint_connector.dump_checkpoint()
    return state


def shares_out_samples(trainer: Trainer) -> bool:
    """Whether Lightning gives each rank a sampler of its own, as trainer.use_distributed_sampler says.

    Relies on: `trainer._accelerator_connector.use_distributed_sampler`; no public attribute holds the setting.
    """
    return bool(trainer._accelerator_connector.use_distributed_sampler)


def profiled_module(profiler: Profiler) -> LightningModule | None:
    """The module that the trainer has told a profiler to profile; None before that.

    Relies on: the trainer sets the attribute `_lightning_module` before it sets the profiler up.
    """
    return getattr(profiler, "_lightning_module", None)


def set_profiled_module(profiler: Profiler, module: LightningModule | None) -> None:
    """Tell a profiler which module it profiles, as the trainer does before it sets the profiler up.

    Relies on: the attribute `_lightning_module`, which PyTorchProfiler reads.
    """
    profiler._lightning_module = module  # type: ignore[attr-defined]
