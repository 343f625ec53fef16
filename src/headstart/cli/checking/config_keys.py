"""Check that every key of a config fits the signature of its target."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from headstart.cli.checking.callable_parameters import Signature, signature
from headstart.cli.checking.closest_name import closest, hint, listed
from headstart.cli.checking.code_definitions import definition, dotted_name, missing_part
from headstart.cli.checking.renamed_names import check_target
from headstart.cli.checking.setting_ranges import INSTEAD, PLACES
from headstart.cli.checking.value_types import (
    UNKNOWN,
    Anything,
    Choice,
    Listing,
    Scalar,
    ValueType,
    choices,
    expected,
    fits,
    is_computable,
    is_plain,
)
from headstart.cli.config_composing import Plain
from headstart.types import UserError

SETTINGS = "headstart.runs.top_level_settings.Settings"  # the schema of the top level
RANGES = "headstart.cli.checking.setting_ranges"
FILLED = ("monitor", "mode")  # of a callback of any package: null is the run's own metric, and its direction
HYDRAS_KEYS: dict[str, ValueType] = {  # what instantiating reads of a node itself
    "_target_": Scalar("str"),
    "_partial_": Scalar("bool"),
    "_args_": Listing(Anything()),
    "_recursive_": Scalar("bool"),
    "_convert_": Choice(("none", "partial", "object", "all")),
}
# nodes that headstart calls with further arguments, and nodes that it calls as they are
COMPLETED = re.compile(r"(weights\.)?(optimizer|scheduler(\.schedulers\[\d+\])?)")
WHOLE = (
    "source",
    "target",
    "backbone",
    "head",
    "module",
    "trainer",
    "unfreeze",
    "adaptation",
    "selection",
    "regularizer",
)


class MisfitError(UserError):
    """A value that its parameter cannot take."""

    def __init__(self, message: str, path: str, kind: ValueType) -> None:
        super().__init__(message)
        self.path = path
        self.kind = kind


def check_nodes(config: Plain, mounts: frozenset[str], groups: list[str]) -> None:
    """Raise UserError for the first key that nothing takes, or value that does not fit.

    mounts: the top-level keys where groups lie. groups: as a user overrides them.
    """
    for key, value in config.values.items():
        _check_finite(key, value)
    settings = signature(SETTINGS)
    parameters = settings.parameters if settings else {}
    task = config.values.get("task")
    known = mounts | ({task} if isinstance(task, str) else set())
    for group in groups:
        _check_inner_mount(config.values, group)
    for key, value in config.values.items():
        if key in parameters:
            check_value(key, value, parameters[key].kind, "")
        elif key in known:
            _check_mount(key, value)
        elif key in config.referred:  # a user's own value that other keys take by ${key}
            _check_inside(key, value)
        else:
            raise UserError(unknown_top(key, [*mounts, *parameters], groups))
    if isinstance(task, str) and not (isinstance(node := config.values.get(task), dict) and "_target_" in node):
        raise UserError(
            f"task={task} needs a node {task} with the _target_ of its function, got none; "
            f"try: conf/task/fit.yaml shows how"
        )


def unknown_top(key: str, keys: list[str], groups: list[str]) -> str:
    """The message for a top-level name that is neither a group nor a key."""
    plain_keys = sorted({name for name in keys if isinstance(name, str)} - set(groups))
    near = closest(key, [*groups, *plain_keys])
    meant = f"; did you mean {near}?" if near else ""
    return f"there is no {key}: the groups are {listed(groups)}; the other keys {listed(plain_keys)}{meant}"


def unknown_key(path: str, target: str, valid: list[str]) -> str:
    """The message for a key that a target, or a mapping where target is "", does not have."""
    where, _, key = path.rpartition(".")
    owner = f"{where} ({target})" if target else where
    return f"{owner} has no {key}; it has {listed(valid)}{hint(key, valid, where + '.{}')}"


def names_of(node: dict[str, Any], known: Signature | None) -> list[str]:
    """The keys that a node may have: what its target takes, else what it has."""
    if known is not None:
        return list(known.parameters)
    return [key for key in node if key not in HYDRAS_KEYS]


def _check_mount(path: str, node: Any) -> None:
    if not isinstance(node, dict):
        if node is not None and node is not UNKNOWN:
            raise UserError(
                f"{path} must be a mapping or null, got {_shown(node)}; try one of its keys: {path}.<key>=..."
            )
        return
    if "_target_" in node:
        check_call(path, node)
        return
    targets = [key for key, value in node.items() if isinstance(value, dict) and "_target_" in value]
    for key, value in node.items():
        if targets and key not in targets and value not in (None, UNKNOWN):
            raise UserError(
                f"{path}.{key} needs a _target_, as {listed(f'{path}.{name}' for name in targets)} have, "
                f"got {_shown(value)}{hint(key, targets, path + '.{}')}"
            )
    _check_inside(path, node)


def _check_inner_mount(values: dict[str, Any], group: str) -> None:
    """Raise UserError where a plain value stands in the place of a group below the top, as in mix@module.mix."""
    path = group.partition("@")[2]
    node: Any = values
    for name in path.split(".") if "." in path else ():
        node = node.get(name) if isinstance(node, dict) else None
    if isinstance(node, str | int | float):
        raise UserError(
            f"{path} must be a mapping or null, got {_shown(node)}; an option is chosen by {group}={_shown(node)}"
        )


def _check_inside(path: str, value: Any) -> None:
    if isinstance(value, dict) and "_target_" in value:
        check_call(path, value)
    elif isinstance(value, dict | list):
        for name, child in _children(path, value):
            _check_inside(name, child)


def check_call(path: str, node: dict[str, Any]) -> None:
    """Raise UserError where a node has a key that its target does not take, or a value that does not fit.

    Args:
        path: Of the node.
        node: With `_target_`.
    """
    target = node["_target_"]
    if not isinstance(target, str):
        if target is not UNKNOWN:
            raise UserError(f"{path}._target_ must be the dotted name of a class or function, got {target!r}")
        return
    absent = missing_part(target)
    if absent is not None:
        check_target(path, target)
        raise UserError(
            f"{path}._target_ is {target}, but there is no {absent}; "
            "is it spelt as in `import`, and in the working folder or installed?"
        )
    _check_partial(path, node)
    known, ranges = signature(target), _ranges(path)
    for key, value in node.items():
        name = f"{path}.{key}"
        if key in HYDRAS_KEYS:
            check_value(name, value, HYDRAS_KEYS[key], "")
            continue
        if known is not None and key not in known.parameters and not known.takes_others:
            raise UserError(unknown_key(name, target, names_of(node, known)))
        # what is no number is for the class to judge, but for the trainer's
        filled = value is None and key in FILLED and path.startswith("callbacks.")
        within = ranges if isinstance(value, int | float | list) or target.endswith(".Trainer") else []
        for schema in (known, *within):
            kind = schema.parameters[key].kind if schema is not None and key in schema.parameters else None
            if kind is not None and not filled and not (node.get("_partial_") is True and _is_completed(value, kind)):
                check_value(name, value, kind, target)
        _check_inside(name, value)


def _check_partial(path: str, node: dict[str, Any]) -> None:
    """Raise UserError where `_partial_` is not what the code that makes the object expects."""
    is_partial = node.get("_partial_", False)
    if COMPLETED.fullmatch(path) and not is_partial:
        raise UserError(
            f"{path}._partial_ must be true, as headstart adds what only a run knows (the parameters of the model, the "
            f"optimizer), got {_shown(is_partial)}"
        )
    if path in WHOLE and is_partial is True:
        raise UserError(f"{path}._partial_ must be false, as headstart makes {path} of this node alone, got true")


def _ranges(path: str) -> list[Signature | None]:
    """What the settings of a node at this place may be, whatever class it names."""
    name = PLACES.get(path.rpartition(".")[2].partition("[")[0])
    return [signature(f"{RANGES}.{class_name}") for class_name in (name, "Anywhere") if class_name]


def _is_completed(value: Any, kind: ValueType) -> bool:
    """Whether the wiring makes something else of it in a partial call: of null, or of a share of the run."""
    values = value if isinstance(value, list) else [value]
    whole = [1 if isinstance(number, float) and 0 < number < 1 else number for number in values]
    return value is None or (whole != values and fits(whole if isinstance(value, list) else whole[0], kind))


def check_value(path: str, value: Any, kind: ValueType, target: str) -> None:
    """Raise MisfitError where a value is not of a type.

    Args:
        path: Of the value.
        value: What is given.
        kind: The type.
        target: Whose parameter it is, for the message; may be empty.
    """
    if is_plain(kind) and (made := _object_of(value)):
        raise MisfitError(f"{path} must be {expected(kind)}, got an object of {made}", path, kind)
    if fits(value, kind):
        return
    words = choices(kind)
    near = hint(value, words, path + "={}") if isinstance(value, str) else ""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and fits(str(value), kind) and not fits(1, kind):
        near = f"; as text it is written {path}=\\'{value}\\'"
    owner = f" ({target})" if target else ""
    instead = f"; {INSTEAD[path]}" if path in INSTEAD else ""
    raise MisfitError(f"{path} must be {expected(kind)}, got {_shown(value)}{owner}{near}{instead}", path, kind)


def _check_finite(path: str, value: Any) -> None:
    """Raise UserError for a number, wherever it stands, that is none."""
    if isinstance(value, dict | list):
        for name, child in _children(path, value):
            _check_finite(name, child)
    elif value is not UNKNOWN and not is_computable(value):
        kind = Scalar("float" if isinstance(value, float) else "int")
        size = "a finite number" if isinstance(value, float) else "a whole number of at most 64 bits"
        raise MisfitError(f"{path} must be {size}, got {_shown(value)}", path, kind)


def _object_of(value: Any) -> str:
    """The class of the object that a mapping with `_target_` makes; "" where it may make a number or a text."""
    target = value.get("_target_") if isinstance(value, dict) else None
    meaning = definition(target) if isinstance(target, str) else None
    if meaning is None or not isinstance(meaning.node, ast.ClassDef):
        return ""
    plain = {"int", "float", "str", "Enum", "IntEnum", "StrEnum"}
    return "" if plain & {(dotted_name(base) or "").rpartition(".")[2] for base in meaning.node.bases} else str(target)


def _children(path: str, value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield f"{path}.{key}", child
    else:
        for index, child in enumerate(value):
            yield f"{path}[{index}]", child


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
