"""Short names of paths: the last part alone, and as much before it as tells two paths apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

PATH_NAMES = ("root", "dir", "path", "file")  # a key that is one of these, or ends in _ and one of these
BETWEEN = re.compile(r"([,:\[\]{}'\"\s]+)(?!//)")  # what separates the values of a list or a mapping

FOLDER_OF = re.compile(r"\$\{[^{}]*\}/")  # an interpolation that gives a folder


def is_path_key(key: str) -> bool:
    """Whether a setting of this name, `target.root` or `test_file`, holds a path."""
    last = key.lstrip("+").rpartition(".")[2]
    return last in PATH_NAMES or last.endswith(tuple(f"_{name}" for name in PATH_NAMES))


def short_override(override: str) -> str:
    """An override in which each path is its last part: `target.root=/a/b/photos` is `target.root=photos`.

    An absolute path, and one that begins with ~ or a dot, is a path in any setting; `a/b` is one where the key says
    so. Quotes around a path go.
    """
    key, equals, value = override.partition("=")
    if not equals:
        return override
    of_path = is_path_key(key)
    plain = FOLDER_OF.sub("./", value)
    parts = [_last(part) if _is_path(part, of_path) else part for part in BETWEEN.split(plain)]
    text = "".join(parts)
    return f"{key}={text.strip(chr(39) + chr(34)) if of_path else text}"


def short_paths(paths: Iterable[str]) -> dict[str, str]:
    """Of each path that has folders its last parts: one where that is enough to tell it from the others.

    `/a/photos` alone is `photos`; beside `/b/photos` it is `a/photos`.
    """
    parts = {path: path.rstrip("/").split("/") for path in dict.fromkeys(paths) if "/" in path.rstrip("/")}
    lengths = dict.fromkeys(parts, 1)
    while True:
        names = {path: "/".join(parts[path][-lengths[path] :]) for path in parts}
        seen = list(names.values())
        unclear = [p for p, name in names.items() if seen.count(name) > 1 and lengths[p] < len(parts[p])]
        if not unclear:
            return {path: name or path for path, name in names.items()}
        for path in unclear:
            lengths[path] += 1


def with_short_paths(text: str, names: Mapping[str, str]) -> str:
    """A text in which whole paths are replaced by their names."""
    for path in sorted(names, key=len, reverse=True):
        if path in text:
            whole = rf"(?<![\w./~-]){re.escape(path)}/?(?![\w/-]|\.\w)"
            text = re.sub(whole, names[path].replace("\\", r"\\"), text)
    return text


def paths_in(settings: Mapping[str, object]) -> list[str]:
    """The values of settings, by dotted keys, that are paths with a folder of their own."""
    listed = (
        (key, text) for key, value in settings.items() for text in (value if isinstance(value, list) else [value])
    )
    return [
        text for key, text in listed if isinstance(text, str) and _is_path(text, is_path_key(key)) and "://" not in text
    ]


def _is_path(text: str, of_path: bool) -> bool:
    return text.startswith(("/", "~/", "./", "../")) or (of_path and "/" in text)


def _last(path: str) -> str:
    last_part = path.rstrip("/").rpartition("/")[2]
    return path if last_part in ("", ".", "..", "~") else last_part
