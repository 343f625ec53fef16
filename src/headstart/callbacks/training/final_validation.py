"""Validation of the model after its last optimizer step, however seldom a run validates."""

from __future__ import annotations

from functools import partial

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.compat.lightning.lightning_loops import after_each_epoch, remove_acts, run_is_over, validate_as_in_epoch


class FinalValidation(Callback):
    """Validates once more where a run ends with a model that was not measured.

    Lightning validates after every n-th epoch or batch; a run may end in between, by its length, by its steps, by the
    wall time or by a callback. The metrics of the end are then those of an earlier model. To stand in the trainer's
    callbacks before BestAndLast, which writes its files after it.
    """

    def __init__(self) -> None:
        self._measured_step = -1  # optimizer steps of the model that was validated last

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._measured_step = trainer.global_step

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # not a hook of the epoch's end, as another callback may stop the run in its own
        after_each_epoch(trainer, partial(self._after_epoch, trainer))

    def _after_epoch(self, trainer: Trainer) -> None:
        if run_is_over(trainer) and trainer.enable_validation and self._measured_step != trainer.global_step:
            validate_as_in_epoch(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        remove_acts(trainer)
