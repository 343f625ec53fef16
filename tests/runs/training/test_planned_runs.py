"""The plan of a run and the run agree."""

import copy

import pytest
import torch

from composed import composed, trained
from headstart.cli import main


def test_the_command_prints_a_plan_and_writes_and_trains_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["task=plan", "mode=gradual", "unfreeze=chain_thaw", "backbone.width=4"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[:2] for line in out.splitlines() if line[:1].isdigit() and "%" in line] == [
        ["1", "head"], ["2", "stage1"], ["3", "stage2"], ["4", "stage3"], ["5", "stage4"], ["6", "all"],
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_schedule_for_another_model_is_an_error_of_the_command_that_lists_its_stages(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["task=plan", "unfreeze=sandwich", "backbone=resnet18"]) == 2
    assert "the parts are stem, layer1, layer2, layer3, layer4, head" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("mode", "trainable_parts"),
    [("scratch", 5), ("fine_tuning", 5), ("feature_extraction", 1)],
)
def test_modes_without_a_schedule_have_one_phase(mode, trainable_parts):
    from plans import plan

    (row,) = plan(cfg=composed(f"mode={mode}")).rows
    assert len(row.trainable) == trainable_parts
    assert row.ends.latest == (4, 16)


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer.accumulate_grad_batches=3"],
        ["trainer.limit_train_batches=0.5", "target.shots=9"],
        ["+trainer.max_steps=7", "trainer.limit_train_batches=3"],
        ["debug=fast"],
        ["target.shots=5", "target.batch_size=7"],  # 50 images: a last batch of one joins the one before
    ],
)
def test_a_run_has_as_many_steps_as_its_plan_says(overrides, tmp_path):
    from plans import plan

    want = plan(cfg=composed("mode=scratch", *overrides)).run.steps
    assert trained("mode=scratch", *overrides, folder=tmp_path / "run")["steps"] == want


@pytest.mark.slow
def test_the_plateaus_of_a_run_begin_with_the_validation_before_its_first_step(tmp_path, monkeypatch, caplog):
    """So two more that are no better end the first phase at epoch 2, as the plan's earliest moment says."""
    from plans import plan

    monkeypatch.chdir(tmp_path)
    overrides = [
        "mode=gradual", "unfreeze=plateau", "unfreeze.until.monitor=val/loss", "unfreeze.until.mode=min",
        "unfreeze.until.min_delta=100",
    ]  # fmt: skip
    second = plan(cfg=composed(*overrides)).rows[1]
    with caplog.at_level("INFO", logger="headstart.callbacks.training.unfreeze"):
        trained(*overrides, folder=tmp_path / "run")
    (said,) = [
        record.getMessage() for record in caplog.records if record.name == "headstart.callbacks.training.unfreeze"
    ]
    assert said.startswith("epoch {}, step {}: phase {}".format(*second.begins.earliest, second.phase.title))
    assert second.begins.earliest == (2, 8)


def test_several_processes_share_the_images_of_an_epoch():
    from plans import plan

    def steps(*overrides):
        cfg = composed("mode=scratch", "trainer=ddp_cpu", "target.batch_size=8", *overrides)
        return plan(cfg=cfg).run.steps_per_epoch

    assert steps() == 3  # 50 images: 16, 16, 16 and one for each, which joins the batch before: 3 whole ones
    assert steps("target.shots=6") == 4
    assert steps("trainer.devices=3") == 2
    assert steps("trainer.devices=3", "trainer.num_nodes=2") == 1


def test_the_plan_of_a_run_leaves_its_parts_and_the_rng_states_as_they_were():
    import random

    import numpy as np

    from headstart.runs.model_parts.assembly import assembled
    from headstart.runs.training.run_plan import run_plan, trainer_of_length

    cfg = composed("mode=gradual")
    parts = assembled(cfg)
    before = copy.deepcopy(parts.module.state_dict())
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    run_plan(parts, trainer_of_length(cfg.trainer), processes=1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in parts.module.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in parts.module.parameters())
    assert all(inner.training for inner in parts.module.modules())
    now = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(states[0], now[0])
    assert states[1:] == now[1:]


def test_a_further_job_measures_no_network_again_but_another_one_it_does(monkeypatch):
    from headstart.runs.model_parts.assembly import assembled
    from headstart.runs.training import run_plan as of_runs
    from headstart.runs.training.run_plan import trainer_of_length
    from headstart.unfreeze import plan_costing as module

    measured = []
    measure = module.step_cost  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "step_cost", lambda *given: measured.append(1) or measure(*given))
    monkeypatch.setattr(of_runs, "_COSTS", {})

    def plan(*overrides):
        cfg = composed("mode=feature_extraction", *overrides)
        return of_runs.run_plan(assembled(cfg), trainer_of_length(cfg.trainer), processes=1)

    first = plan()
    assert len(measured) == 2  # all, and the head alone
    assert plan("optimizer.lr=0.5").rows[0].backward == first.rows[0].backward
    assert len(measured) == 2
    assert plan("mode=gradual").flops == first.flops
    more = len(measured)
    assert more > 2  # what it opens
    wide = plan("backbone.width=20")
    assert len(measured) == more + 2
    monkeypatch.setattr(of_runs, "_COSTS", {})
    assert plan("backbone.width=20") == wide
