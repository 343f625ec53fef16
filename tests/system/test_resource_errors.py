"""What a user reads where memory, shared memory or files run out."""

import errno

import numpy as np
import pytest
import torch

from headstart.cli.error_messages import one_line
from headstart.system.resource_errors import exhausted
from headstart.types import UserError

CUDA = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 11.00 GiB of which 1.20 GiB is free."
)
MPS = (
    "MPS backend out of memory (MPS allocated: 9.00 GB, other allocations: 1.0 GB, max allowed: 9.07 GB). Tried to "
    "allocate 256.00 MB on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit"
)
CPU = (
    "[enforce fail at alloc_cpu.cpp:128] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "4000000000000 bytes. Error code 12 (Cannot allocate memory)"
)
WORKER = "DataLoader worker (pid 1234) is killed by signal: Killed. "
BUS = (
    "DataLoader worker (pid 1234) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
    "shared memory. Please try to raise your shared memory limit."
)


@pytest.mark.parametrize(
    ("error", "begin", "holds"),
    [
        (torch.OutOfMemoryError(CUDA), "the memory of the GPU is full (2.50 GiB more were wanted)", "bf16-mixed"),
        (RuntimeError(MPS), "the memory of the GPU (MPS) is full (256.00 MB", "accumulate_grad_batches=2"),
        (RuntimeError(CPU), "the memory of this machine is full (4000000000000 bytes more", "target.batch_size"),
        (MemoryError(), "the memory of this machine is full; try", "weights.batch_size"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "the memory of this machine is full", "num_workers=0"),
        (RuntimeError(WORKER), "a worker process that loads images was ended by SIGKILL", "target.num_workers=0"),
        (RuntimeError("DataLoader worker (pid(s) 1, 2) exited unexpectedly"), "a worker process", "num_workers=0"),
        (RuntimeError(BUS), "shared memory (/dev/shm) is full", "target.num_workers=0"),
        (
            RuntimeError("unable to open shared memory object </torch_1> in read-write mode"),
            "shared memory",
            "shm-size",
        ),
        (OSError(errno.EMFILE, "Too many open files"), "too many files are open at once", "ulimit -n"),
        (RuntimeError("received 0 items of ancdata"), "too many files are open at once", "num_workers=0"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "no further process", "ulimit -u"),
    ],
)
def test_what_ran_out_is_said_with_the_settings_that_need_less(error, begin, holds):
    line = one_line(error)
    assert line.startswith(begin)
    assert holds in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("out of memory of the past"),
        FileNotFoundError(errno.ENOENT, "No such file", "out of memory.txt"),
        UserError("the memory is not enough memory"),
        KeyError("shared memory"),
    ],
)
def test_no_other_failure_is_taken_for_one(error):
    assert exhausted(error) is None


def test_what_torch_and_numpy_themselves_raise_is_known():
    with pytest.raises(RuntimeError) as torchs:
        torch.empty(2**60)
    with pytest.raises(MemoryError) as numpys:
        np.empty(2**58)
    for error in (torchs.value, numpys.value):
        assert exhausted(error).startswith("the memory of this machine is full")
