"""Validation of the model after its last optimizer step, however seldom a run validates."""

from __future__ import annotations

from pytorch_lightning import Callback, LightningModule, Trainer

from headstart.callbacks.training.initial_model import validate


class End(Callback):
    """Validates once more where a run ends with a model that was not measured.

    Lightning validates after every n-th epoch or batch; a run may end in between, by its length, by its steps, by the
    clock or by a callback. The figures of the end are then those of an earlier model. To stand before BestAndLast in
    the trainer's callbacks, which writes its files after it.
    """

    def __init__(self) -> None:
        self._measured_step = -1  # optimizer steps of the model that was validated last

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._measured_step = trainer.global_step

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        fit = trainer.fit_loop
        lightnings = fit.on_advance_end  # of an epoch; not a hook, as another hook of its end may stop the run

        def advance_end() -> None:
            lightnings()
            if fit.done and trainer.enable_validation and self._measured_step != trainer.global_step:
                epochs = fit.epoch_progress.current
                epochs.completed -= 1  # as in any other validation, which comes before Lightning counts its epoch
                try:
                    validate(trainer)
                finally:
                    epochs.completed += 1

        fit.on_advance_end = advance_end  # type: ignore[method-assign]

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        vars(trainer.fit_loop).pop("on_advance_end", None)
