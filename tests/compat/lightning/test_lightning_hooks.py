"""Only hooks that do nothing are left out."""

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import LambdaCallback
from torch import nn
from torch.utils.data import DataLoader

from headstart.callbacks.timing.throughput import Clock, Throughput  # type: ignore[attr-defined]
from headstart.compat.lightning.lightning_hooks import (
    EVALUATION,
    TRAINING,
    QuickHookName,
    leave_out_idle_hooks,
    without_idle_hooks,
)
from numbered import trainer
from one_line_model import Line

EACH_BATCH = (*TRAINING, *EVALUATION)


class Two(Callback):
    def on_train_batch_end(self, *_):
        pass


class Inherited(Two):
    pass


def test_a_callback_s_own_hooks_stay_and_lightnings_empty_ones_go():
    for callback in without_idle_hooks([Two(), Inherited()]):
        assert callable(callback.on_train_batch_end)
        assert [hook for hook in EACH_BATCH if callable(getattr(callback, hook))] == ["on_train_batch_end"]
        assert callable(callback.on_train_epoch_end)


def test_a_hook_that_was_given_to_the_object_stays():
    seen = []
    (one,) = without_idle_hooks([LambdaCallback(on_after_backward=lambda *_: seen.append(1))])
    one.on_after_backward(None, None)
    assert seen == [1]


def test_another_object_of_the_class_is_as_before():
    without_idle_hooks([Two()])
    assert callable(Two().on_after_backward)


def test_the_throughput_callback_has_no_hook_of_a_batch():
    (one,) = without_idle_hooks([Throughput(clock=Clock())])
    assert not any(callable(getattr(one, hook)) for hook in EACH_BATCH)


def test_the_hooks_are_those_that_lightning_has():
    assert all(callable(getattr(pl.Callback, hook)) for hook in EACH_BATCH)
    assert all(callable(getattr(pl.LightningModule, hook)) for hook in TRAINING)


class Module(pl.LightningModule):
    def on_after_backward(self):
        self.called = True


def test_a_module_s_own_hooks_stay_and_those_of_an_evaluation_too():
    module = Module()
    leave_out_idle_hooks(module)
    assert [hook for hook in EACH_BATCH if callable(getattr(module, hook))] == ["on_after_backward", *EVALUATION]
    assert callable(Module().on_train_batch_end)


class Named(QuickHookName, Line):
    """Notes the hook that Lightning says is running."""

    def on_train_batch_end(self, *_):
        self.hook = self._current_fx_name


def fitted(folder, module, *callbacks):
    train, val = (DataLoader(torch.ones(4, 2), batch_size=2) for _ in range(2))
    trainer(folder, callbacks=list(callbacks), max_epochs=1).fit(module, train, val)
    return module


def test_lightning_fits_without_the_idle_hooks_and_calls_the_others(tmp_path):
    calls = []

    class Counts(Callback):
        def on_train_batch_end(self, *_):
            calls.append(1)

    module = Line()
    leave_out_idle_hooks(module)
    fitted(tmp_path, module, *without_idle_hooks([Counts(), Callback()]))
    assert calls == [1, 1]


def test_the_name_of_the_running_hook_is_noted_and_a_parameter_is_still_registered(tmp_path):
    module = fitted(tmp_path, Named())
    assert module.hook == "on_train_batch_end"
    assert "_current_fx_name" in vars(module)
    module.more = nn.Parameter(torch.zeros(1))
    assert "more" in dict(module.named_parameters())
