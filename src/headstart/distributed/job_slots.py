"""Slots of a machine: GPUs and CPU cores of which each job beside others has some for itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal, NamedTuple

from headstart.system.core_count import SHARE, usable_cores
from headstart.types import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
# what libraries read when they are loaded; joblib caps the same
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Slot(NamedTuple):
    """What one job at a time has.

    Attributes:
        devices: GPUs as CUDA_VISIBLE_DEVICES names them; None where none are shared out.
        cores: CPU cores, which cap the threads of its libraries.
    """

    devices: tuple[str, ...] | None
    cores: int

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its process; how many threads a library may have is not changed where the user says it."""
        threads = {name: str(self.cores) for name in THREADS if name not in os.environ}
        visible = {} if self.devices is None else {VISIBLE: ",".join(self.devices)}
        return {**threads, **visible, SHARE: str(self.cores)}

    def __str__(self) -> str:
        devices = f"GPU {', '.join(self.devices)} and " if self.devices else ""
        return f"{devices}{self.cores} core{'s' if self.cores > 1 else ''}"


def job_slots(
    *,
    devices: Literal["auto"] | Sequence[int | str],
    devices_per_job: int,
    jobs: Literal["auto"] | int,
    cores: int | None,
) -> list[Slot]:
    """The slots of this machine; no GPU is in two of them.

    Args:
        devices: GPUs to be shared out: auto is all that this process may use; of an empty list, jobs see none.
        devices_per_job: How many of them a job has.
        jobs: How many jobs run at once; auto is as many as have GPUs, without GPUs one a core.
        cores: CPU cores to be shared out; None is all that this process may use.

    Raises:
        UserError: A GPU is listed twice or may not be used, or there are too few for so many jobs.
    """
    for name, value in (("devices_per_job", devices_per_job), ("jobs", jobs), ("cores", cores)):
        is_own = value is None if name == "cores" else name == "jobs" and value == "auto"
        if not is_own and (not isinstance(value, int) or value < 1):
            raise UserError(f"hydra.launcher.{name} must be a whole number from 1 on, got {value!r}")
    if devices != "auto" and (isinstance(devices, str) or not isinstance(devices, Sequence)):
        raise UserError(
            f"hydra.launcher.devices must be auto or a list, got {devices!r}; try hydra.launcher.devices=[0,1]"
        )
    listed = _visible() if devices == "auto" else [str(device) for device in devices]
    if len(set(listed)) < len(listed):
        raise UserError(f"hydra.launcher.devices lists each GPU once, got {', '.join(listed)}")
    allowed = os.environ.get(VISIBLE)
    if devices != "auto" and allowed is not None and (other := sorted(set(listed) - set(_names(allowed)))):
        raise UserError(
            f"hydra.launcher.devices must be of those in {VISIBLE}={allowed}, got {', '.join(other)} besides"
        )
    usable = usable_cores() if cores is None else cores
    if not listed:
        count = max(1, usable) if jobs == "auto" else jobs
        return [Slot(None if devices == "auto" else (), max(1, usable // count))] * count
    most = len(listed) // devices_per_job
    count = most if jobs == "auto" else jobs
    if most < 1 or count > most:
        count = max(1, count)
        raise UserError(
            f"{count} jobs at once with {devices_per_job} GPUs each need {count * devices_per_job} GPUs, "
            f"got {', '.join(listed)}; try hydra.launcher.jobs=auto, or a smaller hydra.launcher.devices_per_job"
        )
    share = max(1, usable // count)
    parts = [tuple(listed[number * devices_per_job : (number + 1) * devices_per_job]) for number in range(count)]
    return [Slot(part, share) for part in parts]


def _visible() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    allowed = os.environ.get(VISIBLE)
    if allowed is not None:
        return _names(allowed)
    import torch  # here: it takes seconds, and is not needed where the GPUs are listed

    return [str(number) for number in range(torch.cuda.device_count())]


def _names(text: str) -> list[str]:
    """The entries of CUDA_VISIBLE_DEVICES, of which those behind -1 do not count."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    return names[: names.index("-1")] if "-1" in names else names
