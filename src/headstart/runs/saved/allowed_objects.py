"""The objects that a config of another person may name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from headstart.system.files.conf_folder import conf_dir

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
# tasks that train, and so can be gone on with; the others write where their settings say
TRAINING = ("fit", "few_images", "probe")
LOCAL_LOGGERS = ("csv", "tensorboard")  # the others send what they are told to an address
# what our own code writes into the config of a trial or of a rule's run, and no file of conf/ names
WRITTEN = ("headstart.data.splits.image_budget.ImageBudget", "headstart.unfreeze.schedules.shortened_phases.Shortened")
# what users name besides: it computes or prints, and writes no file
USUAL = {
    "torch.optim": (
        "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon", "NAdam", "RAdam",
        "RMSprop", "Rprop", "SGD", "SparseAdam",
    ),
    "torch.optim.lr_scheduler": (
        "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR",
        "ExponentialLR", "LinearLR", "MultiStepLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR",
        "StepLR",
    ),
    "pytorch_lightning.callbacks": (
        "DeviceStatsMonitor", "EarlyStopping", "GradientAccumulationScheduler", "LearningRateMonitor", "ModelSummary",
        "StochasticWeightAveraging", "TQDMProgressBar", "Timer",
    ),
    "torchvision.transforms.v2": (  # not Lambda, which calls what it is given
        "AugMix", "AutoAugment", "ColorJitter", "Compose", "ElasticTransform", "GaussianBlur", "GaussianNoise",
        "Grayscale", "RandAugment", "RandomAdjustSharpness", "RandomAffine", "RandomApply", "RandomAutocontrast",
        "RandomChannelPermutation", "RandomChoice", "RandomCrop", "RandomEqualize", "RandomErasing", "RandomGrayscale",
        "RandomHorizontalFlip", "RandomInvert", "RandomOrder", "RandomPerspective", "RandomPhotometricDistort",
        "RandomPosterize", "RandomResizedCrop", "RandomRotation", "RandomSolarize", "RandomVerticalFlip",
        "TrivialAugmentWide",
    ),
}  # fmt: skip


def is_allowed(name: str, own: Iterable[Path] = ()) -> bool:
    """Whether a dotted name means an object of the list.

    The list has what shipped files name by `_target_`, what our own code writes into configs, USUAL, and what the files
    in `own`, conf folders of the user, name. An object is known by its own module and qualified name: of another way to
    write one (torch.optim.adamw.AdamW) only that very one counts. No module is imported that the list does not name.
    """
    listed = _shipped() | frozenset().union(*(named_in(folder) for folder in own))
    if name in listed:
        return True
    last = name.rpartition(".")[2]
    objects = (_object(listed_name) for listed_name in listed if listed_name.rpartition(".")[2] == last)
    return any(
        obj is not None and name == f"{obj.__module__}.{obj.__qualname__}" and _object(name) is obj for obj in objects
    )


@cache
def named_in(folder: Path) -> frozenset[str]:
    """The dotted names that the YAML files below a folder have as `_target_`, or as the `target` of backbone=module."""
    return frozenset(name for file in folder.rglob("*.yaml") for name in _names(content(file)))


@cache
def values_in(folder: Path) -> frozenset[tuple[str, str]]:
    """The (key, text) that the YAML files below a folder set."""
    return frozenset(pair for file in folder.rglob("*.yaml") for pair in _texts(content(file)))


def content(file: Path) -> Any:
    """What a YAML file holds, None where it cannot be read."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(file.read_bytes(), Loader=loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


@cache
def sending_loggers() -> tuple[dict[str, Any], ...]:
    """The nodes of the shipped loggers that send what they are told to an address."""
    files = sorted(file for file in conf_dir().glob("logger/*.yaml") if file.stem not in LOCAL_LOGGERS)
    return tuple(content(file)[file.stem] for file in files)


@cache
def _shipped() -> frozenset[str]:
    conf = conf_dir()
    sending = {name for node in sending_loggers() for name in _names(node)}
    others = {name for file in conf.glob("task/*.yaml") if file.stem not in TRAINING for name in _names(content(file))}
    usual = {f"{module}.{name}" for module, names in USUAL.items() for name in names}
    return (named_in(conf) - others - sending) | usual | set(WRITTEN)


def _names(node: Any) -> Iterator[str]:
    yield from (text for key, text in _texts(node) if key in ("_target_", "target") and DOTTED.fullmatch(text))


def _texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, child in node.items():
            yield from _texts(child, str(name))
    elif isinstance(node, list):
        for child in node:
            yield from _texts(child, key)
    elif isinstance(node, str):
        yield key, node


def _object(name: str) -> Any:
    """The class or function of a listed name, None where it is not installed."""
    parts = name.split(".")
    for at in range(len(parts) - 1, 0, -1):
        try:
            obj: Any = import_module(".".join(parts[:at]))
        except ImportError:
            continue
        for part in parts[at:]:
            obj = getattr(obj, part, None)
        return obj if hasattr(obj, "__qualname__") and hasattr(obj, "__module__") else None
    return None
