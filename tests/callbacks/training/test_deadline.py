"""A deadline gives a trial up after the batch, and ends a wanted run with its epoch."""

import time

import pytest
from pytorch_lightning import Trainer
from pytorch_lightning.demos.boring_classes import BoringModel

from headstart.callbacks.training.deadline import Deadline, OutOfTimeError


def fitted(deadline, epochs=4):
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[deadline], limit_train_batches=5, limit_val_batches=2,
        num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(BoringModel())
    return trainer


def test_before_its_moment_it_does_nothing():
    deadline = Deadline(time.time() + 1000, "give_up")
    assert fitted(deadline).global_step == 20
    assert not deadline.has_come


def test_a_trial_is_given_up_after_the_batch():
    deadline = Deadline(time.time() - 1, "give_up")
    with pytest.raises(OutOfTimeError, match="epoch 1"):
        fitted(deadline)
    assert deadline.has_come


def test_a_wanted_run_ends_with_the_epoch_validated():
    deadline = Deadline(time.time() - 1, "end_epoch")
    trainer = fitted(deadline)
    assert (trainer.global_step, trainer.current_epoch) == (5, 1)
    assert deadline.has_come
    assert (
        "valid_loss" in trainer.callback_metrics or trainer.fit_loop.epoch_loop.val_loop.batch_progress.total.ready > 0
    )
