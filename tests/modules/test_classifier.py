"""A run with each optimizer and scheduler of conf/ trains."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from composed import CONF, composed, trained
from headstart.modules.classifier import Classifier
from headstart.runs.model_parts.assembly import assembled
from headstart.types import UserError


def options(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def configured(*overrides, steps=40, epochs=4, every=1):
    module = assembled(composed("mode=scratch", *overrides)).module
    module.trainer = SimpleNamespace(estimated_stepping_batches=steps, max_epochs=epochs, check_val_every_n_epoch=every)
    return module.configure_optimizers()


@pytest.mark.parametrize(
    "choice", [f"{group}={option}" for group in ("scheduler", "optimizer") for option in options(group)]
)
def test_every_scheduler_and_optimizer_of_conf_trains(choice, tmp_path):
    few = ["trainer.max_epochs=2", "trainer.limit_val_batches=1", "trainer.limit_test_batches=1"]
    result = trained(choice, "mode=scratch", *few, folder=tmp_path / "run")
    assert result["steps"] == 8
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(tensor.isfinite().all() for tensor in last["state_dict"].values())


def test_layers_have_rates_of_their_own_where_the_decay_says_so():
    groups = configured("module.layer_decay=0.5", "scheduler=constant")["optimizer"].param_groups
    rates = {group["name"]: group["lr"] for group in groups}
    assert rates["head"] == 2e-3
    assert [rates[f"stage{n}"] for n in (4, 3, 2, 1)] == pytest.approx([2e-3 * 0.5**n for n in (1, 2, 3, 4)])


@pytest.mark.parametrize(("interval", "length"), [("step", 40), ("epoch", 4)])
def test_a_length_that_is_null_is_the_runs_in_the_units_of_the_interval(interval, length):
    made = configured(f"module.scheduler_interval={interval}")["lr_scheduler"]
    assert made["interval"] == interval
    assert made["scheduler"].T_max == length


def test_without_an_end_the_run_has_no_length_for_a_scheduler():
    with pytest.raises(UserError, match=r"set trainer\.max_epochs or trainer\.max_steps"):
        configured(steps=math.inf)
    with pytest.raises(UserError, match=r"scheduler\.T_max"):
        configured("module.scheduler_interval=epoch", epochs=-1)


def test_a_plateau_waits_for_the_figure_after_each_validation():
    made = configured("scheduler=plateau", "module.scheduler_monitor=val/accuracy", "scheduler.mode=max", every=3)
    assert isinstance(made["lr_scheduler"]["scheduler"], ReduceLROnPlateau)
    assert {key: made["lr_scheduler"][key] for key in ("interval", "frequency", "monitor")} == {
        "interval": "epoch",
        "frequency": 3,
        "monitor": "val/accuracy",
    }


def test_a_plateau_of_a_figure_that_nobody_logs_is_said_before_training():
    with pytest.raises(UserError, match=r"got val/acuracy; there are train/loss, .*val/accuracy"):
        configured("scheduler=plateau", "module.scheduler_monitor=val/acuracy")


def test_what_schedulers_keep_is_plain_so_that_checkpoints_load_without_code(tmp_path):
    made = configured("scheduler=step", "+optimizer.betas=[0.8,0.9]")
    kept = {"scheduler": made["lr_scheduler"]["scheduler"].state_dict(), "optimizer": made["optimizer"].state_dict()}
    torch.save(kept, tmp_path / "kept")
    (group, *_) = torch.load(tmp_path / "kept", weights_only=True)["optimizer"]["param_groups"]
    assert tuple(group["betas"]) == (0.8, 0.9)  # a list in older versions of torch


@pytest.mark.slow
def test_a_compiled_run_ends_where_the_plain_one_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lasts = []
    for name in ("false", "true"):
        trained(f"compile={name}", "trainer.max_epochs=3", "unfreeze.every_epochs=1", folder=tmp_path / name)
        lasts.append(torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    assert lasts[0].keys() == lasts[1].keys()
    for name, tensor in lasts[0].items():
        torch.testing.assert_close(lasts[1][name], tensor, rtol=1e-2, atol=1e-3)


def test_a_checkpoint_says_in_which_epoch_an_adaptation_last_looked():
    adapted, plain = SimpleNamespace(adapted=SimpleNamespace(looked_epoch=3)), SimpleNamespace(adapted=None)
    for module, looked in ((adapted, 3), (plain, -1)):
        checkpoint = {}
        Classifier.on_save_checkpoint(module, checkpoint)
        assert checkpoint == {"looked_epoch": looked}
        Classifier.on_load_checkpoint(module, {"looked_epoch": 5})
    assert adapted.adapted.looked_epoch == 5
    Classifier.on_load_checkpoint(adapted, {})
    assert adapted.adapted.looked_epoch == -1
