"""The folder of the shipped YAML files."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]


def conf_dir() -> Path:
    """The folder of the shipped YAML files: inside the installed package, else at the top of the checkout."""
    installed = PACKAGE / "conf"
    return installed if installed.is_dir() else PACKAGE.parents[1] / "conf"
