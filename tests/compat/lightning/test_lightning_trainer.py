"""What compat/lightning/lightning_trainer.py relies on. Tried: pytorch-lightning 2.5.0 and 2.6.6."""

import pytest
import torch
from pytorch_lightning import Callback, LightningDataModule, Trainer
from pytorch_lightning.profilers import PyTorchProfiler
from torch.utils.data import DataLoader

from headstart.compat.lightning import lightning_trainer
from numbered import trainer
from one_line_model import Line


class Ones(LightningDataModule):
    def train_dataloader(self):
        return DataLoader(torch.ones(4, 2), batch_size=2)


class Ask(Callback):
    """Takes what a checkpoint would hold, and the data module, while the run trains."""

    def on_train_epoch_end(self, trainer, module):
        self.state = lightning_trainer.checkpoint_of(trainer)
        self.data = lightning_trainer.datamodule_of(trainer)
        trainer.save_checkpoint(self.path)  # type: ignore[attr-defined]


def test_a_checkpoint_is_what_lightning_would_save_and_the_data_are_those_of_the_fit(tmp_path):
    ask, data = Ask(), Ones()
    ask.path = tmp_path / "saved.ckpt"  # type: ignore[attr-defined]
    trainer(tmp_path, callbacks=[ask], max_epochs=1).fit(Line(), datamodule=data)
    saved = torch.load(ask.path, weights_only=True)  # type: ignore[attr-defined]
    assert ask.state.keys() == saved.keys()
    assert ask.state["global_step"] == saved["global_step"] == 2
    assert all(torch.equal(weight, saved["state_dict"][name]) for name, weight in ask.state["state_dict"].items())
    assert ask.data is data


def test_callbacks_are_those_that_the_trainer_calls_and_can_be_given_anew():
    first, second = Ask(), Ask()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    run = Trainer(accelerator="cpu", callbacks=[first], enable_progress_bar=False, **quiet)
    assert lightning_trainer.callbacks_of(run) == [first]
    lightning_trainer.set_callbacks(run, [second, first])
    assert lightning_trainer.callbacks_of(run) == [second, first]


@pytest.mark.parametrize("setting", [True, False])
def test_whether_lightning_shares_out_samples_is_the_trainer_s_setting(setting):
    run = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, use_distributed_sampler=setting)
    assert lightning_trainer.shares_out_samples(run) is setting


def test_a_setting_that_lightning_refuses_raises_the_error_that_is_named_here():
    with pytest.raises(lightning_trainer.MisconfigurationException):
        Trainer(accelerator="cpu", logger=False, limit_train_batches=-2.0)


def test_a_profiler_knows_its_module_by_the_attribute_that_the_trainer_sets():
    profiler, module = PyTorchProfiler(), Line()
    lightning_trainer.set_profiled_module(profiler, module)
    assert lightning_trainer.profiled_module(profiler) is module
    run = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, profiler="simple", max_epochs=0)
    run.fit(module, DataLoader(torch.ones(4, 2)))
    assert lightning_trainer.profiled_module(run.profiler) is not None  # type: ignore[attr-defined]
