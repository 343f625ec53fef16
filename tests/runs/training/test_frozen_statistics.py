"""BatchNorm with frozen statistics in whole runs: from the source, from random weights, averaged, adapted, resumed."""

import pytest
import torch
from omegaconf import open_dict

from composed import TINY, composed, figures, trained
from control_cases import FIRST, state_of
from headstart.runs.folder.run_naming import config_hash, register
from headstart.runs.model_parts.assembly import schedule_of
from headstart.types import UserError
from killed import command, said
from same_run import assert_same, run_of

FROZEN = "module.batch_norm=statistics_frozen"
POLICIES = ("learning", "statistics_frozen", "all_frozen")
SHORT = ["trainer.max_epochs=2", "trainer.limit_val_batches=3"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def statistics(state):
    return {name: tensor for name, tensor in state.items() if "running_" in name or "num_batches" in name}


def source_of(folder):
    """The state of the source model that was trained in the folder."""
    (path,) = folder.glob("outputs/source/*/checkpoints/best.ckpt")
    return torch.load(path, weights_only=True)["state_dict"]


def test_at_rate_0_val_stays_as_at_the_start_with_frozen_statistics_and_only_then(tmp_path):
    losses = {}
    for policy in ("learning", "statistics_frozen"):
        overrides = ["mode=fine_tuning", "optimizer.lr=0", f"module.batch_norm={policy}", *SHORT]
        trained(*overrides, folder=tmp_path / policy)
        losses[policy] = [row["val/loss"] for row in figures(tmp_path / policy) if "val/loss" in row]
    assert len(losses["learning"]) == 3
    assert len(set(losses["statistics_frozen"])) == 1
    assert len(set(losses["learning"])) == 3


def test_the_tested_model_has_the_sources_statistics_and_other_weights_with_an_average_too(tmp_path):
    trained("mode=gradual", "callbacks=ema", FROZEN, "unfreeze.every_epochs=0", *SHORT, folder=tmp_path / "run")
    source, tested = source_of(tmp_path), state_of(tmp_path / "run")
    of_source = statistics(source)
    assert len(of_source) == 12  # three of each of four norms
    for name, tensor in tested.items():
        if name.startswith("backbone."):
            assert torch.equal(tensor, source[name]) == (name in of_source), name


def test_adabn_replaces_frozen_statistics_when_training_is_over(tmp_path):
    run = ["mode=fine_tuning", "adaptation=adabn", "source.characters=digits", FROZEN, "trainer.max_epochs=1"]
    trained(*run, "target.shots=null", "trainer.limit_train_batches=2", folder=tmp_path / "run")
    source = source_of(tmp_path)
    states = [state_of(tmp_path / "run", name) for name in ("last.ckpt", "best.ckpt")]
    for name, tensor in statistics(source).items():
        during, after = (state[name] for state in states)
        assert torch.equal(during, tensor), name
        assert torch.equal(after, tensor) == name.endswith("num_batches_tracked"), name


def test_from_scratch_and_in_stages_that_begin_anew_statistics_learn_whatever_the_setting_says(tmp_path):
    trained("mode=scratch", FROZEN, *FIRST, folder=tmp_path / "scratch")
    assert all(tensor.any() for name, tensor in state_of(tmp_path / "scratch").items() if "running_mean" in name)
    trained("mode=fine_tuning", FROZEN, "weights.reset_from=2", *FIRST, folder=tmp_path / "half")
    source, half = source_of(tmp_path), state_of(tmp_path / "half")
    for name, tensor in statistics(source).items():
        assert torch.equal(half[name], tensor) == name.startswith(("backbone.stages.stage1", "backbone.stages.stage2"))


def test_a_control_keeps_the_statistics_that_were_measured_before_its_first_step(tmp_path):
    run = ["mode=fine_tuning", "control=true", FROZEN, *FIRST]
    still, moved = tmp_path / "still", tmp_path / "moved"
    trained(*run, "optimizer.lr=0", folder=still)
    trained(*run, folder=moved)
    before, after = state_of(still), state_of(moved)
    for name, tensor in statistics(before).items():
        assert torch.equal(after[name], tensor), name
        assert "running_mean" not in name or tensor.any(), name
    assert not torch.equal(before["backbone.stages.stage1.0.weight"], after["backbone.stages.stage1.0.weight"])


@pytest.mark.slow
def test_killed_and_resumed_it_is_the_uninterrupted_run(tmp_path):
    run = [*TINY, "mode=gradual", "control=true", FROZEN, "unfreeze.every_epochs=1", "callbacks.figures=null"]
    run += ["callbacks.checkpoint.every_steps=3", "callbacks.checkpoint.min_interval_s=0", *SHORT]
    run += ["trainer.max_epochs=3", "+callbacks.stop._target_=resume_plugins.Stop"]
    places = [tmp_path / name for name in ("uninterrupted", "interrupted")]
    for place in places:
        place.mkdir()
    assert command(places[0], *run) == 0, said(places[0])
    assert command(places[1], *run, stop=("on_train_batch_end", 7)) == -9
    assert command(places[1], *run, "resume=auto") == 0, said(places[1])
    assert "going on from" in said(places[1])
    assert_same(run_of(places[1]), run_of(places[0]))


def test_a_run_has_the_hash_of_before_there_was_a_choice_and_scratch_has_none():
    register()
    fine_tuning = composed("mode=fine_tuning", "module.batch_norm=learning")
    hashes = {policy: config_hash(composed("mode=fine_tuning", f"module.batch_norm={policy}")) for policy in POLICIES}
    assert len(set(hashes.values())) == 3
    with open_dict(fine_tuning):
        del fine_tuning.module["batch_norm"]
    assert config_hash(fine_tuning) == hashes["learning"]
    of_scratch = {config_hash(composed("mode=scratch", f"module.batch_norm={policy}")) for policy in POLICIES}
    assert len(of_scratch) == 1


def test_a_mode_that_trains_norms_alone_refuses_to_freeze_them():
    with pytest.raises(UserError, match=r"mode=norm_only trains norms.*try module\.batch_norm=learning"):
        schedule_of(composed("mode=norm_only", "module.batch_norm=all_frozen"))
