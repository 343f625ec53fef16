"""Hardware that a run was computed on."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path
from typing import Any

import torch

from headstart.system.core_count import usable_cores


def hardware(device: torch.device) -> dict[str, Any]:
    """What of this machine can change the last digits of a figure.

    Args:
        device: The one that computes; no other is started to find out its name.

    Returns:
        system, machine (the instruction set's family), cpu (the model's name), cpu_capability (the vector instructions
        that torch uses), cores (that this process may use), threads (of torch), device (the accelerator's name; None
        on the CPU).
    """
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "device": device_name(device),
    }


def device_name(device: torch.device) -> str | None:
    """The name of an accelerator; None of the CPU."""
    if device.type == "cpu":
        return None
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@cache
def cpu_name() -> str:
    """The CPU's model as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
