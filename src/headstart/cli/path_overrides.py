"""Override values that are paths, passed unharmed through Hydra's grammar."""

from __future__ import annotations

import os
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from headstart.system.files.short_paths import is_path_key


def shell_like(overrides: list[str], multirun: bool) -> list[str]:
    """The overrides as Hydra must get them for values to mean what the shell meant.

    A path is taken verbatim with ~ expanded; under multirun a comma separates several paths, unless the whole
    names something that exists. Any other value that Hydra's grammar cannot read is taken verbatim too.
    """
    return [_rewritten(override, multirun) for override in overrides]


def _rewritten(override: str, multirun: bool) -> str:
    key, equals, value = override.partition("=")
    if not equals:
        return override
    if _is_path(key) and not _is_left_alone(value):
        several = multirun and not Path(_expanded(value)).exists()
        parts = [part.strip() for part in value.split(",")] if several else [value]
        return f"{key}=" + ",".join(_unharmed(_expanded(part)) for part in parts)
    if not _is_readable(override) and _is_readable(verbatim := f"{key}={quoted(value)}"):
        return verbatim
    return override


def _unharmed(path: str) -> str:
    # most paths need no quotes, and the overrides stay readable in .hydra/ and in the run's name
    try:
        parsed = OverridesParser.create().parse_override(f"path={path}")
    except HydraException:
        return quoted(path)
    return path if parsed.value() == path else quoted(path)


def quoted(text: str) -> str:
    """The text as a quoted value of Hydra's grammar, whatever characters it has."""
    return QuotedString(text, Quote.single).with_quotes()


def _is_path(key: str) -> bool:
    return not key.startswith("~") and is_path_key(key)


def _is_left_alone(value: str) -> bool:
    in_quotes = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return not value or in_quotes or "${" in value or value in ("null", "???")


def _expanded(path: str) -> str:
    return os.path.expanduser(path)  # noqa: PTH111 - Path would drop a trailing slash and a leading ./


def _is_readable(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True
