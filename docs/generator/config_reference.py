"""Reference pages of the configuration: each key of conf/ with meaning, type, range and default."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml
from commented_yaml import commented_keys, head_comment, is_global, swept
from markdown_text import cell, code, docstring, inline

from headstart.cli.checking.callable_parameters import Parameter, Signature, signature
from headstart.cli.checking.code_definitions import definition
from headstart.cli.checking.config_keys import RANGES
from headstart.cli.checking.config_keys import SETTINGS as TOP_LEVEL
from headstart.cli.checking.setting_ranges import PLACES
from headstart.cli.checking.value_types import Anything, Either, Instance, ValueType, choices, expected
from headstart.cli.config_groups import Group, groups
from headstart.system.files.conf_folder import conf_dir

HEADER = "| key | meaning | type and range | default |\n|---|---|---|---|"
COMMAND = re.compile(r"((?:\w+=\S+ )*headstart (?:-m|--config-dir|task=|[\w@.]+=)[^;]*?(?= \(|;|, with|, without|$))")
HIDDEN = ("_target_", "_partial_", "_recursive_", "_convert_")
COMMON = {  # keys that mean the same wherever they stand
    "batch_size": "images in a batch, on each device",
    "folder": "where the files are written",
    "max_epochs": "passes over the training images",
    "milestones": "when the rate falls, in optimizer steps or as shares of the run",
    "mode": "min where a lower value is better, max where a higher one is",
    "momentum": "share of the last step's direction that stays",
    "nesterov": "Nesterov's form of momentum",
    "name": "the model or the data set, by its library's name",
    "optimizer": "the optimizer",
    "scheduler": "the schedule of the learning rate",
}


@dataclass(frozen=True)
class KeyRow:
    """One key of the configuration, as the reference shows it.

    Args:
        path: The name on the command line.
        meaning: What it does; empty where neither comment nor docstring says it.
        kind: Type and range in words.
        default: The value in YAML.
    """

    path: str
    meaning: str
    kind: str
    default: str

    def __str__(self) -> str:
        return f"| {code(self.path)} | {cell(self.meaning)} | {cell(self.kind)} | {code(self.default)} |"


def config_pages() -> dict[str, str]:
    """The pages by their path in the site: the top level, and one for each group."""
    pages = {"reference/config/top_level.md": _top_level()}
    for group in documented_groups():
        pages[f"reference/config/{group.name}.md"] = _group_page(group)
    return pages


def documented_groups() -> list[Group]:
    """The groups with the options that a user can choose; files that options share are none."""
    return [
        replace(group, options=tuple(option for option in group.options if not option.name.startswith("_")))
        for group in groups([conf_dir()])
    ]


def group_rows(group: Group, option: str) -> list[KeyRow]:
    """The keys of one option of a group."""
    file = conf_dir() / group.name / f"{option}.yaml"
    rows = _rows(file, "" if is_global(file) else _mount(group))
    return [_completed(row) for row in rows if row.path != group.name]


def top_level_rows() -> list[KeyRow]:
    """The keys at the top of the config."""
    return list(_rows(conf_dir() / "config.yaml", ""))


@cache
def _default_rows() -> dict[str, KeyRow]:
    """The keys of the default option of each group by path."""
    rows = {row.path: row for row in _rows(conf_dir() / "config.yaml", "")}
    for group in documented_groups():
        for key, default in zip(group.keys, group.defaults, strict=True):
            file = conf_dir() / group.name / f"{default}.yaml"
            if file.is_file() and not is_global(file):
                rows |= {row.path: row for row in _rows(file, key.partition("@")[2] or group.name)}
    return rows


def _completed(row: KeyRow) -> KeyRow:
    """The row with what the default option, or the table of common keys, says of a key without a comment."""
    usual = _default_rows().get(row.path)
    meaning = row.meaning or (usual.meaning if usual else "") or COMMON.get(row.path.rpartition(".")[2], "")
    return KeyRow(row.path, meaning, row.kind or (usual.kind if usual else ""), row.default)


def _top_level() -> str:
    rows = "\n".join(str(row) for row in top_level_rows())
    return (
        "# Top level\n\nThese keys belong to no group. They are set by `key=value`, such as `seed=1`. "
        f"The file is `conf/config.yaml`.\n\n{HEADER}\n{rows}\n"
    )


def _group_page(group: Group) -> str:
    chosen = ", ".join(
        f"`{key}=` (default: `{default}`)" for key, default in zip(group.keys, group.defaults, strict=True)
    )
    parts = [f"# {group.name}", f"An option is chosen by {chosen}.", _others(group)]
    for option in group.options:
        file = conf_dir() / group.name / f"{option.name}.yaml"
        parts.append(f"## {option.name}\n\n" + "\n".join(map(_with_commands, head_comment(file))))
        bases = _bases(file)
        target = _target(file)
        if target:
            parts.append(f"Class: {_class_link(target)}")
        elif bases:
            parts.append("It begins as " + ", ".join(f"`{base.stem}`" for base in bases) + " and sets:")
        if params := swept(file):
            parts.append("It sweeps: " + ", ".join(f"`{key}={value}`" for key, value in params.items()) + ".")
        if rows := group_rows(group, option.name):
            parts.append(HEADER + "\n" + "\n".join(map(str, rows)))
        if more := _addable(file):
            parts.append(
                f"Further parameters of the class are added by `+{_mount(group)}.<name>=...`: "
                + ", ".join(f"`{name}`" for name in more)
                + "."
            )
    return "\n\n".join(part for part in parts if part) + "\n"


def _others(group: Group) -> str:
    mounts = [key.partition("@")[2] for key in group.keys if "@" in key]
    if len(mounts) < 2:
        return ""
    rest = ", ".join(f"`{mount}`" for mount in mounts if mount != _mount(group))
    return f"The keys below are those of `{_mount(group)}`; below {rest} they have the same names."


def _with_commands(line: str) -> str:
    """A line of a comment, its commands as code."""
    parts = COMMAND.split(line)
    return "".join(code(part) if at % 2 else inline(part) for at, part in enumerate(parts)) + "  "


def _mount(group: Group) -> str:
    """Where the keys of a group lie: the target's where source and target both have such a group."""
    mounts = [key.partition("@")[2] or group.name for key in group.keys]
    return next((mount for mount in mounts if mount.startswith("target")), mounts[0])


