"""A job on several processes is one job: one folder, one config, one result."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from composed import TINY
from headstart.cli import main
from headstart.compat.pytorch.torch_rendezvous import meeting_store
from headstart.runs.folder.run_naming import config_hash
from headstart.runs.saved.saved_job import saved_job

TESTS = Path(__file__).parents[1] / "helpers"
FAST = [
    *(setting for setting in TINY if not setting.startswith("trainer.accelerator")),
    "trainer.max_epochs=2",
    "unfreeze.first_epoch=1",
    "logger=csv",
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


def runs(pattern="*/*"):
    return sorted(
        path for path in Path("outputs").glob(pattern) if path.parent.name not in ("source", "store") and path.is_dir()
    )


def result(folder):
    return json.loads((folder / "result.json").read_text())


def ranks_by_hand(variables, *commands):
    """(exit code, output) of processes that another launcher would have started."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "headstart", *command], env=os.environ | own,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for own, command in zip(variables, commands, strict=True)
    ]  # fmt: skip
    return [(said, process.returncode) for process in started for said in [process.communicate(timeout=200)[0]]]


def elastic(number, meeting):
    """What torchrun sets for a rank of two, at a store that torchrun holds."""
    return {
        "TORCHELASTIC_RUN_ID": "none", "RANK": str(number), "LOCAL_RANK": str(number), "GROUP_RANK": "0",
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", **meeting.environment,
    }  # fmt: skip


@pytest.mark.slow
def test_a_sweep_of_two_processes_a_job_survives_a_job_that_fails_and_completes_when_run_again(monkeypatch, capfd):
    sweep = ["-m", *FAST, "trainer=ddp_cpu", "seed=0,1", "mode=gradual,fine_tuning"]
    bomb = ["+callbacks.bomb._target_=rank_bomb.Bomb", "+callbacks.bomb.name='${mode}${seed}'"]
    monkeypatch.setenv("BOMB", "gradual1")
    assert main([*sweep, *bomb]) == 1
    folders = runs()
    assert len(folders) == 4
    (failed,) = [folder for folder in folders if not (folder / "result.json").exists()]
    cfg = saved_job(failed)
    assert (cfg.mode, cfg.seed) == ("gradual", 1)
    trace = (failed / "error.txt").read_text()
    assert "rank_bomb.py" in trace
    assert trace.strip().endswith("RankError: rank 1 of 2: RuntimeError: boom in gradual1")
    assert "jobs that failed: 1" in capfd.readouterr().err
    assert len(list(Path("outputs").glob("*/report.html"))) == 1

    monkeypatch.delenv("BOMB")
    assert main([*sweep, *bomb]) == 0  # three are there
    assert runs() == folders
    assert not (failed / "error.txt").exists()
    assert len(list(Path("outputs").glob("*/report.html"))) == 1
    assert len(list(Path("outputs/source").glob("*/result.json"))) == 1
    for folder in folders:
        got = result(folder)
        assert got["processes"] == 2
        assert folder.name.endswith(got["hash"])
        (of_rank_1,) = re.findall(r"rank 1 of 2, hash (\w+)", (folder / "rank1.log").read_text())
        assert of_rank_1 == got["hash"]
        with (folder / "metrics.csv").open(newline="") as file:
            assert [row["epoch"] for row in csv.DictReader(file) if row.get("val/accuracy")] == ["0.0", "1.0", "2.0"]
    assert not {"LOCAL_RANK", "MASTER_PORT", "WORLD_SIZE"} & set(os.environ)


@pytest.mark.slow
def test_two_processes_that_share_out_val_measure_the_closed_form_start_of_one():
    assert main([*FAST, "mode=scratch", "trainer.accelerator=cpu", "start_images=15"]) == 0
    (alone,) = runs()
    assert main([*FAST, "mode=scratch", "trainer=ddp_cpu", "start_images=15"]) == 0
    (shared,) = set(runs()) - {alone}
    one, two = result(alone), result(shared)
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["start_class_means"] == pytest.approx(two["start_class_means"], abs=1e-6)
    assert one["start_images"] == two["start_images"] == {"used": 50, "of": 50}
    at_last = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"] for run in (alone, shared)]
    alone_state, shared_state = (kept["Start"] for kept in at_last)
    assert torch.equal(alone_state["closed_form"], shared_state["closed_form"])  # in the split's order


@pytest.mark.slow
def test_an_adaptive_sweeper_draws_once_for_all_ranks_and_gets_the_value_of_each_job(tmp_path):
    (tmp_path / "mine" / "hydra" / "sweeper").mkdir(parents=True)
    (tmp_path / "mine" / "hydra" / "sweeper" / "climber.yaml").write_text(
        "# @package hydra.sweeper\n_target_: hydra_plugins.climber.Climber\njobs: 2\n"
    )
    own = ["trainer=ddp_cpu", "mode=scratch", "hydra/sweeper=climber", "objective=best"]
    command = ["--config-dir", "mine", "-m", *FAST, *own]
    assert main(command) == 0
    folders = runs()
    assert len(folders) == 2
    values = json.loads(Path("values.json").read_text())
    assert sorted(values) == sorted(result(folder)["metrics"]["val/accuracy"] for folder in folders)
    for folder in folders:
        (of_rank_1,) = re.findall(r"rank 1 of 2, hash (\w+)", (folder / "rank1.log").read_text())
        assert of_rank_1 == result(folder)["hash"]


