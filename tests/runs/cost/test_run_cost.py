"""What task=plan says of a run, against what the run then does."""

import json
import time

import pytest
import torch

from composed import TINY, composed, trained
from headstart.cli import main
from headstart.features.cache import cache_shards
from headstart.runs.cost.device_memory import state_tensors
from headstart.runs.cost.study_cost import StudyCost
from plans import cost

RUNS = {
    "head alone": ["mode=feature_extraction"],
    "gradual": ["mode=gradual", "unfreeze.every_epochs=1"],
    "chain": ["mode=gradual", "unfreeze=chain_thaw", "unfreeze.until.max_epochs=1", "unfreeze.until.patience=9"],
    "views": ["mode=feature_extraction", "augment@target.augment=affine", "feature_cache.views=2"],
    "all": ["mode=fine_tuning"],
    "control": ["mode=feature_extraction", "control=true"],
    "scratch": ["mode=scratch", "trainer.check_val_every_n_epoch=3", "trainer.limit_train_batches=3"],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored(folder):
    """Rows and bytes of the feature cache."""
    rows = [cache_shards.read(path).rows for path in (folder / "outputs" / "store").glob("*/*.safetensors")]
    return sum(map(len, rows)), sum(row.numel() * row.element_size() for row in rows)


def tensor_bytes(checkpoint):
    """Of the weights and the optimizer's state."""
    loaded = torch.load(checkpoint, weights_only=True)
    kept = [
        tensor for state in loaded["optimizer_states"] for one in state["state"].values() for tensor in one.values()
    ]
    tensors = [*loaded["state_dict"].values(), *(tensor for tensor in kept if tensor.numel() > 1)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


QUICK = ("gradual", "views", "all", "scratch")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in RUNS])
def test_a_run_does_what_its_plan_counts(name, here):
    planned = cost(cfg=composed(*RUNS[name]))
    assert not list(here.iterdir())
    result = trained(*RUNS[name], folder=here / "run")
    work, study = planned.work, StudyCost([planned])
    assert work.steps == result["steps"]
    assert work.train_images == sum(phase["images"] for phase in result["phases"])
    assert work.evaluations == len(result["evaluations"])
    assert (study.cache_rows, study.cache_bytes) == stored(here)
    share = tensor_bytes(here / "run" / "checkpoints" / "last.ckpt") / (planned.checkpoint_bytes / 2)
    assert (0 if name == "chain" else 0.95) < share <= 1  # that run ends before its last phases
    if planned.source is not None:
        (file,) = (here / "outputs" / "source").glob("*/result.json")
        source = json.loads(file.read_text())
        assert source["hash"] == planned.source.key
        assert (planned.source.work.steps, planned.source.work.train_images) == (source["steps"], source["examples"])


def test_a_sweep_counts_what_its_jobs_share_once_and_writes_nothing(here, capsys):
    command = ["-m", "task=plan", *TINY, "plan.tflops=1", "mode=feature_extraction", "optimizer.lr=0.1,0.2"]
    assert main(command) == 0
    assert not [path for path in here.rglob("*") if path.is_file()]
    out = capsys.readouterr().out
    one, two, all_jobs = (part for part in out.split("cost: ")[1:])
    assert all_jobs.startswith("2 jobs on 1 CPU process")
    for line in ("source models", "frozen stages"):
        counted = [next(row for row in part.splitlines() if row.startswith(line)) for part in (one, two, all_jobs)]
        assert counted[0].split()[:-2] == counted[2].split()[:-2]
    assert [row.split()[:5] for row in all_jobs.splitlines() if row.startswith("runs of")] == [
        ["runs", "of", "small_cnn", "2", "32"]
    ]


def test_as_if_there_were_more_images_the_counts_are_those_of_the_formula():
    job = cost(
        cfg=composed("mode=feature_extraction", "target.batch_size=100", "trainer.max_epochs=3"),
        train_images=1_000_050, val_images=5000, test_images=7000,
    )  # fmt: skip
    study = StudyCost([job])
    assert job.work.steps == 3 * 10_001
    assert job.work.train_images == 3 * 1_000_050
    assert study.cache_rows == 1_000_050 + 5000 + 7000
    assert study.cache_bytes == study.cache_rows * 32 * 4
    assert job.work.evaluations == 4


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
def test_a_plan_for_a_gpu_on_a_machine_without_one_tells_counts_and_no_time(caplog):
    job = cost(cfg=composed("mode=fine_tuning", "trainer.accelerator=gpu"), tflops="measured")
    assert (job.speed, job.on_gpu) == (None, True)
    assert job.work.steps > 0
    assert "plan.tflops=50" in caplog.text


@pytest.mark.parametrize(("name", "tensors"), [("AdamW", 2), ("SGD", 0), ("Adagrad", 1)])
def test_an_optimizer_keeps_as_many_tensors_of_a_parameter_as_its_kind_does(name, tensors):
    made = getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(3))], lr=0.1)
    assert state_tensors(made) == tensors


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scratch", "head alone"])
def test_a_run_takes_the_time_that_its_plan_predicts_within_a_factor_of_3(name, here, monkeypatch):
    """By the time of the CPU, which other processes do not change."""
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    settings = [*RUNS[name], "backbone.width=16", "trainer.max_epochs=20", "trainer.limit_train_batches=1.0"]
    planned = cost(cfg=composed(*settings), tflops="measured")
    trained(*settings[:-2], "trainer.max_epochs=1", folder=here / "first")  # what a first run of a process takes
    began = time.process_time()
    trained(*settings, folder=here / "run")
    assert planned.seconds / 3 < time.process_time() - began < planned.seconds * 3
