"""Check that the models of all devices are equal, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor

from headstart.system.printing.name_listing import first_few

CHUNK = 2**22  # elements that are summed at a time: their products take 8 bytes each
WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class ReplicasDifferError(RuntimeError):
    """The devices do not train the same model any more."""


class ReplicaCheck(Callback):
    """Compares the weights of all ranks after each epoch, the buffers after each validation, bit by bit.

    BatchNorm's running statistics differ from rank to rank in a correct run, as each sees its own images; before
    a validation or test all take rank 0's, so that they measure one model. Each tensor is one number of 8 bytes
    on the wire. Shards (fully_shard) have no replicas and are left out. Raises ReplicasDifferError, on all ranks
    at once, with the names of what differs.
    """

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _take_rank_zeros(_buffers(pl_module))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _take_rank_zeros(_buffers(pl_module))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _compare(_buffers(pl_module), "buffers", trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _compare(dict(pl_module.named_parameters()), "weights", trainer)


def checksum(tensor: Tensor) -> Tensor:
    """A number (int64, scalar) of a tensor's bits: the sum of its words, each times its place, modulo 2^64.

    One word that changes always changes it; several do so but for a chance of about 2^-32 or less.
    """
    flat = tensor.detach().contiguous().flatten()
    if flat.is_complex():
        flat = torch.view_as_real(flat).flatten()
    words = flat.view(WORDS[flat.element_size()])
    total = torch.zeros((), dtype=torch.int64, device=tensor.device)
    for begin in range(0, len(words), CHUNK):
        part = words[begin : begin + CHUNK].to(torch.int64)
        places = torch.arange(begin, begin + len(part), device=tensor.device, dtype=torch.int64)
        total += (part * (2 * places + 1)).sum()  # odd factors lose no bit of a word
    return total


def differing(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of the tensors whose bits are not the same on all ranks; every rank must call it."""
    if not tensors or not dist.is_initialized():
        return []
    checksums = torch.stack([checksum(tensor) for tensor in tensors.values()])
    of_all = [torch.empty_like(checksums) for _ in range(dist.get_world_size())]
    dist.all_gather(of_all, checksums)
    same = (torch.stack(of_all) == checksums).all(dim=0).to(torch.int64)
    dist.all_reduce(same, op=dist.ReduceOp.MIN)  # all ranks must come to the same verdict
    return [name for name, is_same in zip(tensors, same.tolist(), strict=True) if not is_same]


def _buffers(module: LightningModule) -> dict[str, Tensor]:
    persistent = module.state_dict()
    return {
        name: buffer
        for name, buffer in module.named_buffers()
        if name in persistent and not isinstance(buffer, DTensor)
    }


def _take_rank_zeros(buffers: Mapping[str, Tensor]) -> None:
    if dist.is_initialized():
        for buffer in buffers.values():
            dist.broadcast(buffer, src=0)


def _compare(tensors: Mapping[str, Tensor], kind: str, trainer: Trainer) -> None:
    whole = {name: tensor for name, tensor in tensors.items() if not isinstance(tensor, DTensor)}
    names = differing(whole)
    if not names:
        return
    raise ReplicasDifferError(
        f"in epoch {trainer.current_epoch} the {kind} of the {trainer.world_size} devices are no longer equal: "
        f"{first_few(names, 10)}; something changes them outside of DDP's reduction, such as a callback that unfreezes "
        "without wrapping anew"
    )
