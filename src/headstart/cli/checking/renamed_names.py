"""Names of earlier versions on a command line and in a user's YAML files, refused with the names of today."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from headstart.runs.saved.allowed_objects import content
from headstart.system.old_names import KEYS, name_now, override_now
from headstart.types import UserError

GROUP = re.compile(r"(?:optional\s+)?(?:override\s+)?/?([\w@.]+)")  # of an entry of a defaults list


def check_overrides(overrides: Iterable[str]) -> None:
    """Raise UserError for the first override that uses a name of an earlier version."""
    for override in overrides:
        if (today := override_now(override)) != override:
            raise UserError(f"{_renaming(override)}, got {override}; try: {today}")


def check_target(path: str, target: str) -> None:
    """Raise UserError where a `_target_` is the name that an object had in an earlier version.

    Args:
        path: The key of the node that has it.
        target: The dotted name, which is not there.
    """
    if (today := name_now(target)) != target:
        raise UserError(f"{target} is called {today} now; write it in {path}._target_")


def renamed_in_files(folders: Iterable[Path]) -> str | None:
    """What to do about the first name of an earlier version in a user's YAML files; None where there is none.

    Args:
        folders: Those of the files, as `--config-dir` gives them.
    """
    for folder in folders:
        for name, today in KEYS.items():
            if (folder / name).is_dir():
                return f"the group {name} is called {today} now; try: mv {folder / name} {folder / today}"
        for file in sorted(folder.rglob("*.yaml")):
            for setting in _settings(content(file), file, folder):
                if (today := override_now(setting)) != setting:
                    return f"{_renaming(setting)}, got {setting} in {file}; write {today}"
    return None


def _renaming(override: str) -> str:
    """`store is called feature_cache now`."""
    key = override.lstrip("+~").partition("=")[0]
    first = re.split(r"\W", key, maxsplit=1)[0]
    if first in KEYS:
        return f"{first} is called {KEYS[first]} now"
    return f"{key} has another name for it now"


def _settings(node: Any, file: Path, folder: Path) -> Iterator[str]:
    """What a file chooses and sets at the top of the config, written as overrides."""
    if not isinstance(node, dict):
        return
    is_primary = file.parent == folder
    entries = node.get("defaults")
    for entry in entries if isinstance(entries, list) else ():
        for choice, option in entry.items() if isinstance(entry, dict) else ():
            group = GROUP.match(str(choice))
            if group is not None and (is_primary or "/" in str(choice)):
                yield f"{group[1]}={option}" if isinstance(option, str) else group[1]
    if is_primary or "@package _global_" in file.read_text(encoding="utf-8"):
        yield from (f"{key}={value}" if isinstance(value, str) else str(key) for key, value in node.items())
        yield from (f"{key}={value}" for key, value in _swept(node).items())


def _swept(node: Any) -> dict[Any, Any]:
    """What a study varies."""
    for key in ("hydra", "sweeper", "params"):
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}
