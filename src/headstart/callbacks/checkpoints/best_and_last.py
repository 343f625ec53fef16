"""Best and last checkpoints of a run, written atomically."""

from __future__ import annotations

import inspect
import math
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from annotated_types import Ge
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import ModelParallelStrategy

from headstart.callbacks.checkpoints.checkpoint_writing import (
    UnbufferedCheckpointIO,
    copied_to_cpu,
    sync_to_disk,
    write_checkpoint,
)
from headstart.callbacks.checkpoints.collective_stop import StopTogether
from headstart.callbacks.training.divergence import Divergence
from headstart.callbacks.training.ema import EMA
from headstart.compat.lightning import lightning_loops
from headstart.compat.lightning.lightning_trainer import callbacks_of, checkpoint_of
from headstart.system import stop_signals
from headstart.system.files.checkpoint_reading import loaded
from headstart.system.metric_direction import best_mode
from headstart.types import UserError

BEST, LAST, PREVIOUS = "best.ckpt", "last.ckpt", "previous.ckpt"
LOSS = "val/loss"  # decides between equals
VALIDATION = ("val", "target", "domains")  # prefixes of the metrics of a validation, the last two without labels


class BestAndLast(Callback):
    """Writes best.ckpt, by a monitored metric of validation, and last.ckpt, to resume from.

    Among evaluations with the same value, as small val sets give many, the one with the lowest val/loss is the best
    one, and where that is the same too (or is itself monitored) the latest: so the weights before the first step are
    the best ones only where training has brought nothing, not even a lower loss. In a run without validation best.ckpt
    is the state at its end, written then, with the last metrics of training.

    Each file is there whole or not at all, and the last.ckpt before stays as previous.ckpt. A best state that comes
    sooner than `min_interval_s` after the last one is held in memory, and written before last.ckpt is. Once training
    has diverged (callbacks/training/divergence.py) nothing more is written.

    Args:
        folder: The folder of the checkpoints.
        monitor: A logged metric; None, in a config, is the module's own.
        mode: Whether a larger or a smaller value is better; `last`: the newest state is the best one, whatever the
            value is; None is the direction of the metric.
        every_steps: last.ckpt is written after each epoch, and after so many optimizer steps inside of one; None
            means after epochs only.
        min_interval_s: Seconds after which last.ckpt may be written again, unless the run ends; so much work a crash
            may cost.

    Attributes:
        best: The epoch, the step and all metrics of the validation of best.ckpt.
        run_hash: The hash of the config whose checkpoints these are; whoever makes the run sets it.

    Raises:
        UserError: In a validation, if nothing is logged as `monitor`.
    """

    def __init__(
        self,
        *,
        folder: str | Path,
        monitor: str | None,
        mode: Literal["max", "min", "last"] | None,
        every_steps: Annotated[int, Ge(1)] | None,
        min_interval_s: Annotated[float, Ge(0)],
    ) -> None:
        self.folder, self.monitor, self.mode = Path(folder), monitor, mode or best_mode(monitor)
        self.every_steps, self.min_interval_s = every_steps, min_interval_s
        self.best: dict[str, float] = {}
        self.run_hash = ""  # of the config whose checkpoints these are; runs/training/train_run.py sets it
        self.start_counts = True
        self._asked_step = 0  # the last multiple of every_steps at which it was asked whether last.ckpt is old enough
        self._saved_s = self._best_s = time.monotonic()  # when the two files were written
        self._held: dict[str, Any] | None = None  # what best.ckpt shall be
        self._stop = StopTogether()

    def follow(self, metric: str, *, mode: Literal["max", "min"], start_counts: bool) -> None:
        """Monitor another metric than that of the config.

        Args:
            metric: A logged metric.
            mode: Whether a larger or a smaller value is better.
            start_counts: Whether the weights before the first step may be the best ones.
        """
        self.monitor, self.mode, self.start_counts = metric, mode, start_counts

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not isinstance(trainer.strategy, ModelParallelStrategy):  # it writes files in its own way
            trainer.strategy.checkpoint_io = UnbufferedCheckpointIO()
        if stage == "fit":  # another callback may validate before this one's on_train_start
            self._held, self._best_s = None, time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._asked_step, self._saved_s = trainer.global_step, time.monotonic()
        self._stop = StopTogether()
        stop_signals.handle_again()  # Lightning's own handlers end a run in mid-step, without a checkpoint
        lightning_loops.resume_exactly(trainer)
        lightning_loops.after_each_epoch(trainer, partial(self._after_epoch, trainer))
        lightning_loops.after_each_batch(trainer, partial(self._after_batch, trainer))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        stop_signals.hold_back()  # from here on there is work that no checkpoint has

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        stop_signals.handle_again()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or _has_diverged(trainer):
            return
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name.partition("/")[0] in VALIDATION
        }
        if self.monitor is None or self.monitor not in metrics:
            raise UserError(
                f"callbacks.checkpoint.monitor={self.monitor} is not measured; "
                f"measured are {', '.join(sorted(metrics))}"
            )
        counts = self.start_counts or trainer.global_step > 0
        if counts and (not self.best or self._is_better(metrics)):
            self.best = {
                "epoch": trainer.current_epoch + (trainer.global_step > 0),
                "step": trainer.global_step,
                **metrics,
            }
            self._keep_best(trainer)

    def _is_better(self, metrics: dict[str, float]) -> bool:
        """Whether an evaluation counts more than the best so far, which is an earlier one.

        Whatever is measured is better than nan, of a model whose numbers had grown too large.
        """
        assert self.monitor is not None
        value, best = metrics[self.monitor], self.best[self.monitor]
        if self.mode == "last":
            return True
        if math.isnan(best):
            return not math.isnan(value)
        if value != best:
            return value > best if self.mode == "max" else value < best
        loss, best_loss = metrics.get(LOSS, 0.0), self.best.get(LOSS, 0.0)
        return loss <= best_loss or (math.isnan(best_loss) and not math.isnan(loss))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write_best(trainer)
        self._stop.end()
        stop_signals.hold_no_longer()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._write_best(trainer)
        stop_signals.hold_no_longer()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        lightning_loops.remove_acts(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["run_hash"], checkpoint["should_stop"] = self.run_hash, trainer.should_stop
        for state in checkpoint.get("lr_schedulers", []):
            # of torch 2.6's SWALR, which makes it anew; a checkpoint with a function cannot be read as plain values
            for name in [name for name, value in state.items() if inspect.isroutine(value)]:
                del state[name]

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        trainer.should_stop = checkpoint.get("should_stop", False)  # or one that was stopped early would go on

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]
        if self.best:
            # younger than this state, where the run was killed between the two files: then what that file holds is
            # the best one, and equals what this run finds at the same step (but for a GPU's rounding)
            written = loaded(self.folder / BEST, mmap=True)
            self.best = written["callbacks"][self.state_key]["best"]

    def replace_weights(self, state: dict[str, Any]) -> None:
        """Give best.ckpt other weights, of its model as it was changed after it was chosen; on the first rank."""
        checkpoint = loaded(self.folder / BEST)
        checkpoint["state_dict"] = state
        write_checkpoint(checkpoint, self._partial(BEST))
        self._put(BEST)

    def _after_epoch(self, trainer: Trainer) -> None:
        if _has_diverged(trainer):
            return
        stops = self._stop.asked()
        if lightning_loops.run_is_over(trainer) and not trainer.enable_validation:
            self._keep_end(trainer)
        if stops:
            self._save_and_stop(trainer)
        if lightning_loops.run_is_over(trainer) or self._is_old(self._saved_s, trainer):
            self._save_last(trainer)

    def _is_old(self, written_s: float, trainer: Trainer) -> bool:
        """Whether a file is old enough; every rank must ask, as saving is for all of them."""
        if self.min_interval_s == 0:
            return True
        return bool(trainer.strategy.broadcast(time.monotonic() - written_s >= self.min_interval_s))

    def _after_batch(self, trainer: Trainer) -> None:
        stops = self._stop.asked()
        every, step = self.every_steps, trainer.global_step
        if not stops and (every is None or step // every == self._asked_step // every):
            return
        if not lightning_loops.epoch_goes_on(trainer):  # the next batch, or the epoch's end, will do
            return
        if stops:
            self._save_and_stop(trainer)
        self._asked_step = step  # several devices talk to each other for it: once each so many steps
        if self._is_old(self._saved_s, trainer):
            self._save_last(trainer)

    def _keep_end(self, trainer: Trainer) -> None:
        """Write best.ckpt as it is now, of averaged weights where there are any, as a validation would measure them."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("train/")}
        self.best = {"epoch": trainer.current_epoch, "step": trainer.global_step, **metrics}
        callbacks = callbacks_of(trainer)
        with ExitStack() as averaged:
            for callback in callbacks:
                if isinstance(callback, EMA):
                    averaged.enter_context(callback.instead(trainer.lightning_module))
            self._save(trainer, BEST)

    def _keep_best(self, trainer: Trainer) -> None:
        """Write best.ckpt, or hold what it shall be."""
        # one that shards the model writes files in its own way
        if isinstance(trainer.strategy, ModelParallelStrategy) or self._is_old(self._best_s, trainer):
            self._held = None
            self._save(trainer, BEST)
            self._best_s = time.monotonic()
            return
        state = checkpoint_of(trainer)  # by all ranks, as they gather something in it
        if trainer.is_global_zero:
            self._held = copied_to_cpu(state)

    def _write_best(self, trainer: Trainer) -> None:
        if self._held is not None:  # on the first rank alone
            trainer.strategy.save_checkpoint(self._held, self._partial(BEST))
            self._put(BEST)
            self._held, self._best_s = None, time.monotonic()

    def _save_last(self, trainer: Trainer) -> None:
        if _has_diverged(trainer):
            return
        self._write_best(trainer)  # first: who goes on from the one needs the other
        self._save(trainer, LAST)
        self._asked_step, self._saved_s = trainer.global_step, time.monotonic()

    def _save_and_stop(self, trainer: Trainer) -> NoReturn:
        self._save_last(trainer)
        trainer.strategy.barrier()  # no rank ends before the first has given the file its name
        raise stop_signals.interruption()

    def _save(self, trainer: Trainer, name: str) -> None:
        trainer.save_checkpoint(self._partial(name))
        if trainer.is_global_zero:
            self._put(name)

    def _partial(self, name: str) -> Path:
        return self.folder / f"{name}.partial"

    def _put(self, name: str) -> None:
        """Give a file that is written its name."""
        partial = self._partial(name)
        sync_to_disk(partial)
        if name == LAST and (self.folder / LAST).exists():
            (self.folder / LAST).replace(self.folder / PREVIOUS)
        partial.replace(self.folder / name)  # whoever reads sees the old file or the new one, never half of it
        sync_to_disk(self.folder)


def _has_diverged(trainer: Trainer) -> bool:
    """Whether training has diverged, so that the model is not worth keeping; every rank must ask."""
    callbacks = callbacks_of(trainer)
    return any(callback.has_diverged(trainer) for callback in callbacks if isinstance(callback, Divergence))
