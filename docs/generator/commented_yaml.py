"""Keys of a YAML file with their values and the comments beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class CommentedKey:
    """One key of a YAML file.

    Args:
        path: Dotted name from the top of the file, such as until.patience.
        value: Its value; of a nested mapping the mapping.
        comment: The comment on its line, else the comment lines above it.
        nested: Whether the keys of its mapping are listed themselves.
    """

    path: str
    value: Any
    comment: str
    nested: bool


def head_comment(file: Path) -> list[str]:
    """The lines of the comment at the top of a file, without `# @package`."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("# ").strip()
        if text and not text.startswith("@package"):
            lines.append(text)
    return lines


def is_global(file: Path) -> bool:
    """Whether the keys of a file lie at the top level of the config."""
    return "@package _global_" in file.read_text(encoding="utf-8").partition("\n")[0]


def swept(file: Path) -> dict[str, str]:
    """The parameters that a study sweeps, as its command line would have them."""
    node = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    params = node.get("hydra", {}).get("sweeper", {}).get("params", {}) if isinstance(node, dict) else {}
    return {str(key): str(value) for key, value in params.items()}


def commented_keys(file: Path) -> list[CommentedKey]:
    """All keys of a file in order, those of nested block mappings included; `defaults` and `hydra` are left out.

    Of a file whose keys lie at the top level, those of mappings in braces are listed too.
    """
    text = file.read_text(encoding="utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return []
    values = yaml.safe_load(text)
    return _keys(root, values, "", text.splitlines(), is_global(file))


def _keys(
    node: yaml.MappingNode, values: dict[str, Any], prefix: str, lines: list[str], braces: bool
) -> list[CommentedKey]:
    keys: list[CommentedKey] = []
    for key, value in node.value:
        name = str(key.value)
        if not prefix and name in ("defaults", "hydra"):
            continue
        nested = isinstance(value, yaml.MappingNode) and (not value.flow_style or braces) and name != "folders"
        in_braces = nested and bool(value.flow_style)  # its comment is that of the keys in it, on the same line
        comment = "" if in_braces else _comment(key, value, nested, lines)
        keys.append(CommentedKey(prefix + name, values[name], comment, nested))
        if nested:
            keys += _keys(value, values[name], f"{prefix}{name}.", lines, braces)
    return keys


def _comment(key: yaml.Node, value: yaml.Node, nested: bool, lines: list[str]) -> str:
    end = key.end_mark if nested else value.end_mark
    line = end.line if end.line < len(lines) and end.column else key.end_mark.line
    rest = lines[line][end.column if line == end.line else 0 :]
    _, mark, beside = rest.partition("#")
    if mark:
        return beside.strip()
    above: list[str] = []
    at = key.start_mark.line - 1
    while at >= 0 and lines[at].strip().startswith("#") and _indent(lines[at]) == key.start_mark.column and at > 0:
        above.insert(0, lines[at].strip().lstrip("# "))
        at -= 1
    return " ".join(above) if key.start_mark.column else ""  # at column 0 it is the comment of the whole file


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
