"""Devices of this machine, the precisions that a training step works in on each, and torch.compile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from headstart.runs.checkup.finding import Finding
from headstart.runs.outcome.hardware import cpu_name
from headstart.system.core_count import usable_cores

TYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "bf16-true": torch.bfloat16, "16-mixed": torch.float16}
ON_CPU = ("32-true", "bf16-mixed", "bf16-true")  # Lightning computes 16-mixed in bf16 there
GIB = 2**30


def found_devices() -> list[torch.device]:
    """The CPU, and each accelerator that torch finds."""
    found = [torch.device("cpu")]
    found += [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append(torch.device("mps"))
    return found


def machine() -> Finding:
    """CPU, cores, threads and memory."""
    memory = _memory()
    told = "" if memory is None else f", {memory[0] / GIB:.1f} GiB memory of which {memory[1] / GIB:.1f} are free"
    capability = torch.backends.cpu.get_cpu_capability()
    threads = os.environ.get("OMP_NUM_THREADS")
    return Finding(
        "machine",
        "ok",
        f"{cpu_name()} ({capability}), {usable_cores()} cores, torch takes {torch.get_num_threads()} threads"
        f"{f' (OMP_NUM_THREADS={threads})' if threads else ''}{told}",
    )


def precisions(device: torch.device) -> Finding:
    """Which of Lightning's precisions a training step works in on this device."""
    tried = ON_CPU if device.type == "cpu" else tuple(TYPES)
    failures = {name: why for name in tried if (why := _reason(partial(_step, device, name)))}
    works = [name for name in tried if name not in failures]
    about = f"{_called(device)}: trainer.precision={', '.join(works) or 'none works'}"
    told = "".join(f"; {name} does not work: {why}" for name, why in failures.items())
    return Finding("device", "failed" if "32-true" in failures else "limited" if failures else "ok", about + told)


def compiles(device: torch.device) -> Finding:
    """Whether compile=true works on this device, and how long the first step takes."""
    began = time.perf_counter()
    why = _reason(partial(_step, device, "32-true", compiled=True))
    if why:
        return Finding("compile", "limited", f"{device}: compile=true does not work: {why}")
    return Finding(
        "compile", "ok", f"{device}: compile=true works; the first step took {time.perf_counter() - began:.1f} s"
    )


def _step(device: torch.device, precision: str, *, compiled: bool = False) -> None:
    """Make one training step of a convolution and a linear layer. Raises what torch raises."""
    kind, is_mixed = TYPES[precision], precision.endswith("mixed")
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 4))
    model = model.to(device, torch.float32 if is_mixed else kind)
    images = torch.ones(4, 3, 8, 8, device=device, dtype=torch.float32 if is_mixed else kind)
    forward: Callable[[torch.Tensor], torch.Tensor] = torch.compile(model) if compiled else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.autocast(device.type, kind, enabled=is_mixed):
        loss = nn.functional.cross_entropy(forward(images).float(), torch.arange(4, device=device))
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no types there
    optimizer.step()
    if not bool(torch.isfinite(loss)):
        raise ValueError(f"the loss is {float(loss)}")


def _reason(act: Callable[[], None]) -> str:
    """Why an act fails, on one line; empty where it does not."""
    try:
        act()
    except Exception as error:  # a driver, a compiler and torch raise whatever they raise
        text = " ".join(str(error).split())
        return f"{type(error).__name__}: {text[:160]}"
    return ""


def _called(device: torch.device) -> str:
    if device.type != "cuda":
        return str(device)
    about = torch.cuda.get_device_properties(device)
    return f"{device} ({about.name}, {about.total_memory / GIB:.0f} GiB, CUDA {torch.version.cuda})"


def _memory() -> tuple[int, int] | None:
    """Bytes of memory, and of what a process may still take; None where the system does not say it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
    return sizes["MemTotal"], sizes.get("MemAvailable", sizes["MemFree"])
