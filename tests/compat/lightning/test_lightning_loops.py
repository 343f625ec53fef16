"""What compat/lightning/lightning_loops.py relies on. Tried: pytorch-lightning 2.5.0 and 2.6.6."""

import pytest
import torch
from pytorch_lightning import Callback
from torch.utils.data import DataLoader

from headstart.compat.lightning import lightning_loops
from numbered import trainer
from one_line_model import Line

BATCHES = 4  # of an epoch


class Acts(Callback):
    """Adds functions after each batch and epoch, and notes in which order all is called."""

    def __init__(self):
        self.calls = []
        self.goes_on = []

    def on_train_start(self, trainer, module):
        lightning_loops.after_each_epoch(trainer, lambda: self.calls.append(("epoch", trainer.current_epoch)))
        lightning_loops.after_each_epoch(trainer, lambda: self.calls.append(("second", trainer.current_epoch)))
        lightning_loops.after_each_batch(trainer, lambda: self.after_batch(trainer))

    def after_batch(self, trainer):
        self.calls.append(("batch", lightning_loops.trained_batches(trainer)))
        self.goes_on.append(lightning_loops.epoch_goes_on(trainer))

    def on_train_epoch_end(self, trainer, module):
        self.calls.append(("hook", trainer.current_epoch))

    def on_validation_end(self, trainer, module):
        self.calls.append(("validation", trainer.current_epoch))

    def teardown(self, trainer, module, stage):
        lightning_loops.remove_acts(trainer)


def fitted(folder, *callbacks, **settings):
    run = trainer(folder, callbacks=list(callbacks), **settings)
    train, val = (DataLoader(torch.ones(8, 2), batch_size=size) for size in (8 // BATCHES, 8))
    run.fit(Line(), train, val)
    return run


def test_acts_come_after_validation_and_hooks_in_the_order_in_which_they_were_added(tmp_path):
    acts = Acts()
    fitted(tmp_path, acts, max_epochs=2)
    one = [("batch", 1), ("batch", 2), ("batch", 3), ("validation", 0), ("batch", 4), ("hook", 0)]
    assert acts.calls[:8] == [*one, ("epoch", 1), ("second", 1)]  # Lightning has counted the epoch by then
    assert acts.calls[-2:] == [("epoch", 2), ("second", 2)]
    assert len(acts.calls) == 16


def test_removed_acts_are_not_called_in_the_next_fit(tmp_path):
    acts = Acts()
    run = fitted(tmp_path, acts, max_epochs=1)
    assert "on_advance_end" not in vars(run.fit_loop)
    assert "on_advance_end" not in vars(run.fit_loop.epoch_loop)


@pytest.mark.parametrize(
    ("settings", "want"),
    [
        ({}, [True, True, True, False]),  # the epoch ends
        ({"accumulate_grad_batches": 2}, [False, True, False, False]),  # gradients wait
        ({"val_check_interval": 2}, [True, False, True, False]),  # a validation came
    ],
)
def test_an_epoch_goes_on_where_nothing_waits_and_nothing_was_validated(tmp_path, settings, want):
    acts = Acts()
    fitted(tmp_path, acts, max_epochs=1, **settings)
    assert acts.goes_on == want


class After(Callback):
    """Calls a function once, after the first epoch."""

    def __init__(self, act):
        self.act = act
        self.validations = []

    def on_train_start(self, trainer, module):
        lightning_loops.after_each_epoch(trainer, lambda: self.act(trainer) if trainer.current_epoch == 1 else None)

    def on_validation_end(self, trainer, module):
        self.validations.append((trainer.current_epoch, trainer.global_step))

    def teardown(self, trainer, module, stage):
        lightning_loops.remove_acts(trainer)


def test_a_validation_out_of_turn_is_logged_and_training_goes_on(tmp_path):
    after = After(lightning_loops.validate)
    run = fitted(tmp_path, after, max_epochs=2, check_val_every_n_epoch=2)
    assert after.validations == [(1, BATCHES), (1, 2 * BATCHES)]
    assert "val/loss" in run.callback_metrics
    assert run.global_step == 2 * BATCHES


def test_a_validation_as_in_the_epoch_has_the_epoch_s_number_and_does_not_change_the_count(tmp_path):
    after = After(lightning_loops.validate_as_in_epoch)
    run = fitted(tmp_path, after, max_epochs=2, check_val_every_n_epoch=5)
    assert after.validations == [(0, BATCHES)]
    assert run.current_epoch == 2


def test_a_run_is_over_after_its_last_epoch_only(tmp_path):
    over = []

    class Ask(After):
        def on_train_start(self, trainer, module):
            lightning_loops.after_each_epoch(trainer, lambda: over.append(lightning_loops.run_is_over(trainer)))

    fitted(tmp_path, Ask(None), max_epochs=3)
    assert over == [False, False, True]


def test_a_run_that_is_to_stop_stops_after_the_batch_whatever_least_length_it_has(tmp_path):
    class Stop(Callback):
        def __init__(self):
            self.validations = 0

        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 2:
                lightning_loops.stop_after_batch(trainer)

        def on_validation_end(self, *_):
            self.validations += 1

    stop = Stop()
    run = fitted(tmp_path, stop, min_epochs=3, min_steps=11, max_epochs=4)
    assert run.global_step == 2
    assert stop.validations == 0
