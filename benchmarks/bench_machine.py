"""The machine and the versions of the measurements."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "finetuning-scheduler", "fastai", "headstart")


def machine() -> dict[str, str]:
    """What stands above the tables."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    packages = [f"{name} {_version(name)}" for name in PACKAGES]
    return {
        "machine": f"{_cpu()}, {cores} cores, {platform.system()}",
        "versions": f"Python {platform.python_version()}, {', '.join(packages)}",
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    words = [word for word in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {word}" in flags]
    return f"{names[0] if names else platform.machine()} ({', '.join(words)})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not there"