@pytest.mark.slow
def test_ranks_of_torchrun_start_nothing_and_run_a_sweep_together():
    command = ["-m", *FAST, "trainer=ddp_cpu", "seed=0,1", "mode=fine_tuning"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
         "-m", "headstart", *command],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folders = runs()
    assert [result(folder)["processes"] for folder in folders] == [2, 2]
    assert [list(folder.glob("rank*.log")) for folder in folders] == [[], []]
    assert done.stderr.count("Launching 2 jobs") == 1
    assert done.stderr.count("training the source model") == 1
    assert done.stdout.count("report: ") == 1
    for folder in folders:
        own, other = ((folder / ".hydra" / place / "config.yaml").read_text() for place in ("", "rank1"))
        assert own == other


def test_ranks_with_different_configs_all_stop_and_say_so_before_they_train():
    meeting = meeting_store()
    command = [*FAST, "trainer=ddp_cpu", "mode=scratch"]
    ended = ranks_by_hand([elastic(0, meeting), elastic(1, meeting)], [*command, "seed=0"], [*command, "seed=1"])
    for said, code in ended:
        assert code == 2, said
        assert "the ranks of this job have different configs" in said
        assert "Start the sweep without torchrun" in said
    assert not list(Path("outputs").glob("*/*/metrics.csv"))


@pytest.mark.slow
def test_figures_are_of_every_image_once_though_ranks_have_unequal_numbers_of_batches(capfd):
    """329 images: 165 in two batches of up to 164 on rank 0, 164 in one on rank 1. Evaluating takes one device."""
    data = ["data@target=printed", "target.val_per_class=7", "target.test_per_class=7", "target.batch_size=41"]
    assert main([*FAST, *data, "target.per_class=8", "trainer=ddp_cpu", "mode=scratch", "logger=tensorboard"]) == 0
    (folder,) = runs()
    assert main(["task=evaluate", f"evaluate.run_dir={folder}", "trainer=ddp_cpu"]) == 0
    assert "on one device" in capfd.readouterr().err
    alone = json.loads((folder / "evaluate-test.json").read_text())
    assert alone["images"] == 329
    for name, value in alone["metrics"].items():
        assert result(folder)["metrics"][name] == pytest.approx(value, abs=1e-5), name


@pytest.mark.slow
def test_ranks_of_slurm_start_nothing():
    meeting = meeting_store()
    variables = [
        {"SLURM_JOB_ID": "4242", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2",
         "SLURM_NNODES": "1", "SLURM_NODELIST": "127.0.0.1", "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number),
         "SLURM_NODEID": "0", **meeting.environment}
        for number in range(2)
    ]  # fmt: skip
    command = [*FAST, "trainer=ddp_cpu", "mode=fine_tuning"]
    for said, code in ranks_by_hand(variables, command, command):
        assert code == 0, said
    (folder,) = runs()
    assert result(folder)["processes"] == 2
    assert not list(folder.glob("rank*.log"))


@pytest.mark.slow
def test_a_rank_of_torchrun_that_fails_ends_the_others_and_leaves_its_trace(monkeypatch):
    monkeypatch.setenv("BOMB", "here")
    bomb = ["+callbacks.bomb._target_=rank_bomb.Bomb", "+callbacks.bomb.name=here"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
         "-m", "headstart", *FAST, *bomb, "trainer=ddp_cpu", "mode=scratch"],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "headstart: error: rank 1: " in done.stderr
    (folder,) = runs()
    assert "boom in here" in (folder / "error-rank1.txt").read_text()


@pytest.mark.slow
def test_shards_of_parameters_learn_what_copies_learn_and_only_what_is_open():
    """Two processes over gloo; SGD, as Adam's steps are of one size whatever a gradient's rounding."""
    common = [*FAST, "mode=gradual", "optimizer=sgd", "trainer.gradient_clip_val=1.0"]
    assert main([*common, "trainer=ddp_cpu"]) == 0
    assert main([*common, "trainer=fsdp", "trainer.accelerator=cpu", "trainer.devices=2"]) == 0
    states = {}
    for folder in runs():
        cfg = saved_job(folder)
        kind = cfg.trainer.strategy._target_.rpartition(".")[2]
        states[kind] = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=False)["state_dict"]
        assert config_hash(cfg) == result(folder)["hash"]
    copies, shards = states["DDPStrategy"], states["Sharded"]
    assert copies.keys() == shards.keys()
    (source,) = Path("outputs/source").glob("*/checkpoints/best.ckpt")
    before = torch.load(source, weights_only=True)["state_dict"]
    for name, tensor in copies.items():
        assert torch.allclose(tensor, shards[name], rtol=1e-4, atol=1e-4), name
        if name.startswith("backbone"):
            is_open = name.startswith("backbone.stages.stage4")
            assert torch.equal(before[name], shards[name]) != is_open, name
