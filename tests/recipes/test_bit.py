"""experiment=bit does what BiT-HyperRule says, and keeps it as plain numbers."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf, open_dict
from PIL import Image

from composed import composed
from headstart.cli import main
from headstart.data.decoding.median_size import median_side
from headstart.recipes import bit
from headstart.recipes.bit import BitValues, bit_values
from headstart.recipes.recipe_values import with_recipes
from headstart.types import UserError
from killed import command, said

TINY = [
    "experiment=bit", "mode=scratch", "backbone.width=4", "backbone.size=32", "trainer.accelerator=cpu",
    "callbacks.figures=null", "logger=csv",
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_numbers_at_the_borders_are_those_of_the_paper():
    small = BitValues(512, 480, 100, (200, 300, 400), 500, mixes=False)
    medium = BitValues(512, 480, 500, (3000, 6000, 9000), 10_000, mixes=True)
    large = BitValues(512, 480, 500, (6000, 12_000, 18_000), 20_000, mixes=True)
    for images, want in ((1, small), (19_999, small), (20_000, medium), (499_999, medium), (500_000, large)):
        assert bit_values(images, 224) == want, images
    sizes = [(bit_values(1, side).resize, bit_values(1, side).crop) for side in (32, 95.99, 96)]
    assert sizes == [(160, 128), (160, 128), (512, 480)]


def values(*overrides, processes=1, counted=(50, 32), monkeypatch, mix=True):
    monkeypatch.setattr(bit, "_counted", lambda *_: counted)
    cfg = composed("experiment=bit", *overrides)
    if not mix:  # a module of one's own need not have it
        with open_dict(cfg):
            del cfg.module["mix"]
    return with_recipes(cfg, processes=processes)


def test_a_large_data_set_gets_the_long_schedule_and_the_large_size(monkeypatch):
    cfg = values(counted=(20_000, 96), monkeypatch=monkeypatch)
    assert (cfg.trainer.max_steps, cfg.trainer.max_epochs, cfg.trainer.val_check_interval) == (10_000, -1, 500)
    assert (cfg.scheduler.warmup_steps, list(cfg.scheduler.milestones)) == (500, [3000, 6000, 9000])
    assert cfg.backbone.size == 480
    assert list(cfg.target.augment.steps.crop.scale) == [0.8789, 0.8789]  # (480 / 512)^2
    assert dict(cfg.module.mix) == {"_target_": "headstart.data.transforms.mix.mixup.MixUp", "alpha": 0.1, "prob": 1.0}
    assert "recipe" not in cfg
    o = cfg.optimizer
    assert (o._target_, o.lr, o.momentum, o.nesterov, o.weight_decay) == ("torch.optim.SGD", 0.003, 0.9, False, 0)


def test_a_small_one_mixes_nothing(monkeypatch):
    cfg = values(monkeypatch=monkeypatch)
    assert cfg.module.mix is None
    assert cfg.backbone.size == 128
    assert list(cfg.target.augment.steps.crop.scale) == [0.64, 0.64]  # (128 / 160)^2


def test_that_images_are_not_mixed_where_they_should_be_is_said(monkeypatch, caplog):
    values(counted=(20_000, 32), monkeypatch=monkeypatch, mix=False)
    assert "the recipe mixes so many images (MixUp, alpha 0.1), which this module cannot" in caplog.text


@pytest.mark.parametrize(("processes", "accumulated", "each"), [(1, 1, 512), (2, 1, 256), (2, 8, 32), (512, 1, 1)])
def test_an_optimizer_step_sees_512_images_however_they_are_shared_out(processes, accumulated, each, monkeypatch):
    given = [f"trainer.accumulate_grad_batches={accumulated}"]
    cfg = values(*given, processes=processes, counted=(5120, 32), monkeypatch=monkeypatch)  # 10 steps an epoch
    assert cfg.target.batch_size == each
    assert cfg.trainer.val_check_interval == 25 * accumulated  # Lightning counts batches
    assert cfg.trainer.max_steps == 500  # and steps


def test_where_all_images_are_less_than_a_batch_validation_is_as_often(monkeypatch):
    cfg = values("trainer.accumulate_grad_batches=16", counted=(12, 32), monkeypatch=monkeypatch)
    assert (cfg.target.batch_size, cfg.trainer.val_check_interval) == (32, 25)  # one batch an epoch, and one step
    cfg = values("trainer.accumulate_grad_batches=16", counted=(600, 32), monkeypatch=monkeypatch)
    assert cfg.trainer.val_check_interval == 237  # 19 batches and 2 steps an epoch: 4750 batches over 20


def test_a_batch_that_cannot_be_shared_out_is_an_error(monkeypatch):
    with pytest.raises(UserError, match=r"must be a multiple of 3 .*; try recipe.batch_size=510"):
        values(processes=3, monkeypatch=monkeypatch)


def test_a_config_without_a_recipe_is_left_alone():
    cfg = composed()
    assert with_recipes(cfg, processes=1) is cfg


def folder_of_images(side):
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for number in range(6):
            path = Path("photos", label, f"{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (side // 2, 2 * side, 3), np.uint8)).save(path)


@pytest.mark.parametrize(("side", "crop"), [(90, 128), (96, 480)])
def test_files_are_counted_and_measured_before_they_are_resized(side, crop):
    folder_of_images(side)
    cfg = composed("experiment=bit", "data@target=image_folder", "target.root=photos")
    plain = with_recipes(cfg, processes=1)
    assert (plain.backbone.size, plain.target.resize) == (crop, crop)  # half as high, twice as wide: the same area
    assert with_recipes(composed("experiment=bit", "recipe.image_side=200"), processes=1).backbone.size == 480


def test_images_in_memory_are_measured_as_they_are_stored():
    class Split:
        label = np.zeros(3)

        def at(self, positions):
            return torch.zeros(len(positions), 20, 45)

    assert median_side(Split()) == 30


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def run_of(place, name="bit"):
    (found,) = [path.parent for path in place.glob(f"outputs/{name}/*/.hydra")]
    return found


@pytest.mark.slow
def test_a_run_a_50th_as_long_takes_10_steps_at_the_recipes_rates_and_its_folder_holds_plain_numbers(tmp_path, capsys):
    assert main([*TINY, "recipe.step_scale=0.02", "recipe.validations=5"]) == 0
    folder = run_of(tmp_path)
    result = json.loads((folder / "result.json").read_text())
    assert (result["steps"], result["examples"]) == (10, 500)  # 50 images: each step sees them all
    assert [one["step"] for one in result["evaluations"]] == [0, 2, 4, 6, 8, 10]
    seen = {int(row["step"]): float(row["lr/head"]) for row in rows(folder) if row["lr/head"]}
    by_hand = [0, 1.5e-3, 3e-3, 3e-3, 3e-4, 3e-4, 3e-5, 3e-5, 3e-6, 3e-6]  # 2 to warm up, milestones 4, 6, 8
    assert [seen[step] for step in range(10)] == pytest.approx(by_hand)
    cfg = OmegaConf.load(folder / ".hydra" / "config.yaml")
    assert "recipe" not in cfg
    assert (cfg.trainer.max_steps, cfg.target.batch_size, list(cfg.scheduler.milestones)) == (10, 512, [4, 6, 8])
    assert cfg.backbone.size == 32  # the command line's
    assert OmegaConf.to_container(cfg, resolve=False)["run_dir"] == "${hydra:runtime.output_dir}"
    assert main(["task=evaluate", f"evaluate.run_dir={folder}", "evaluate.split=val"]) == 0
    assert main([*TINY, "recipe.step_scale=0.02", "recipe.validations=5"]) == 0
    assert "is finished" in (folder / "headstart.log").read_text()


def test_the_plan_is_that_of_the_run(capsys):
    assert main(["task=plan", *TINY, "recipe.step_scale=0.02"]) == 0
    assert "10" in capsys.readouterr().out
    plan = main(["task=plan", *TINY, "recipe.step_scale=0.02", "+trainer.max_steps=7"])
    assert plan == 0
    assert "7 steps" in capsys.readouterr().out


def test_the_choice_of_a_group_leaves_the_recipe_its_values_and_a_value_of_ones_own_does_not(capsys):
    tiny = [one for one in TINY if one != "backbone.size=32"]
    command = ["task=plan", *tiny, "backbone=small_cnn", "trainer=cpu", "recipe.step_scale=0.02"]
    assert main(command) == 0
    told = capsys.readouterr().err
    assert "trainer.max_steps=10" in told
    assert "backbone.size=128" in told
    assert "scheduler.milestones=[4,6,8]" in told
    assert (
        main([*command, "scheduler=cosine", "scheduler.eta_min=1e-5", "target.batch_size=7", "backbone.size=16"]) == 0
    )
    told = capsys.readouterr().err
    assert "scheduler." not in told
    assert "left as the command line says: target.batch_size, backbone.size" in told


@pytest.mark.slow
def test_a_run_that_was_killed_inside_an_epoch_ends_with_the_weights_of_one_that_was_not(tmp_path):
    # 200 images in batches of 64 are 4 steps an epoch; validation every 5 steps, mostly inside of one
    run = [
        *TINY, "target.shots=20", "recipe.batch_size=64", "recipe.step_scale=0.04", "recipe.validations=4",
        "callbacks.checkpoint.min_interval_s=0", "callbacks.checkpoint.every_steps=1", "augment@target.augment=flip",
        "+callbacks.stop._target_=resume_plugins.Stop",
    ]  # fmt: skip
    places = [tmp_path / name for name in ("place1", "place2")]
    for place in places:
        place.mkdir()
    whole, killed = places
    assert command(whole, *run) == 0, said(whole)
    command(killed, *run, stop=("on_train_batch_start", 14))
    assert not (run_of(killed) / "result.json").exists()
    assert command(killed, f"resume={run_of(killed)}") == 0, said(killed)
    results = [json.loads((run_of(place) / "result.json").read_text()) for place in places]
    assert results[0]["steps"] == results[1]["steps"] == 20
    assert [one["step"] for one in results[1]["evaluations"]] == [0, 5, 10, 15, 20]
    assert results[0]["weights_hash"] == results[1]["weights_hash"]
    assert (run_of(whole) / "metrics.csv").read_text() == (run_of(killed) / "metrics.csv").read_text()


@pytest.mark.slow
def test_two_processes_share_the_recipes_batch(tmp_path):
    assert main([*TINY, "recipe.step_scale=0.02", "recipe.validations=5", "trainer=ddp_cpu"]) == 0
    folder = run_of(tmp_path)
    result = json.loads((folder / "result.json").read_text())
    assert (result["steps"], result["processes"], result["examples"]) == (10, 2, 500)
    assert OmegaConf.load(folder / ".hydra" / "config.yaml").target.batch_size == 256


def test_what_the_recipe_cannot_take_is_one_line(capsys):
    assert main([*TINY, "recipe.step_scale=0"]) == 2
    assert "recipe.step_scale must be" in capsys.readouterr().err
    assert main([*TINY, "recipe.batch_size=510", "trainer.accumulate_grad_batches=4"]) == 2
    assert "recipe.batch_size must be a multiple of 4" in capsys.readouterr().err
