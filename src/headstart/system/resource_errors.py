"""Failures for want of memory, open files or processes, and the settings that need less."""

from __future__ import annotations

import errno
import re

LESS_MEMORY = (
    "try a smaller target.batch_size (of a source model weights.batch_size), with trainer.accumulate_grad_batches=2 "
    "where half as many images a batch shall have the same effect"
)
FEWER_WORKERS = "try target.num_workers=0, or fewer"
TOO_MANY_FILES = f"too many files are open at once; {FEWER_WORKERS}, or ulimit -n 65536"
LESS_SHARED_MEMORY = (
    "try target.num_workers=0, a smaller target.batch_size, or a larger /dev/shm (docker run --shm-size=8g)"
)
NO_SHARED_MEMORY = (
    f"shared memory (/dev/shm) is full: worker processes hand over their batches in it; {LESS_SHARED_MEMORY}"
)
_MEMORY = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|not enough memory|unable to allocate .* for an array|"
    r"CUBLAS_STATUS_ALLOC_FAILED|failed to allocate",
    re.IGNORECASE,
)
_SHARED = re.compile(r"bus error|shared memory|\bshm\b", re.IGNORECASE)
_FILES = re.compile(r"too many open files|received \d+ items of ancdata", re.IGNORECASE)
_WORKER = re.compile(r"DataLoader worker \(pid(?:\(s\))?:? [\d, ]+\) (.*)", re.IGNORECASE | re.DOTALL)
_ASKED = re.compile(r"(?:tried to allocate|allocate memory: you tried to allocate) ([\d.]+ (?:[KMGT]i?B|bytes))", re.I)


def exhausted(error: BaseException) -> str | None:
    """One line: what ran out, and what to try; None where nothing did.

    It is known by the exception's class where it has one of its own (torch.OutOfMemoryError, MemoryError), else by what
    torch and the system say.
    """
    text = " ".join(str(error).split())
    if worker := _WORKER.search(text):
        return _of_worker(worker[1])
    if isinstance(error, OSError):
        return _of_system(error)
    is_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if not is_memory and not isinstance(error, RuntimeError):
        return None
    if _FILES.search(text):
        return TOO_MANY_FILES
    if _SHARED.search(text):
        return NO_SHARED_MEMORY
    if is_memory or _MEMORY.search(text):
        asked = f" ({match[1]} more were wanted)" if (match := _ASKED.search(text)) else ""
        return f"the memory of {_device(text)} is full{asked}; {LESS_MEMORY}{_more(text)}"
    return None


def _of_worker(message: str) -> str:
    if _SHARED.search(message):
        return NO_SHARED_MEMORY
    if _FILES.search(message):
        return TOO_MANY_FILES
    how = "by SIGKILL, as the system does where memory is short" if "Killed" in message else "or has ended by itself"
    return f"a worker process that loads images was ended {how}; {FEWER_WORKERS}, or a smaller target.batch_size"


def _of_system(error: OSError) -> str | None:
    if error.errno == errno.ENOMEM:
        return f"the memory of this machine is full; {FEWER_WORKERS}, and {LESS_MEMORY}"
    if error.errno == errno.EFBIG:
        where = f" {error.filename}" if error.filename else ""
        return f"the file{where} may not become larger (ulimit -f); lift the limit, then go on with the run"
    if error.errno == errno.EMFILE:
        return TOO_MANY_FILES
    if error.errno == errno.EAGAIN:  # of fork; what reads and writes without waiting is not told of it here
        return f"no further process can be started; {FEWER_WORKERS}, or ulimit -u"
    return None


def _device(text: str) -> str:
    if "CUDA" in text or "HIP" in text or "CUBLAS" in text:
        return "the GPU"
    return "the GPU (MPS)" if "MPS" in text else "this machine"


def _more(text: str) -> str:
    if "CUDA" in text:
        return "; trainer.precision=bf16-mixed needs about half"
    return ""
