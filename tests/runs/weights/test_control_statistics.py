"""BatchNorm statistics of a control: measured on training images, whatever trains."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from composed import TINY, composed, trained
from control_cases import FIRST, SHORT, state_of
from headstart.cli import main
from headstart.runs.folder.run_naming import is_control
from headstart.runs.model_parts.assembly import assembled
from headstart.runs.weights.control_weights import measured_statistics
from headstart.runs.weights.starting_weights import weights_of
from killed import command, said


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows(folder):
    with (Path(folder) / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def begun(*overrides):
    """The parts of a run as training would begin with them."""
    cfg = composed(*overrides)
    torch.manual_seed(cfg.seed)
    parts = assembled(cfg, weights=weights_of(cfg))
    parts.data.setup("fit")
    if is_control(cfg):
        with measured_statistics(parts, parts.data, cfg.trainer):
            pass
    return parts


def norms(parts):
    """Of each stage of small_cnn, the norm and what its convolution gives it."""
    return {
        name: next(m for m in stage if isinstance(m, nn.BatchNorm2d)) for name, stage in parts.backbone.stages.items()
    }


def test_the_statistics_of_frozen_norms_are_the_moments_of_the_training_images_at_every_depth():
    parts = begun("mode=feature_extraction", "control=true", "target.shots=3", "target.batch_size=7")
    x = torch.cat([batch.image for batch in parts.data.plain_dataloader("train")])
    assert len(x) == 30
    x = parts.backbone.entering(x)
    with torch.no_grad():
        for stage in parts.backbone.stages.values():
            convolution, norm, *rest = stage
            x = convolution(x)
            values = np.moveaxis(x.numpy().astype(np.float64), 1, 0).reshape(x.shape[1], -1)
            np.testing.assert_allclose(norm.running_mean, values.mean(axis=1), rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(norm.running_var, values.var(axis=1, ddof=1), rtol=1e-3)
            x = norm.train()(x)
            for layer in rest:
                x = layer(x)


def test_statistics_depend_on_neither_batch_size_nor_augmentation_nor_draw_a_number():
    begun("mode=scratch")
    drawn = torch.rand(1)
    one = begun("mode=feature_extraction", "control=true", "target.batch_size=7", "augment@target.augment=affine")
    assert torch.rand(1) == drawn
    other = begun("mode=feature_extraction", "control=true", "target.batch_size=32")
    for name, norm in norms(one).items():
        assert torch.equal(norm.running_mean, norms(other)[name].running_mean)
        assert torch.equal(norm.running_var, norms(other)[name].running_var)


MANY = ["target.per_class=110", "target.val_per_class=1", "target.test_per_class=1"]


def test_of_many_images_the_first_1024_count_each_class_alike(monkeypatch):
    seen = []
    parts = begun("mode=feature_extraction", "control=true", "data@target=printed", "target.characters=digits", *MANY)
    monkeypatch.setattr(type(parts.backbone), "forward", lambda _, x: seen.append(x))
    cfg = composed("mode=feature_extraction")
    with measured_statistics(parts, parts.data, cfg.trainer):
        pass
    first = torch.cat(seen)
    assert len(first) == 1024
    assert max(map(len, seen)) - min(map(len, seen)) <= 1
    everything = torch.cat([batch.image for batch in parts.data.plain_dataloader("train")])
    assert torch.equal(first, everything[:1024])
    label = torch.cat([batch.label for batch in parts.data.plain_dataloader("train")])[:1024]
    counts = torch.bincount(label)
    assert counts.max() - counts.min() <= 1


class Hidden:
    """Training images whose labels nobody may read."""

    def __init__(self, data):
        self.data = data

    def plain_dataloader(self, split):
        assert split == "train"
        torch.rand(1)  # as a loader with chance of its own
        for batch in self.data.plain_dataloader(split):
            yield type("Unlabelled", (), {"image": batch.image})


def test_statistics_need_no_label_and_leave_chance_as_it_was():
    parts = begun("mode=feature_extraction", "target.shots=2", "control=true")
    want = {name: norm.running_var.clone() for name, norm in norms(parts).items()}
    for norm in norms(parts).values():
        norm.reset_running_stats()
    state = torch.get_rng_state()
    with measured_statistics(parts, Hidden(parts.data), composed().trainer):
        pass
    assert all(torch.equal(norm.running_var, want[name]) for name, norm in norms(parts).items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("overrides", "measured"),
    [
        (["mode=feature_extraction"], {1, 2, 3, 4}),
        (["mode=fine_tuning"], set()),
        (["mode=gradual", "unfreeze.first_epoch=1"], {1, 2, 3, 4}),
        (["mode=AnB", "weights.reset_from=2"], {1, 2}),
        (["mode=AnB+", "weights.reset_from=2"], set()),
        (["mode=bias_only"], {1, 2, 3, 4}),
        (["mode=norm_only"], set()),
        (["mode=adapters"], {1, 2, 3, 4}),
        (["mode=gradual", "unfreeze=sandwich", "unfreeze.phases=[{name: ends, trainable: [stage1, head]}]"], {2, 3, 4}),
    ],
)
def test_what_stays_closed_in_the_first_phase_is_measured_and_what_trains_begins_as_it_was_made(overrides, measured):
    parts = begun(*overrides, "control=true", "target.shots=1")
    fresh = {}
    for number, stage in enumerate(parts.backbone.stages.values(), start=1):
        norm = next(m for m in stage.modules() if isinstance(m, nn.BatchNorm2d))
        fresh[number] = bool((norm.running_mean == 0).all() and (norm.running_var == 1).all())
    assert {number for number, is_fresh in fresh.items() if not is_fresh} == measured
    assert all(module.training for module in parts.module.modules())
    assert all(parameter.grad is None for parameter in parts.module.parameters())


def test_a_run_that_is_no_control_has_the_statistics_of_its_weights(tmp_path):
    trained("mode=feature_extraction", *FIRST, folder=tmp_path / "run")
    cfg = composed("mode=feature_extraction")
    source = weights_of(cfg).backbone
    kept = state_of(tmp_path / "run")
    assert torch.equal(kept["backbone.stages.stage1.1.running_mean"], source["stages.stage1.1.running_mean"])


def test_step_0_the_store_and_every_later_step_have_the_measured_statistics(tmp_path):
    """With a store and without one a run measures the same, at step 0 too, and they do not move."""
    plain = ["mode=feature_extraction", "control=true", *SHORT]
    trained(*plain, "feature_cache=off", folder=tmp_path / "live")
    trained(*plain, folder=tmp_path / "stored")
    one, other = rows(tmp_path / "live"), rows(tmp_path / "stored")
    for name in ("val/accuracy", "val/loss"):
        found = [[float(row[name]) for row in lines if row.get(name)] for lines in (one, other)]
        assert len(found[0]) == 3
        assert found[0] == pytest.approx(found[1], abs=1e-5)
    want = norms(begun(*plain))
    for folder in ("live", "stored"):
        kept = state_of(tmp_path / folder)
        for name, norm in want.items():
            assert torch.equal(kept[f"backbone.stages.{name}.1.running_var"], norm.running_var)


@pytest.mark.slow
def test_a_killed_control_goes_on_with_the_statistics_that_it_had(tmp_path):
    run = [*TINY, "mode=gradual", "control=true", "unfreeze.first_epoch=1", "target.batch_size=16", *SHORT]
    run += ["callbacks.checkpoint.every_steps=1", "callbacks.checkpoint.min_interval_s=0"]
    run += ["+callbacks.stop._target_=resume_plugins.Stop"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    assert command(whole, *run) == 0, said(whole)
    assert command(broken, *run, stop=("on_train_batch_start", 2)) == -9
    assert command(broken, *run, "resume=auto") == 0, said(broken)
    assert "going on from" in said(broken)
    assert "BatchNorm statistics" not in said(broken)
    one, other = (next(folder.glob("outputs/runs/*/metrics.csv")).parent for folder in (whole, broken))
    assert one.name == other.name
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    hashes = [json.loads((folder / "result.json").read_text())["weights_hash"] for folder in (one, other)]
    assert hashes[0] == hashes[1]


@pytest.mark.slow
def test_two_ranks_have_the_statistics_of_one_process():
    run = [*TINY, "mode=feature_extraction", "control=true", "trainer=ddp_cpu", *FIRST]
    assert main(run) == 0
    (folder,) = Path("outputs/runs").glob("*-*")
    kept = state_of(folder)
    for name, norm in norms(begun("mode=feature_extraction", "control=true")).items():
        assert torch.equal(kept[f"backbone.stages.{name}.1.running_var"], norm.running_var)


def test_delta_compares_with_a_random_network_that_has_statistics_though_all_stages_learn(tmp_path):
    overrides = ["mode=fine_tuning", "control=true", "regularizer=delta", "regularizer.attention_images=0"]
    trained(*overrides, "optimizer.lr=1e-30", *FIRST, folder=tmp_path / "run")
    kept = state_of(tmp_path / "run")
    frozen = norms(begun("mode=feature_extraction", "control=true"))
    assert kept["regularizer.compared"][:-1].all()
    for name, norm in frozen.items():
        assert torch.equal(kept[f"regularizer.source.copy:{name}.1.running_var"], norm.running_var)
    trained("mode=scratch", "optimizer.lr=1e-30", *FIRST, folder=tmp_path / "scratch")
    for name, tensor in state_of(tmp_path / "scratch").items():  # the model itself begins as it was made
        assert "running" not in name or torch.equal(kept[name], tensor), name
