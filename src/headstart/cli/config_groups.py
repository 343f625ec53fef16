"""Groups and options in folders of YAML files, listed without Hydra."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DEFAULT = re.compile(r"^\s*-\s+(?:optional\s+)?([\w/]+)(@[\w.]+)?:\s*(\S+)", re.MULTILINE)
INNER = re.compile(r"^\s*-\s+/(\w+)(@[\w.]+):\s*(\S+)", re.MULTILINE)  # where a task uses a group


@dataclass(frozen=True)
class Option:
    """One YAML file of a group."""

    name: str
    about: str  # its first comment


@dataclass(frozen=True)
class Group:
    """One folder of options."""

    name: str
    keys: tuple[str, ...]  # as a user overrides it: data@source, data@target
    defaults: tuple[str, ...]  # the option of each key, "null" where none
    options: tuple[Option, ...]


def groups(folders: list[Path]) -> list[Group]:
    """The groups of several folders; the first one's config.yaml tells where they are used, with what.

    They come in the order of its defaults list, those that only the tasks use after them by name.
    """
    used: dict[str, dict[str, str]] = {}
    for name, package, option in DEFAULT.findall((folders[0] / "config.yaml").read_text(encoding="utf-8")):
        used.setdefault(name, {})[name + package] = option
    of_tasks: dict[str, dict[str, str]] = {}
    for file in sorted((folders[0] / "task").glob("*.yaml")):
        for name, package, option in INNER.findall(file.read_text(encoding="utf-8")):
            of_tasks.setdefault(name, {})[name + package] = option
    used = used | {name: keys for name, keys in sorted(of_tasks.items()) if name not in used}
    options: dict[str, dict[str, Option]] = {}
    for folder in folders:
        for file in sorted(folder.rglob("*.yaml")):
            parts = file.relative_to(folder).with_suffix("").parts
            is_shared = any(part.startswith("_") for part in parts)  # what the options of a group have in common
            if len(parts) > 1 and not is_shared and parts[0] not in ("hydra", "local"):  # not for every day
                option = Option("/".join(parts[1:]), _about(file))
                options.setdefault(parts[0], {})[option.name] = option
    names = [name for name in used if name in options] + sorted(set(options) - set(used))
    return [
        Group(
            name,
            tuple(used.get(name, {name: "null"})),
            tuple(used.get(name, {name: "null"}).values()),
            tuple(options[name].values()),
        )
        for name in names
    ]


def _about(file: Path) -> str:
    """The first comment line that says something, without a leading file name; "" where there is none."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            return ""
        text = line.lstrip("# ").strip()
        if text and not text.startswith("@package"):
            return re.sub(r"^\S+\.yaml\s+-+\s+", "", text)
    return ""
