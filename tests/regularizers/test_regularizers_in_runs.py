"""A term with a memory goes on after a stop, on cached features and on two devices as without them."""

import json
from pathlib import Path

import pytest
import torch

from composed import TINY, figures, trained
from headstart.cli import main
from killed import command, said

pytestmark = pytest.mark.slow  # half a minute: make test-all

REMEMBERS = ["delta", "bi_tuning", "co_tuning"]
SHORT = ["mode=fine_tuning", "callbacks.figures=null", "callbacks.checkpoint.min_interval_s=0", "logger=csv"]


def run_of(place):
    (found,) = [path.parent for path in place.glob("outputs/runs/*/.hydra")]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", REMEMBERS)
def test_a_run_that_was_stopped_ends_as_the_one_that_was_not_to_the_last_bit(name, tmp_path):
    run = [
        *TINY, *SHORT, f"regularizer={name}", "trainer.max_epochs=3", "callbacks.checkpoint.every_steps=3",
        "+callbacks.stop._target_=resume_plugins.Stop", *(["regularizer.attention_images=8"] * (name == "delta")),
    ]  # fmt: skip
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for place, stop in ((whole, None), (stopped, ("on_train_batch_start", 7))):
        place.mkdir()
        assert command(place, *run, stop=stop) == (-9 if stop else 0), said(place)
    assert command(stopped, *run, "resume=auto") == 0, said(stopped)
    assert "going on from" in said(stopped)
    one, other = (torch.load(run_of(place) / "checkpoints" / "last.ckpt")["state_dict"] for place in (whole, stopped))
    assert one.keys() == other.keys()
    assert any(key.startswith("regularizer.") for key in one)
    for key, tensor in one.items():
        assert torch.equal(tensor, other[key]), key
    assert (run_of(whole) / "metrics.csv").read_bytes() == (run_of(stopped) / "metrics.csv").read_bytes()


@pytest.mark.parametrize("name", ["delta", "bi_tuning"])
def test_on_the_feature_store_a_run_is_that_on_the_images_also_where_a_stage_opened_and_closed(
    name, tmp_path, monkeypatch
):
    """What a stage gives that has learnt and is closed again is not what the source's gives."""
    monkeypatch.chdir(tmp_path)
    phases = "[{trainable: [head], epochs: 1}, {trainable: [stage1], epochs: 1}, {trainable: [stage4, head]}]"
    rows = []
    for store in ("default", "off"):
        folder = tmp_path / store
        trained(
            "mode=gradual", "unfreeze=sandwich", f"unfreeze.phases={phases}", f"regularizer={name}",
            f"feature_cache={store}", "trainer.max_epochs=3", *(["regularizer.attention_images=8"] * (name == "delta")),
            "optimizer.lr=0.05", "logger=csv", folder=folder,
        )  # fmt: skip
        rows.append(figures(folder))
    assert any("train/regularizer" in row for row in rows[0])
    for on_store, on_images in zip(*rows, strict=True):
        assert on_store == pytest.approx(on_images, rel=1e-4, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", REMEMBERS)
def test_two_devices_train_one_model_with_one_memory(name, tmp_path, monkeypatch):
    """replica_check.py compares weights and buffers bit by bit, and stops the run where they differ."""
    monkeypatch.chdir(tmp_path)
    own = [setting for setting in TINY if not setting.startswith("trainer.accelerator")]
    few = ["regularizer.attention_images=8"] * (name == "delta")
    assert main([*own, *SHORT, f"regularizer={name}", *few, "trainer.max_epochs=2", "trainer=ddp_cpu"]) == 0
    folder = run_of(tmp_path)
    result = json.loads((folder / "result.json").read_text())
    assert result["processes"] == 2
    kept = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    if name == "bi_tuning":  # each image's key came to both, once an epoch
        assert int(kept["regularizer.counts"].sum()) == 2 * result["sizes"]["train"]


def test_a_plan_needs_no_source_and_shows_what_learns_beside_the_parts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shown = {}
    for name in (*REMEMBERS, "bss"):
        assert main([*TINY, "task=plan", "mode=feature_extraction", f"regularizer={name}"]) == 0
        shown[name] = capsys.readouterr().out
    assert not Path("outputs").exists()
    assert shown["delta"] == shown["bss"] == shown["co_tuning"]
    assert "4,554" in shown["bi_tuning"]  # the head's 330 and the projector's 32 x 128 + 128


def test_an_average_of_the_weights_has_the_projectors_and_not_the_keys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained("mode=scratch", "callbacks=ema", "regularizer=bi_tuning", "trainer.max_epochs=1", folder=tmp_path / "run")
    kept = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    (averages,) = [state["averages"] for key, state in kept.items() if key.startswith("EMA")]
    of_term = {name for name in averages if name.startswith("regularizer.")}
    assert of_term == {"regularizer.projector.weight", "regularizer.projector.bias"}
