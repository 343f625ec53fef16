"""A range test trains a copy: its curve is the losses of rising rates, and the run after it is as without it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from composed import TINY, composed, trained
from headstart.cli import main
from headstart.recipes.rate_range_sweep import RangeTestSettings, rate_sweeps
from headstart.runs.weights import source_model

SMALL = [*TINY, "task=find_lr", "mode=feature_extraction", "find_lr.steps=60"]
SETTINGS = RangeTestSettings(lowest=1e-6, highest=1.0, steps=30, smoothing=0.9, stop_above=4.0, phase=1, processes=1)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, sources):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(source_model, "SOURCES", sources)


def result_of():
    (path,) = Path("outputs", "find_lr").glob("*/*/result.json")
    return path.parent, json.loads(path.read_text())


def sweeps(*overrides, by_part=False, **changed):
    settings = RangeTestSettings(**{**SETTINGS.__dict__, **changed})
    return rate_sweeps(composed(*overrides, "logger=csv"), Path("sweep"), settings, by_part=by_part, run_hash="0")


def test_the_task_leaves_its_curve_picture_and_result_in_a_folder_apart_from_fits(capfd):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert main(SMALL) == 0
    folder, result = result_of()
    sweep = result["sweeps"]["all"]
    assert sweep["parts"] == ["head"]
    assert list(result["sweeps"]) == ["all"]
    assert len(sweep["rates"]) == len(sweep["losses"]) <= 60
    assert np.diff(np.log(sweep["rates"])) == pytest.approx(np.log(1e8) / 59)
    assert (folder / "curve.png").stat().st_size > 5000
    assert not (folder / "checkpoints").exists()
    events = EventAccumulator(str(folder))
    events.Reload()
    assert events.Tags()["images"] == ["find_lr/curve"]
    said = capfd.readouterr().out
    assert result["metrics"]["lr"] == sweep["suggestion"]["valley"]
    assert f"optimizer.lr={result['metrics']['lr']:.2g}" in said
    assert main(SMALL) == 0
    assert capfd.readouterr().out == said, "a finished one is shown again"


@pytest.mark.parametrize("mode", ["fine_tuning", pytest.param("feature_extraction", marks=pytest.mark.slow)])
def test_the_run_after_a_range_test_is_bit_for_bit_the_run_without_it(mode):
    torch.manual_seed(5)
    trained(f"mode={mode}", "trainer.max_epochs=2", folder=Path("without"))
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    sweeps(f"mode={mode}")
    assert torch.equal(torch.random.get_rng_state(), before)
    trained(f"mode={mode}", "trainer.max_epochs=2", folder=Path("after"))
    without, after = (
        torch.load(Path(name, "checkpoints", "last.ckpt"), weights_only=True)["state_dict"]
        for name in ("without", "after")
    )
    assert all(torch.equal(after[name], tensor) for name, tensor in without.items())
    assert Path("without", "metrics.csv").read_bytes() == Path("after", "metrics.csv").read_bytes()


def test_losses_are_those_of_a_loop_written_out():
    """SGD from scratch, the rates set by hand in plain torch."""
    from headstart.runs.training.prepared_run import prepared_run

    overrides = ["mode=scratch", "optimizer=sgd", "module.stage_decay=0.5", "feature_cache=off", "logger=csv"]
    found = sweeps(*overrides, smoothing=0.9)["all"]
    run = prepared_run(composed(*overrides), Path("other"), run_hash="0")
    module, data = run.assembly.module, run.assembly.data
    assert len(module.stages) == 5
    groups = [
        {"params": list(stage.parameters()), "share": 0.5 ** (4 - depth)}
        for depth, stage in enumerate(module.stages.values())
    ]
    node = composed(*overrides).optimizer
    optimizer = torch.optim.SGD(groups, lr=1.0, momentum=node.momentum, nesterov=node.get("nesterov", False))
    module.train()
    losses, mean, smoothed = [], 0.0, []
    loader = data.train_dataloader()
    epoch = 0
    while len(losses) < 12:
        loader.batch_sampler.sampler.set_epoch(epoch)
        for batch in loader:
            for group in optimizer.param_groups:
                group["lr"] = found.rates[len(losses)] * group["share"]
            loss = torch.nn.functional.cross_entropy(module(batch.image), batch.label)
            losses.append(loss.item())
            mean = 0.9 * mean + 0.1 * losses[-1]
            smoothed.append(mean / (1 - 0.9 ** len(losses)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epoch += 1
    assert found.losses[:12] == pytest.approx(losses[:12], rel=1e-4)
    assert found.smoothed[:12] == pytest.approx(smoothed[:12], rel=1e-4)


def test_a_loss_that_is_not_finite_ends_the_sweep():
    found = sweeps("mode=scratch", "optimizer=sgd", highest=1e30, stop_above=1e300, steps=60)["all"]
    assert found.ended == "the loss was not finite"
    assert len(found.losses) < 60
    assert np.isfinite(found.losses[:-1]).all()
    assert np.isfinite(found.smoothed).all()


def test_a_loss_that_rises_ends_the_sweep():
    found = sweeps("mode=scratch", "optimizer=sgd", highest=1e4, stop_above=1.5, smoothing=0.5)["all"]
    assert found.ended == "the loss rose"
    assert found.smoothed[-1] > 1.5 * min(found.smoothed)
    assert all(value <= 1.5 * min(found.smoothed[: place + 1]) for place, value in enumerate(found.smoothed[:-1]))


@pytest.mark.slow
def test_each_part_has_a_sweep_of_its_own_in_which_no_other_learns():
    found = sweeps("mode=scratch", by_part=True, steps=20, highest=1e-2)
    assert list(found) == ["all", "stage1", "stage2", "stage3", "stage4", "head"]
    first = {sweep.losses[0] for sweep in found.values()}
    assert len(first) == 1, "all begin with the same model and the same images"
    assert found["stage1"].losses[-1] != found["stage2"].losses[-1]


@pytest.mark.parametrize(
    ("mode", "parts"),
    [
        ("scratch", ("stage1", "stage2", "stage3", "stage4", "head")),
        ("feature_extraction", ("head",)),
        ("gradual", ("head",)),
        pytest.param("bias_only", ("stage1", "stage2", "stage3", "stage4", "head"), marks=pytest.mark.slow),
        pytest.param("norm_only", ("stage1", "stage2", "stage3", "stage4", "head"), marks=pytest.mark.slow),
        pytest.param("multi_task", ("stage1", "stage2", "stage3", "stage4", "head"), marks=pytest.mark.slow),
        pytest.param("adapters", ("stage1", "stage2", "stage3", "stage4", "head"), marks=pytest.mark.slow),
    ],
)
def test_what_learns_is_what_the_mode_trains(mode, parts):
    assert sweeps(f"mode={mode}", steps=20)["all"].parts == parts


def test_a_later_phase_of_the_schedule_can_be_tried():
    assert sweeps("mode=gradual", phase=3, steps=20)["all"].parts == ("stage3", "stage4", "head")


def test_a_step_of_accumulated_batches_is_one_of_a_large_batch():
    whole = sweeps("mode=scratch", "target.batch_size=32", steps=20)["all"]
    halves = sweeps("mode=scratch", "target.batch_size=16", "trainer.accumulate_grad_batches=2", steps=20)["all"]
    assert len(halves.losses) == len(whole.losses)
    assert halves.losses[0] == pytest.approx(whole.losses[0], rel=0.2)  # norms differ: each half has its statistics


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["find_lr.min_lr=1", "find_lr.max_lr=0.1"], "find_lr.min_lr must be below find_lr.max_lr, got 1 and 0.1"),
        (["mode=gradual", "find_lr.phase=9"], "find_lr.phase must be 1 to 5"),
        (["recipe=bit"], "recipe= sets the learning rate itself"),
    ],
)
def test_what_cannot_be_is_one_line(overrides, said, capfd):
    assert main([*SMALL, *overrides]) == 2
    assert said in capfd.readouterr().err
