"""The settings of a run that its pace depends on, read from its trainer."""

from __future__ import annotations

import math
from typing import Any

from pytorch_lightning import Trainer

from headstart.callbacks.timing.bottleneck_advice import Circumstances
from headstart.compat.lightning.lightning_trainer import datamodule_of
from headstart.features.cache.activation_cache import FeatureCache
from headstart.modules.module_protocols import mixes
from headstart.system.core_count import usable_cores


def circumstances_of(trainer: Trainer, *, data: str, cache: FeatureCache | None, has_frozen: bool) -> Circumstances:
    """What advice on a run's pace depends on.

    Args:
        trainer: The run's trainer, after fit.
        data: The group of the run's data; "" for no advice.
        cache: The feature cache; None where there is none.
        has_frozen: Whether the first stage was frozen in some phase.
    """
    module: Any = datamodule_of(trainer)
    epochs = trainer.check_val_every_n_epoch
    interval: Any = getattr(trainer, "val_check_interval", None)  # by the clock there is none
    by_batches = epochs is None and isinstance(interval, int)
    # not Lightning's estimate of the steps: it may ask all ranks, and only the first one is here
    of_epoch = trainer.num_training_batches  # infinite where a stream does not say
    max_epochs = trainer.max_epochs
    epochs_at_most = max_epochs if max_epochs is not None and max_epochs > 0 else math.inf
    limits = [epochs_at_most * of_epoch, trainer.max_steps * trainer.accumulate_grad_batches]
    batches = min((limit for limit in limits if limit > 0), default=math.inf)
    return Circumstances(
        data=data,
        workers=getattr(trainer.train_dataloader, "num_workers", 0),
        cores=usable_cores(),
        on_gpu=trainer.strategy.root_device.type == "cuda",
        precision=str(trainer.precision),
        frozen=has_frozen,
        has_store=cache is not None,
        is_augmented=getattr(module, "augment", None) is not None,
        views=cache.views if cache is not None else 0,
        is_mixed=mixes(trainer.lightning_module),
        every_epochs=epochs or 1,
        every_batches=interval if by_batches else 0,
        within_epochs=not by_batches and interval != 1.0,
        epochs=batches / max(1, of_epoch) if math.isfinite(of_epoch) else epochs_at_most,
        batches=batches,
    )
