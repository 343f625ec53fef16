"""Versions of the packages that a run was made with, and the metrics of a split."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib.metadata import version
from typing import Any

import torch
import torchvision

from headstart.system.conf_folder import PACKAGE
from headstart.system.package_version import VERSION


@functools.cache
def versions() -> dict[str, str | None]:
    """What made the figures; git is None where the package does not lie in a checkout."""
    return {
        "headstart": VERSION,
        "git": _git_version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": version("pytorch_lightning"),
        "torchvision": torchvision.__version__,
    }


def figures(logged: dict[str, Any], *kinds: str) -> dict[str, float]:
    """Those of a split, or of several kinds, among the figures that Lightning has logged."""
    return {name: float(value) for name, value in logged.items() if name.partition("/")[0] in kinds}


def _git_version() -> str | None:
    command = ["git", "-C", str(PACKAGE), "describe", "--always", "--dirty", "--exclude=*"]
    if "site-packages" in PACKAGE.parts:  # installed: a checkout around it would be somebody else's
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
