"""A config of a share of the run's length shortens what counts epochs or steps, and nothing else."""

import pytest
from omegaconf import OmegaConf, open_dict

from composed import composed
from headstart.recipes.shortened_config import lengths, shortened
from headstart.runs.model_parts.assembly import schedule_of
from headstart.types import UserError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def trainer(**values):
    return OmegaConf.create({"check_val_every_n_epoch": 1, "val_check_interval": 1.0} | values)


def of(*overrides, share=0.5):
    cfg = composed(*overrides)
    (length,) = lengths(cfg.trainer, [share], 1)
    return shortened(cfg, length)


@pytest.mark.parametrize(
    ("settings", "shares", "shortest", "want"),
    [
        ({"max_epochs": 30}, [0.25, 0.5, 1.0], 1, [8, 15, 30]),
        ({"max_epochs": 30}, [1.0, 0.25], 1, [8, 30]),  # in any order
        ({"max_epochs": 4}, [0.1, 0.25, 0.5, 1.0], 1, [1, 2, 4]),  # each length once
        ({"max_epochs": 1}, [0.25, 0.5, 1.0], 1, [1]),
        ({"max_epochs": 30}, [0.1, 0.5, 1.0], 5, [5, 15, 30]),
        ({"max_epochs": 30}, [0.1, 1.0], 40, [30]),
        ({"max_epochs": 30, "check_val_every_n_epoch": 5}, [0.25, 0.5, 1.0], 1, [8, 16, 30]),
    ],
)
def test_the_lengths_are_the_shares_of_the_run_in_whole_epochs(settings, shares, shortest, want):
    node = trainer(**settings)
    found = lengths(node, shares, shortest)
    assert [one.trainer.get("max_epochs", settings["max_epochs"]) for one in found] == want
    assert [one.share for one in found] == [pytest.approx(epochs / settings["max_epochs"]) for epochs in want]
    for one in found[:-1]:  # a validation comes after the last epoch
        assert one.trainer["max_epochs"] % one.trainer["check_val_every_n_epoch"] == 0


@pytest.mark.parametrize("accumulated", [1, 4])
@pytest.mark.parametrize(("steps", "interval"), [(10_000, 500), (500, 25), (37, 10), (100, None)])
def test_a_run_of_steps_shrinks_its_validations_along(steps, interval, accumulated):
    by_batches = {"check_val_every_n_epoch": None, "val_check_interval": (interval or 1) * accumulated}
    node = trainer(max_epochs=-1, max_steps=steps, accumulate_grad_batches=accumulated)
    node.update(by_batches if interval else {})
    short, full = lengths(node, [0.25, 1.0], 1)
    assert (full.share, dict(full.trainer)) == (1.0, {})
    assert short.share == pytest.approx(0.25, rel=0.2)
    total = short.trainer["max_steps"] * accumulated
    assert 0 <= total - total // short.trainer["val_check_interval"] * short.trainer["val_check_interval"] < accumulated
    assert total // short.trainer["val_check_interval"] == pytest.approx(steps // interval if interval else 10, rel=0.2)


def test_both_lengths_shrink_where_either_may_end_the_run():
    (length,) = lengths(trainer(max_epochs=20, max_steps=100), [0.25], 1)
    assert (length.trainer["max_epochs"], length.trainer["max_steps"]) == (5, 25)


def test_a_run_without_an_end_has_no_share():
    with pytest.raises(UserError, match=r"neither trainer.max_epochs nor trainer.max_steps; try trainer.max_epochs=30"):
        lengths(trainer(max_epochs=-1), [0.5], 1)


def test_scheduler_lengths_in_whole_numbers_shrink_and_shares_stay():
    assert of("scheduler.T_max=100").scheduler.T_max == 50
    assert of("scheduler.T_max=0.5").scheduler.T_max == 0.5
    assert of().scheduler.T_max is None
    assert of("scheduler=step", "scheduler.milestones=[10,0.5,40]").scheduler.milestones == [5, 0.5, 20]
    assert of("scheduler=plateau", "scheduler.patience=4").scheduler.patience == 2
    nested = of("scheduler=warmup_cosine", "scheduler.milestones=[10]", "scheduler.schedulers.0.total_iters=10")
    assert (nested.scheduler.milestones, nested.scheduler.schedulers[0].total_iters) == ([5], 5)
    assert nested.scheduler.schedulers[1].T_max is None
    assert of("+scheduler.last_epoch=-1").scheduler.last_epoch == -1  # no length


def test_the_backbones_warm_up_shrinks():
    assert of("mode=fine_tuning", "module.backbone_warmup_steps=100").module.backbone_warmup_steps == 50
    assert of("mode=fine_tuning").module.backbone_warmup_steps == 0


def test_a_length_that_is_the_trainers_shrinks_once():
    assert of("scheduler.T_max=${trainer.max_epochs}").scheduler.T_max == 2


def test_the_full_length_is_the_config_itself():
    cfg = composed("mode=gradual")
    assert shortened(cfg, lengths(cfg.trainer, [1.0], 1)[0]) is cfg


def test_the_models_that_weights_come_from_are_those_of_the_full_run():
    before = composed("mode=BnB", "weights=target", "weights.max_epochs=${trainer.max_epochs}", "scheduler.T_max=100")
    (length,) = lengths(before.trainer, [0.5], 1)
    after = shortened(before, length)
    assert (after.trainer.max_epochs, after.weights.max_epochs) == (2, 4)
    assert (after.scheduler.T_max, after.weights.scheduler.T_max) == (50, 100)
    with open_dict(after):
        after.optimizer.lr = 0.5
    assert after.weights.optimizer.lr == 0.5  # still the run's own


def test_the_schedule_of_stages_shrinks_where_the_mode_follows_it():
    parts = ("stage1", "stage2", "stage3", "stage4", "head")
    (first, *_) = schedule_of(of("mode=gradual", "trainer.max_epochs=8")).phases(parts)
    assert (first.epochs, first.fraction) == (None, 1 / 8)
    assert of("mode=fine_tuning").unfreeze == composed("mode=fine_tuning").unfreeze
    until = schedule_of(of("mode=gradual", "unfreeze=plateau"), monitor="val/map").phases(parts)[0].until
    assert until.monitor == "val/map"


def test_in_the_short_run_a_stage_of_the_schedule_still_stands_for_its_adapters():
    cfg = of("mode=gradual", "peft=lora", "trainer.max_epochs=8")
    opened = schedule_of(cfg, ("stage1", "stage2")).phases(("stage1", "stage2", "head"))[-1].trainable
    assert all("adapters" in name or name == "head" for name in opened)
    own = of("mode=gradual", "peft=lora", "unfreeze=sandwich", "trainer.max_epochs=8")
    assert schedule_of(own, ("stage1", "stage2")).phases(("stage1", "stage2", "head"))[-1].trainable == ("all",)
