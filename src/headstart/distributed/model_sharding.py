"""Sharding of a model's parameters, trainable and frozen, over devices (FSDP2)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from headstart.compat.lightning.lightning_sharding import shard_over_all_devices


class Sharded(ModelParallelStrategy):
    """FSDP2 over all devices: every part of the model (each stage, the head) is sharded by itself.

    A parameter is sharded with whatever `requires_grad` it has, and follows it when a schedule changes it. A
    module says its parts as a property `stages`, else they are its children. Checkpoints hold whole tensors,
    as those of other strategies do.
    """

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        assert self.lightning_module is not None
        shard_over_all_devices(self, partial(_shard, self, self.lightning_module))
        super().setup_environment()


def _shard(strategy: Sharded, module: pl.LightningModule) -> None:
    mesh: DeviceMesh = strategy.device_mesh["data_parallel"]
    for part in parts(module).values():
        if isinstance(part, FSDPModule):  # the test after fit shards nothing twice
            continue
        for parameter in part.parameters():  # FSDP2 takes no other layout, and convolutions may be channels_last
            parameter.data = parameter.data.contiguous()
        fully_shard(part, mesh=mesh)


def parts(module: pl.LightningModule) -> dict[str, nn.Module]:
    """What is sharded by itself."""
    stages = getattr(module, "stages", None)
    return dict(stages) if stages else dict(module.named_children())


def is_sharded(module: nn.Module) -> bool:
    """Whether a part of the module lies on several devices."""
    return any(isinstance(part, FSDPModule) for part in module.modules())


def whole_state(module: nn.Module) -> dict[str, Any]:
    """The state dict with whole tensors; of a sharded module on the CPU, and a collective: all ranks ask for it."""
    if not is_sharded(module):
        return module.state_dict()
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict  # few runs are sharded

    state = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True))
    return {name: tensor.cpu() for name, tensor in state.items() if isinstance(tensor, Tensor)}


def load_whole(module: nn.Module, state: dict[str, Any]) -> None:
    """Put a state dict of whole tensors, the same on every rank, into a module, sharded or not."""
    if is_sharded(module):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

        set_model_state_dict(module, state, options=StateDictOptions(full_state_dict=True))
    else:
        module.load_state_dict(state)
