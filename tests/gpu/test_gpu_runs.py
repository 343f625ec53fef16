"""A run on a GPU is the run on the CPU, up to rounding, in all modes, precisions and strategies."""

import json
import math
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from composed import TINY, figures, trained
from headstart.cli import main
from headstart.features.cache import cache_shards

pytestmark = pytest.mark.gpu
MODES = (
    "scratch", "feature_extraction", "fine_tuning", "gradual", "bias_only", "norm_only", "lora", "adapters",
    "multi_task", "AnB", "AnB+",
)  # fmt: skip
OF_MODE = {"AnB": ["weights.reset_from=2"], "AnB+": ["weights.reset_from=2"], "lora": ["optimizer.lr=1e-3"]}
SHORT = ["trainer.max_epochs=2", "weights.max_epochs=1"]
COMMAND = [
    *(setting for setting in TINY if not setting.startswith(("trainer.", "weights.max_epochs"))), *SHORT, "logger=csv",
]  # fmt: skip


def on(accelerator, *overrides, folder):
    return trained(*SHORT, *overrides, f"trainer.accelerator={accelerator}", folder=folder)


def by_command(*overrides):
    """The result of the only run of a command in this working folder."""
    assert main([*COMMAND, *overrides]) == 0
    (file,) = [path for path in Path("outputs").glob("*/*/result.json") if path.parts[1] != "source"]
    return json.loads(file.read_text())


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_begins_and_learns_as_on_the_cpu(mode, accelerator, here):
    if mode == "lora" and find_spec("peft") is None:
        pytest.skip("peft is not installed")
    settings = [f"mode={mode}", *OF_MODE.get(mode, [])]
    result = on(accelerator, *settings, folder=here / "there")
    rows = figures(here / "there")
    on("cpu", *settings, folder=here / "cpu")
    expected = figures(here / "cpu")
    losses = [[row["val/loss"] for row in each if "val/loss" in row] for each in (rows, expected)]
    assert len(losses[0]) == len(losses[1]) == 3
    assert losses[0][0] == pytest.approx(losses[1][0], rel=0.02)  # TF32 has 10 bits
    assert losses[0][-1] == pytest.approx(losses[1][-1], rel=0.1, abs=0.05)
    assert result["state"] == "finished"


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_half_the_bits_train_to_about_the_same_loss(precision, accelerator, here):
    if precision == "16-mixed" and accelerator == "cpu":
        pytest.skip("float16 is for GPUs")
    on(accelerator, "mode=fine_tuning", f"trainer.precision={precision}", folder=here / "half")
    on(accelerator, "mode=fine_tuning", folder=here / "whole")
    last = [[row["val/loss"] for row in figures(here / name) if "val/loss" in row][-1] for name in ("half", "whole")]
    assert last[0] == pytest.approx(last[1], rel=0.1, abs=0.1)


def test_compiled_stages_give_the_same_losses(accelerator, here):
    on(accelerator, "mode=fine_tuning", "compile=true", folder=here / "compiled")
    on(accelerator, "mode=fine_tuning", folder=here / "plain")
    for got, expected in zip(figures(here / "compiled"), figures(here / "plain"), strict=True):
        if "val/loss" in got:
            assert got["val/loss"] == pytest.approx(expected["val/loss"], rel=0.02)


def test_stored_features_train_a_head_as_images_do_and_each_image_passes_once(accelerator, here):
    stored = on(accelerator, "mode=feature_extraction", folder=here / "stored")
    on(accelerator, "mode=feature_extraction", "feature_cache=off", folder=here / "live")
    rows = sum(len(cache_shards.read(path).rows) for path in Path("outputs/store").glob("*/*.safetensors"))
    assert rows == sum(stored["sizes"].values())
    for got, expected in zip(figures(here / "stored"), figures(here / "live"), strict=True):
        assert got.get("val/loss", 0) == pytest.approx(expected.get("val/loss", 0), rel=0.01)


@pytest.mark.parametrize("trainer", ["ddp", "fsdp"])
def test_all_devices_together_train_as_one_does(trainer, accelerator, here):
    several = ["trainer.devices=2", "trainer.accelerator=cpu"] if accelerator == "cpu" else []
    count = 2 if several else torch.cuda.device_count()
    one = [f"target.batch_size={16 * count}", f"trainer.accelerator={accelerator}"]
    together = by_command("mode=fine_tuning", f"trainer={trainer}", *several, "hydra.run.dir=outputs/runs/together")
    assert together["steps"] > 0
    alone = trained(*SHORT, "mode=fine_tuning", *one, folder=here / "alone")
    assert math.isfinite(together["metrics"]["val/loss"])
    assert together["metrics"]["val/loss"] == pytest.approx(alone["metrics"]["val/loss"], rel=0.3, abs=0.1)


def test_sync_batch_norm_trains_on_all_devices(accelerator, here):
    if accelerator == "cpu":
        pytest.skip("torch has SyncBatchNorm for GPUs only")
    result = by_command("mode=fine_tuning", "trainer=ddp", "trainer.sync_batchnorm=true")
    assert math.isfinite(result["metrics"]["val/loss"])


def test_the_plan_measures_the_device_that_the_run_would_have(accelerator, here):
    from composed import composed
    from plans import cost

    job = cost(cfg=composed("mode=fine_tuning", f"trainer.accelerator={accelerator}"), tflops="measured")
    assert ("cuda" if accelerator == "gpu" else "cpu") in job.speed.source
    assert job.speed.train_flops_s > 1e6
