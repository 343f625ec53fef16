"""The folder of the shipped YAML files."""

from pathlib import Path

import headstart


def conf_dir() -> Path:
    """The folder of the shipped YAML files: inside the installed package, else in the checkout."""
    package = Path(headstart.__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"
