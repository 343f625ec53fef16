"""The loops of Lightning's fit: acts after a batch or an epoch, an exact resume, a validation out of turn.

Lightning calls its loops internal. Here they are reached as `trainer.fit_loop`, its `epoch_loop`, and that one's
`val_loop`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytorch_lightning import Trainer


def after_each_epoch(trainer: Trainer, act: Callable[[], None]) -> None:
    """Call a function after each epoch of fit, when Lightning has done all that it does at the epoch's end.

    Lightning's last hook of an epoch comes before its last acts (a row of metrics.csv, the step of a plateau
    scheduler): a checkpoint that is written in the hook lacks them. Functions are called in the order in which they
    were added, until `remove_acts`.

    Relies on: the fit loop calls its method `on_advance_end` once an epoch, as the last act, by looking it up on
    itself.

    Args:
        trainer: A trainer inside of fit.
        act: The function.
    """
    loop = trainer.fit_loop
    loop.on_advance_end = _then(loop.on_advance_end, act)  # type: ignore[method-assign]


def after_each_batch(trainer: Trainer, act: Callable[[], None]) -> None:
    """Call a function after each training batch, when Lightning has done all that it does at the batch's end.

    Relies on: the training epoch loop calls its method `on_advance_end` once a batch, as the last act, by looking it up
    on itself.

    Args:
        trainer: A trainer inside of fit.
        act: The function.
    """
    loop = trainer.fit_loop.epoch_loop
    loop.on_advance_end = _then(loop.on_advance_end, act)  # type: ignore[method-assign]


def remove_acts(trainer: Trainer) -> None:
    """Undo `after_each_epoch` and `after_each_batch`.

    Relies on: `on_advance_end` is a method of the loops' classes, and no attribute of the loops themselves.
    """
    for loop in (trainer.fit_loop, trainer.fit_loop.epoch_loop):
        vars(loop).pop("on_advance_end", None)


def epoch_goes_on(trainer: Trainer) -> bool:
    """Whether a checkpoint that is written after this batch can be resumed inside of the epoch.

    It cannot where the epoch ends with this batch, gradients are being accumulated (no checkpoint holds them), or
    Lightning has validated after this batch: it would count the batch twice in the resumed run.

    Relies on: the training epoch loop's `_is_training_done`, `_should_accumulate()` and
    `_should_check_val_fx(fetcher)`, and the fit loop's `_data_fetcher`.
    """
    loop: Any = trainer.fit_loop.epoch_loop
    ends = loop._is_training_done or trainer.should_stop
    return not (ends or loop._should_accumulate() or loop._should_check_val_fx(trainer.fit_loop._data_fetcher))


def run_is_over(trainer: Trainer) -> bool:
    """Whether fit ends after this epoch.

    Relies on: the fit loop's property `done`.
    """
    return trainer.fit_loop.done


def trained_batches(trainer: Trainer) -> int:
    """How many training batches are done, those before a resume included.

    Relies on: the fit loop's `total_batch_idx`, the index of the last batch over all epochs, -1 before the first.
    """
    return trainer.fit_loop.total_batch_idx + 1


def stop_after_batch(trainer: Trainer) -> None:
    """End fit after this batch, however long the trainer's settings want it to train, and without a validation.

    Relies on: the fit loop reads `trainer.should_stop`, its own `min_epochs` and the epoch loop's `min_steps` after
    each batch.
    """
    trainer.should_stop = True
    trainer.fit_loop.min_epochs, trainer.fit_loop.epoch_loop.min_steps = None, None
    trainer.limit_val_batches = 0


def validate(trainer: Trainer) -> None:
    """Run fit's own validation loop now, as Lightning does between epochs, so that it is logged and checkpointed.

    Relies on: `val_loop.run()` is the whole validation, and the trainer's state is set by `trainer.validating` and
    `trainer.training`.
    """
    trainer.validating = True
    trainer.fit_loop.epoch_loop.val_loop.run()
    trainer.training = True


def validate_as_in_epoch(trainer: Trainer) -> None:
    """Validate after an epoch as if the epoch were not over, so that its number is that of any other validation.

    Relies on: what `validate` relies on; the fit loop counts an epoch in `epoch_progress.current.completed`, and
    `trainer.current_epoch` is that number.
    """
    epochs = trainer.fit_loop.epoch_progress.current
    epochs.completed -= 1
    try:
        validate(trainer)
    finally:
        epochs.completed += 1


def resume_exactly(trainer: Trainer) -> None:
    """Undo what Lightning does otherwise in the first epoch of a resumed run than in one that was not stopped.

    - It leaves out the step of a plateau scheduler at the epoch's end, as the monitored metric is missing (here it is
      not: callbacks/checkpoints/epoch_metric_state.py).
    - With max_steps it takes the epoch that is over for one that it is inside of, and ends it once more.
    - Where the length of the run was asked for (trainer.estimated_stepping_batches, for a scheduler), it has made the
      loader before it knows its position, and begins the epoch anew.

    Relies on: the fit loop's `restarting`, `_restarting`, `_combined_loader_states_to_load`,
    `_load_combined_loader_states()` and `_data_fetcher`; `epoch_progress.current` with `processed` and `ready`; the
    epoch loop's `restarting`.
    """
    fit = trainer.fit_loop
    if fit.restarting and fit._combined_loader_states_to_load:
        fit._load_combined_loader_states()
        assert fit._data_fetcher is not None  # as there is a loader
        iter(fit._data_fetcher)
    fit._restarting = False
    epochs: Any = fit.epoch_progress.current
    if epochs.processed == epochs.ready:
        fit.epoch_loop.restarting = False


def _then(act: Callable[..., None], then: Callable[[], None]) -> Callable[..., None]:
    def both(*arguments: Any) -> None:
        act(*arguments)
        then()

    return both
