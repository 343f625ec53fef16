"""Versions of the packages that a run was made with."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib.metadata import version

import torch
import torchvision

from headstart.system.conf_folder import PACKAGE
from headstart.system.headstart_version import VERSION


@functools.cache
def versions() -> dict[str, str | None]:
    """The version of each package by its name; git is None where headstart does not lie in a checkout."""
    return {
        "headstart": VERSION,
        "git": _git_version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": version("pytorch_lightning"),
        "torchvision": torchvision.__version__,
    }


def _git_version() -> str | None:
    command = ["git", "-C", str(PACKAGE), "describe", "--always", "--dirty", "--exclude=*"]
    if "site-packages" in PACKAGE.parts:  # installed: a checkout around it would be somebody else's
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
