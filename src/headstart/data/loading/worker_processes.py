"""Number of worker processes that load images, and of the batches that they have ready."""

from __future__ import annotations

from typing import Any, Literal

from headstart.data.loading.shared_memory import check_shared_memory, fitting_workers
from headstart.system import stop_signals
from headstart.system.core_count import usable_cores

MOST = 8  # workers of one device, where nobody asked for more
AHEAD = 4  # batches that each worker keeps ready: uint8, 5 MB for 32 images of 224 pixels


def loading(
    *,
    num_workers: int | Literal["auto"],
    cores: int,
    accelerated: bool,
    pins: bool,
    passes: Literal["one", "many"],
    batch_bytes: int,
    batches: int,
) -> dict[str, Any]:
    """The settings of torch's DataLoader for one device.

    Args:
        num_workers: Worker processes; `auto` as automatic_workers says.
        cores: Cores of this process.
        accelerated: Whether the model is somewhere else than on the CPU.
        pins: Whether that is a CUDA device, which copies pinned batches while it computes.
        passes: Workers stay for many, and are gone after one.
        batch_bytes: Of one batch.
        batches: Of a pass.

    Raises UserError where shared memory does not hold what so many workers have ready; `auto` takes fewer.
    """
    ready: dict[str, int] = {"ahead": AHEAD, "batch_bytes": batch_bytes, "batches": batches}
    if num_workers == "auto":
        count = fitting_workers(automatic_workers(cores=cores, accelerated=accelerated), **ready)
    else:
        count = num_workers
        check_shared_memory(count, **ready)
    return {
        "num_workers": count,
        "pin_memory": pins,
        "persistent_workers": count > 0 and passes == "many",
        "prefetch_factor": AHEAD if count else None,
        "worker_init_fn": stop_signals.in_worker if count else None,
    }


def automatic_workers(*, cores: int, accelerated: bool) -> int:
    """How many worker processes pay off: none where the model computes on the same cores.

    There, threads of the process itself decode, and all cores compute in turn; workers would only take cores from
    the model. For an accelerator all cores but one, as that one feeds it.
    """
    return min(MOST, max(1, cores - 1)) if accelerated and cores > 1 else 0


def cores(processes: int) -> int:
    """The cores of this process, one of so many on this machine: those that the system lets it use, shared out."""
    return max(1, usable_cores() // max(1, processes))
