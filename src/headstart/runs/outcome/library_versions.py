"""Versions of the packages that a run was made with."""

from __future__ import annotations

import functools
import platform
from importlib.metadata import PackageNotFoundError, version

import torch
import torchvision

from headstart.runs.outcome.git_state import git_state
from headstart.system.files.conf_folder import PACKAGE
from headstart.system.headstart_version import VERSION

OPTIONAL = ("timm", "peft")  # extras whose layers a run may compute with


@functools.cache
def versions() -> dict[str, str | None]:
    """The version of each package by its name; None of one that is not installed.

    git is the commit of headstart's own checkout, None where it does not lie in one.
    """
    return {
        "headstart": VERSION,
        # installed: a checkout around it would be somebody else's
        "git": None if "site-packages" in PACKAGE.parts else git_state(PACKAGE),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": version("pytorch_lightning"),
        "torchvision": torchvision.__version__,
        "hydra": version("hydra-core"),
        **{name: version_of(name) for name in OPTIONAL},
    }


def version_of(package: str) -> str | None:
    """The version of a package that need not be installed; None where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