def _rows(file: Path, mount: str, shared_by: str = "") -> Iterator[KeyRow]:
    """The keys of a file; shared_by: the class of the option that includes it."""
    rows: dict[str, KeyRow] = {}
    target = shared_by or _target(file)
    if target:  # an option with a class of its own shows what it shares with others, too
        for base in _bases(file):
            rows |= {row.path: row for row in _rows(base, mount, shared_by=target)}
    targets = {"": target or next((_target(base) for base in _bases(file) if _target(base)), "")}
    for key in commented_keys(file):
        above, _, name = key.path.rpartition(".")
        if name in HIDDEN:
            continue
        if isinstance(key.value, dict):
            targets[key.path] = key.value.get("_target_", "")
        path = ".".join(part for part in (mount, key.path) if part)
        if key.nested and not key.comment:
            continue
        target = targets.get(above, "")
        parameter = _parameter(target, name) if target else None
        if parameter is None and not mount:
            parameter = _global_parameter(path)
        meaning = key.comment or _documented(target, name)
        if path in rows and rows[path].meaning:  # the shared file says what it is, the option why its value is another
            shared = rows[path].meaning
            meaning = shared if meaning in ("", "as above", shared) else f"{shared}; here: {meaning}"
        rows[path] = KeyRow(path, meaning, _kind(path, parameter), _shown(key.value, key.nested))
    yield from rows.values()


def _bases(file: Path) -> list[Path]:
    """The files of the same group that an option begins with."""
    node = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    entries = node.get("defaults", []) if isinstance(node, dict) else []
    names = [entry.removesuffix("@_here_") for entry in entries if isinstance(entry, str) and entry != "_self_"]
    paths = [
        (conf_dir() / name.lstrip("/") if name.startswith("/") else file.parent / name).with_suffix(".yaml")
        for name in names
        if "@" not in name
    ]
    return [path for path in paths if path.is_file()]


def _target(file: Path) -> str:
    node = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return str(node.get("_target_", "")) if isinstance(node, dict) else ""


def _parameter(target: str, name: str) -> Parameter | None:
    known = signature(target)
    return known.parameters.get(name) if known else None


def _global_parameter(path: str) -> Parameter | None:
    """The parameter behind a key that is written from the top, such as module.stage_decay in a mode."""
    first, _, rest = path.partition(".")
    if not rest:
        return _parameter(TOP_LEVEL, first)
    for group in documented_groups():
        mounts = {
            key.partition("@")[2] or group.name: default
            for key, default in zip(group.keys, group.defaults, strict=True)
        }
        if mounts.get(first, "null") != "null":
            return _parameter(_target(conf_dir() / group.name / f"{mounts[first]}.yaml"), rest)
    return None


def _kind(path: str, parameter: Parameter | None) -> str:
    kind: ValueType = parameter.kind if parameter else Anything()
    above, _, name = path.rpartition(".")
    place = PLACES.get(above.rpartition(".")[2])
    for schema in (place, "Anywhere"):
        ranges: Signature | None = signature(f"{RANGES}.{schema}") if schema else None
        if ranges and name in ranges.parameters and not choices(kind):
            kind = ranges.parameters[name].kind
            break
    options = kind.options if isinstance(kind, Either) else (kind,)
    made = [option for option in options if isinstance(option, Instance)]
    plain = tuple(option for option in options if option not in made)
    words = [f"a mapping with _target_ ({' or '.join(option.name for option in made)})"] if made else []
    words += [expected(Either(plain))] if plain and not isinstance(kind, Anything) else []
    return " or ".join(words)


def _documented(target: str, name: str) -> str:
    """What the docstring of a target says of a parameter."""
    found = definition(target) if target else None
    if found is None or not isinstance(found.node, ast.ClassDef | ast.FunctionDef):
        return ""
    texts = [ast.get_docstring(found.node)]
    if isinstance(found.node, ast.ClassDef):
        texts += [ast.get_docstring(line) for line in found.node.body if isinstance(line, ast.FunctionDef)]
    return next((about for text in texts if (about := docstring(text).parameters.get(name))), "")


def _addable(file: Path) -> list[str]:
    """Parameters of somebody else's class that the YAML does not list."""
    target = _target(file)
    if not target or target.startswith("headstart."):
        return []
    known = signature(target)
    there = {key.path for key in commented_keys(file)}
    return [name for name in known.parameters if name not in there and name != "params"] if known else []


def _class_link(target: str) -> str:
    if not target.startswith("headstart."):
        return f"`{target}`"
    room = target.split(".")[1]
    return f"[`{target}`](../classes/{room}.md#{target})"


def _shown(value: object, nested: bool) -> str:
    if nested:
        return "{...}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | dict):
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6).strip().removesuffix("\n...")
        return text if len(text) <= 80 else text[:77] + "..."
    return "(needed)" if value == "???" else str(value) if value != "" else "''"
