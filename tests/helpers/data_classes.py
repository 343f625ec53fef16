"""The data classes that a package defines."""

import pkgutil
from dataclasses import is_dataclass
from importlib import import_module


def data_classes_of(package: str) -> list[type]:
    """In all modules below a package, by name."""
    root = import_module(package)
    names = [package, *(module.name for module in pkgutil.walk_packages(root.__path__, f"{package}."))]
    every = [value for name in names for value in vars(import_module(name)).values() if isinstance(value, type)]
    own = {cls for cls in every if is_dataclass(cls) and cls.__module__.startswith(f"{package}.")}
    return sorted(own, key=lambda cls: cls.__qualname__)


def is_frozen(cls: type) -> bool:
    """Whether assigning to a field is an error."""
    return bool(vars(cls)["__dataclass_params__"].frozen)
