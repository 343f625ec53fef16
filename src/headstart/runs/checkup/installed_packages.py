"""Versions of Python, of the packages that every run needs, and of the extras."""

from __future__ import annotations

import platform

from headstart.runs.checkup.finding import Finding
from headstart.runs.outcome.git_state import git_state
from headstart.runs.outcome.library_versions import version_of
from headstart.system.files.conf_folder import PACKAGE
from headstart.system.headstart_version import VERSION

NEEDED = (
    "torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "omegaconf", "numpy", "scipy",
    "scikit-learn", "pillow", "matplotlib", "safetensors", "captum", "tensorboard",
)  # fmt: skip
EXTRAS = (
    "timm", "peft", "huggingface-hub", "datasets", "webdataset", "pyarrow", "onnx", "pillow-heif", "optuna",
    "wandb", "mlflow-skinny", "comet-ml",
    "hydra-joblib-launcher", "hydra-submitit-launcher",
)  # fmt: skip


def installed_packages() -> list[Finding]:
    """headstart and Python; the needed packages, none of which may be missing; the extras that are there."""
    commit = None if "site-packages" in PACKAGE.parts else git_state(PACKAGE)
    needed = {name: version_of(name) for name in NEEDED}
    missing = [name for name, version in needed.items() if version is None]
    there = [f"{name} {version}" for name, version in needed.items() if version is not None]
    extras = [f"{name} {version}" for name in EXTRAS if (version := version_of(name)) is not None]
    absent = [name for name in EXTRAS if version_of(name) is None]
    return [
        Finding(
            "headstart",
            "ok",
            f"{VERSION}{f' (git {commit})' if commit else ''}, Python {platform.python_version()}, "
            f"{platform.platform()}",
        ),
        Finding(
            "packages",
            "failed" if missing else "ok",
            ", ".join(there) + (f"; missing: {', '.join(missing)}" if missing else ""),
        ),
        Finding("extras", "ok", f"{', '.join(extras) or 'none'}; not installed: {', '.join(absent) or 'none'}"),
    ]
