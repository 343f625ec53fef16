"""The number of a job's processes, and whether it can run on them, is known before anything starts."""

import os
from functools import cache

import pytest
import torch
from omegaconf import OmegaConf
from pytorch_lightning.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.utilities import rank_zero_only

from composed import composed
from headstart.distributed.model_sharding import Sharded
from headstart.runs.training.run_trainer import made_trainer, needed_processes
from headstart.system import rank_environment
from headstart.types import UserError

TWO = {"devices": 2}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}
SRUN = {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "train"}


@cache
def option(name):
    return composed(f"trainer={name}").trainer


def node(name="default", **settings):
    """The trainer of an option, with some settings changed."""
    return OmegaConf.merge(option(name), settings)


@pytest.mark.parametrize(
    ("name", "settings", "count"),
    [("default", {}, 1), ("default", {"devices": "auto"}, 1), ("default", {"devices": 3}, 3),
     ("default", {"devices": "2"}, 2), ("ddp_cpu", {}, 2), ("fsdp", TWO, 2)],
)  # fmt: skip
def test_a_job_takes_a_process_a_device(name, settings, count):
    assert needed_processes(node(name, **settings)) == count
    assert not torch.distributed.is_initialized()


def test_two_devices_of_the_default_trainer_are_trained_as_ddp_cpu_does():
    assert isinstance(made_trainer(node(), logger=False).strategy, SingleDeviceStrategy)
    for chosen in (node(**TWO), node(**TWO, strategy="ddp"), node("ddp_cpu")):
        strategy = made_trainer(chosen, logger=False).strategy
        assert type(strategy) is DDPStrategy
        assert strategy._ddp_kwargs == {"broadcast_buffers": False}
    assert isinstance(made_trainer(node("fsdp", **TWO), logger=False).strategy, Sharded)


@pytest.mark.parametrize(
    "strategy",
    ["deepspeed", "fsdp", "ddp_spawn", "ddp_find_unused_parameters_true",
     {"_target_": "pytorch_lightning.strategies.FSDPStrategy"},
     {"_target_": "pytorch_lightning.strategies.ModelParallelStrategy"},
     {"_target_": "pytorch_lightning.strategies.DDPStrategy", "start_method": "spawn"}],
)  # fmt: skip
def test_a_strategy_under_which_unfreezing_is_not_known_to_be_right_is_refused_with_those_that_are(strategy):
    with pytest.raises(
        UserError, match=r"not known; it is under .*DDPStrategy and headstart\.distributed\.model_sharding\.Sharded"
    ):
        needed_processes(node(**TWO, strategy=strategy))


def test_synchronised_batchnorm_on_the_cpu_is_an_error():
    with pytest.raises(UserError, match="works on GPUs only"):
        needed_processes(node("ddp_cpu", sync_batchnorm=True))


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
def test_a_gpu_where_there_is_none_is_an_error_that_says_what_runs_without():
    for name in ("ddp", "fsdp", "gpu"):
        with pytest.raises(UserError, match="try trainer=cpu, or trainer=ddp_cpu"):
            needed_processes(node(name, accelerator="gpu"))


def test_several_nodes_need_a_launcher_and_the_error_gives_its_command():
    with pytest.raises(UserError, match="torchrun --nnodes=2 --nproc-per-node=2"):
        needed_processes(node("ddp_cpu", num_nodes=2))


@pytest.mark.parametrize(("variables", "by"), [(TORCHRUN, "torchrun"), (SRUN, "SLURM"), (TORCHRUN | SRUN, "torchrun")])
def test_ranks_of_torchrun_and_slurm_are_recognised_as_lightning_does(variables, by, monkeypatch):
    # making a trainer sets it for the whole process: the tests after this one would write no logs
    monkeypatch.setattr(rank_zero_only, "rank", rank_zero_only.rank)  # type: ignore[attr-defined]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (rank_environment.launcher(), rank_environment.rank(), rank_environment.world_size()) == (by, 1, 2)
    assert {"torchrun": TorchElasticEnvironment, "SLURM": SLURMEnvironment}[by].detect()  # type: ignore[attr-defined]
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    assert needed_processes(node("ddp_cpu")) == 2
    with pytest.raises(UserError, match=rf"{by} has started 2 processes, trainer.devices x trainer.num_nodes is 1 x 1"):
        needed_processes(node())


@pytest.mark.parametrize(
    "variables",
    [{}, SRUN | {"SLURM_JOB_NAME": "bash"}, SRUN | {"SLURM_NTASKS": "1"}, TORCHRUN | {"WORLD_SIZE": "1"}],
)
def test_a_shell_of_slurm_and_a_single_process_have_no_launcher(variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (rank_environment.launcher(), rank_environment.rank(), rank_environment.world_size()) == (None, 0, 1)
    assert not torch.distributed.is_initialized()
    assert rank_environment.OWN not in os.environ
