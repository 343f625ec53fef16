"""Settings that cannot change a figure, and what stands for them in a run's hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# what conf/ ships, so that runs with these values have the hashes of before such settings were left out
SHIPPED: dict[str, Any] = {
    "logger": {
        "csv": {"_target_": "pytorch_lightning.loggers.CSVLogger", "name": "", "version": ""},
        "tensorboard": {
            "_target_": "pytorch_lightning.loggers.TensorBoardLogger", "name": "", "version": "",
            "default_hp_metric": False,
        },
    },
    "trainer.profiler": None,
    "trainer.enable_progress_bar": False,
    "trainer.enable_model_summary": False,
    "callbacks.progress": {"_target_": "headstart.callbacks.timing.progress_bar.Progress", "monitor": None},
}  # fmt: skip
OWN = "callbacks.progress"  # another class there may be anything: it counts
OF_THE_MACHINE = ("feature_cache.folder", "feature_cache.max_gib")  # where and how large the cache may be


def is_uncounted(key: str) -> bool:
    """Whether an override's key, `logger` or `logger.csv.name`, cannot change a figure, whatever its value.

    A class of one's own may stand in callbacks.progress, so that this key is not among them.
    """
    known = [name for name in (*SHIPPED, *OF_THE_MACHINE, "tests", "data@tests") if name != OWN]
    return any(key == name or key.startswith(f"{name}.") for name in known)


def without_uncounted(config: Mapping[Any, Any]) -> dict[Any, Any]:
    """A plain config in which each of these settings that is there has the shipped value."""
    counted = dict(config)
    for key, shipped in SHIPPED.items():
        above, _, last = key.rpartition(".")
        node = counted.get(above) if above else counted
        if not isinstance(node, dict) or last not in node or _is_own(key, node[last]):
            continue
        if above:
            counted[above] = {**node, last: shipped}
        else:
            counted[last] = shipped
    return counted


def uncounted_differences(asked: Mapping[str, Any], ran: Mapping[str, Any]) -> list[str]:
    """A phrase for each of these settings in which two configs differ, `logger csv, not csv, tensorboard`."""
    told = []
    for key in SHIPPED:
        ran_value, asked_value = _at(ran, key), _at(asked, key)
        if ran_value != asked_value and key != OWN:
            told.append(f"{key} {_shown(ran_value)}, not {_shown(asked_value)}")
    return told


def _is_own(key: str, node: Any) -> bool:
    return key == OWN and isinstance(node, dict) and node.get("_target_") != SHIPPED[OWN]["_target_"]


def _at(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value["_target_"]) if "_target_" in value else ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
