"""The Lightning trainer of a config, and the number of processes that it needs."""

from __future__ import annotations

import os
from typing import Any

import pytorch_lightning as pl
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.accelerators import CPUAccelerator, CUDAAccelerator, MPSAccelerator
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

from headstart.callbacks.training.memory_reuse import keep_freed_memory
from headstart.callbacks.training.time_budget import TimeBudget
from headstart.compat.hydra.hydra_instantiation import instantiate
from headstart.compat.lightning.lightning_trainer import MisconfigurationException
from headstart.distributed.model_sharding import Sharded
from headstart.runs.training.trainer_profiler import profiler_of
from headstart.system import rank_environment
from headstart.types import UserError

# what a run gives its trainer, and which setting it comes from
OF_THE_RUN = {"callbacks": "+callbacks.<name>=...", "logger": "logger=...", "default_root_dir": "hydra.run.dir=..."}
LEAST_PROCESSES = 16  # that a CPU may have, however few cores it has
KNOWN = "trainer=ddp, trainer=ddp_cpu or trainer=fsdp"


def needed_processes(node: DictConfig) -> int:
    """How many processes a job with this trainer takes, over all nodes; no GPU is started to find out.

    Raises UserError where the trainer cannot be, where several nodes are wanted and nobody has started their
    processes, or where not as many were started as are wanted.
    """
    trainer = made_trainer(node, logger=False)
    wanted = trainer.num_devices * trainer.num_nodes
    started, by = rank_environment.world_size(), rank_environment.launcher()
    if by is None and trainer.num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={trainer.num_nodes} needs a process for each device of each node, which nobody has "
            f"started; on each node: torchrun --nnodes={trainer.num_nodes} --nproc-per-node={trainer.num_devices} "
            "--rdzv-backend=c10d --rdzv-endpoint=<the first node>:29500 -m headstart ...; or srun under SLURM"
        )
    if by is not None and started != wanted:
        raise UserError(
            f"{by} has started {started} processes, trainer.devices x trainer.num_nodes is "
            f"{trainer.num_devices} x {trainer.num_nodes}; try trainer=ddp with trainer.devices=<processes on a node> "
            "and trainer.num_nodes=<nodes>"
        )
    return wanted


def made_trainer(node: DictConfig, **more: Any) -> pl.Trainer:
    """The trainer of a config, on several devices with a strategy under which unfreezing is right.

    Raises UserError for another strategy or profiler, for SyncBatchNorm on the CPU, and for a GPU where there is none.
    """
    if "profiler" not in more:
        profiler_of(node, ".")  # a wrong name is an error before anything is built
        more["profiler"] = None
    if node.get("accelerator") in ("gpu", "cuda") and not (
        CUDAAccelerator.is_available() or MPSAccelerator.is_available()
    ):
        raise UserError(
            f"trainer.accelerator={node.accelerator} needs a GPU, and torch finds none on this machine; "
            "try trainer=cpu, or trainer=ddp_cpu for several processes"
        )
    strategy = node.get("strategy") or "auto"
    if isinstance(strategy, str):
        if strategy not in ("auto", "ddp"):
            raise _unknown(strategy)
        lone = strategy == "auto" and node.get("devices") == 1 and node.get("num_nodes", 1) == 1
        if not lone and isinstance(_instantiated(node, {"logger": False}).strategy, DDPStrategy):
            more["strategy"] = DDPStrategy(broadcast_buffers=False)  # as conf/trainer/ddp.yaml says it, and why
    elif not issubclass(get_class(strategy["_target_"]), DDPStrategy | Sharded | SingleDeviceStrategy):
        raise _unknown(strategy["_target_"])
    elif strategy.get("start_method", "popen") != "popen":
        raise _unknown(f"DDPStrategy with start_method={strategy['start_method']}")
    trainer = _instantiated(node, more)
    _suit(trainer)
    if node.get("sync_batchnorm") and isinstance(trainer.accelerator, CPUAccelerator):
        raise UserError(
            "trainer.sync_batchnorm=true works on GPUs only, as torch has it for no other device; this run would be "
            "on the CPU: leave it false there, the running statistics of rank 0 are then those that count"
        )
    return trainer


def _instantiated(node: DictConfig, more: dict[str, Any]) -> pl.Trainer:
    """Lightning's trainer. Raises UserError with what Lightning says of settings that it refuses."""
    for key, instead in OF_THE_RUN.items():
        if node.get(key) is not None:
            raise UserError(f"trainer.{key} is what the run itself sets, got {node[key]}; try {instead}")
    if node.get("max_time") is not None:
        TimeBudget(node.max_time)  # an error of it comes before anything is made
    plain = OmegaConf.masked_copy(
        node, [str(key) for key in node if key != "max_time"]
    )  # the run's own callback ends it
    try:
        trainer: pl.Trainer = instantiate(plain, **more)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error
    on_cpu = isinstance(trainer.accelerator, CPUAccelerator)
    most = max(LEAST_PROCESSES, os.cpu_count() or 1)
    if on_cpu and trainer.num_devices > most:
        raise UserError(
            f"trainer.devices={node.get('devices')} are as many processes on the CPU, at most {most} are sensible on "
            f"this machine of {os.cpu_count()} cores; try trainer.devices=2"
        )
    return trainer


def lone_trainer(node: DictConfig, *keys: str, **more: Any) -> pl.Trainer:
    """A trainer on one device that writes nothing, for a task that only looks at images.

    keys: the settings of the node that count beside where it computes.
    """
    trainer: pl.Trainer = instantiate(
        {key: node[key] for key in ("_target_", "accelerator", *keys)},
        devices=1, logger=False, enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
        **more,
    )  # fmt: skip
    _suit(trainer)
    return trainer


def _suit(trainer: pl.Trainer) -> None:
    """Set the process up for what computes in it."""
    if not isinstance(trainer.accelerator, CPUAccelerator):
        return
    keep_freed_memory()
    if not CUDAAccelerator.is_available():
        # by it torch asks the driver, in vain, and its optimizers ask in every step: a tenth of what a head's takes
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


def _unknown(strategy: str) -> UserError:
    return UserError(
        f"trainer.strategy={strategy}: that stages can be frozen and trained under it is not known; it is under "
        f"pytorch_lightning.strategies.DDPStrategy and headstart.distributed.model_sharding.Sharded: try {KNOWN}"
    )


def has_gpu() -> bool:
    """Whether this machine has a GPU that Lightning can use."""
    return bool(CUDAAccelerator.is_available() or MPSAccelerator.is_available())


def on_gpu(node: DictConfig) -> bool:
    """Whether a trainer computes on GPUs; one of GPUs that are not here does, too.

    Args:
        node: Of the trainer.
    """
    accelerator = node.get("accelerator", "auto")
    if accelerator == "auto":
        return has_gpu()
    return accelerator in ("gpu", "cuda", "mps")


def is_sharded(node: DictConfig) -> bool:
    """Whether each device of a trainer has a share of each parameter only.

    Args:
        node: Of the trainer.
    """
    strategy = node.get("strategy")
    return isinstance(strategy, DictConfig) and issubclass(get_class(strategy["_target_"]), Sharded)
