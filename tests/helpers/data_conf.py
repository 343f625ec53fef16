"""The defaults of a data set, as its YAML and the shared ones of conf/data/_settings state them."""

from pathlib import Path
from typing import Any

import yaml

from headstart.data.dataset_settings import SplitSettings

FOLDER = Path(__file__).parents[2] / "conf" / "data"


def data_conf(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The node of `data=<name>`, with the keys that its defaults list brings."""
    file = folder / f"{name}.yaml"
    own = yaml.safe_load(file.read_text(encoding="utf-8"))
    node: dict[str, Any] = {}
    for other in own.pop("defaults", ["_self_"]):
        node |= own if other == "_self_" else data_conf(other.partition("@")[0], file.parent)
    return node


def keywords(name: str) -> dict[str, Any]:
    """The same without its target: what the class is called with, apart from pixels and seed."""
    return {key: value for key, value in data_conf(name).items() if key != "_target_"}


def split_settings(**changes: Any) -> SplitSettings:
    """Settings of a division: the defaults of conf/data/_settings/splits.yaml, seed 0, and these changes."""
    return {**data_conf("splits", FOLDER / "_settings"), "seed": 0} | changes
