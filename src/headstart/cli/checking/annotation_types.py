"""Types of values that annotations in source code ask for."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from headstart.cli.checking.code_definitions import Module, definition_in, dotted_name, origin_in
from headstart.cli.checking.value_types import (
    BOUNDS,
    SCALARS,
    UNKNOWN,
    Anything,
    Bounded,
    Choice,
    Either,
    Instance,
    Listing,
    Null,
    Row,
    Scalar,
    Table,
    ValueType,
)

LISTS = {"list", "List", "Sequence", "Iterable", "Collection", "MutableSequence", "set", "Set", "frozenset"}
TABLES = {"dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict"}
PATHS = {"Path", "PathLike", "PurePath"}
WRAPPERS = {"Final", "ClassVar", "Required", "NotRequired", "ReadOnly"}
MARKS = {  # class of annotated_types -> its parameters in order
    "Ge": ["ge"],
    "Gt": ["gt"],
    "Le": ["le"],
    "Lt": ["lt"],
    "Interval": ["gt", "ge", "lt", "le"],
    "MultipleOf": ["multiple_of"],
    "MinLen": ["min_length"],
    "MaxLen": ["max_length"],
    "Len": ["min_length", "max_length"],
}


def value_type(annotation: ast.expr | None, module: Module, depth: int = 0) -> ValueType:
    """The type that an annotation in this module stands for; Anything where the source does not tell."""
    if annotation is None or depth > 20:  # 20: an alias that names itself has no end
        return Anything()
    if isinstance(annotation, ast.Constant):
        if annotation.value is None:
            return Null()
        return _of_text(annotation.value, module, depth) if isinstance(annotation.value, str) else Anything()
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _either([annotation.left, annotation.right], module, depth)
    if isinstance(annotation, ast.Subscript):
        return _of_subscript(annotation, module, depth)
    name = dotted_name(annotation)
    return _of_name(name, module, depth) if name else Anything()


def _of_text(text: str, module: Module, depth: int) -> ValueType:
    try:
        return value_type(ast.parse(text, mode="eval").body, module, depth + 1)
    except SyntaxError:
        return Anything()


def _of_name(name: str, module: Module, depth: int) -> ValueType:
    origin = origin_in(module, name)
    last = origin.rpartition(".")[2]
    if name in SCALARS and name not in module.scope.names:
        return Scalar(name)
    if _is_standard(origin, name):
        if last in PATHS:
            return Scalar("str")
        if last in LISTS | {"tuple", "Tuple"}:
            return Listing(Anything())
        if last in TABLES:
            return Table(Anything())
        if origin.startswith(("typing", "collections", "builtins")):
            return Anything()
    meaning = definition_in(module, name)
    if meaning is None:
        return Anything()
    if isinstance(meaning.node, ast.expr):
        return value_type(meaning.node, meaning.module, depth + 1)
    return Instance(last) if isinstance(meaning.node, ast.ClassDef) else Anything()


def _of_subscript(annotation: ast.Subscript, module: Module, depth: int) -> ValueType:
    origin = origin_in(module, dotted_name(annotation.value) or "")
    name = origin.rpartition(".")[2]
    inside = annotation.slice
    items = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    if name == "Literal":
        return _choice(items, module)
    if name == "Optional":
        return _either([*items, ast.Constant(None)], module, depth)
    if name == "Union":
        return _either(items, module, depth)
    if name == "Annotated":
        return _bounded(items[0], items[1:], module, depth)
    if name in WRAPPERS:
        return value_type(items[0], module, depth + 1)
    if name in PATHS:
        return Scalar("str")
    if name in LISTS or (name in ("tuple", "Tuple") and _is_ellipsis(items[-1])):
        return Listing(value_type(items[0], module, depth + 1))
    if name in ("tuple", "Tuple"):
        return Row(tuple(value_type(item, module, depth + 1) for item in items))
    if name in TABLES and len(items) == 2:
        return Table(value_type(items[1], module, depth + 1))
    return Instance(name) if name in ("type", "Type") else Anything()


def _either(annotations: list[ast.expr], module: Module, depth: int) -> ValueType:
    options: list[ValueType] = []
    for annotation in annotations:
        kind = value_type(annotation, module, depth + 1)
        options += kind.options if isinstance(kind, Either) else [kind]
    return Either(tuple(options))


def _choice(items: list[ast.expr], module: Module) -> ValueType:
    values: list[object] = []
    for item in items:
        value = _constant(item)
        if value is not UNKNOWN:
            values.append(value)
            continue
        kind = value_type(item, module)  # Literal of another Literal
        if not isinstance(kind, Choice):
            return Anything()
        values += kind.values
    return Choice(tuple(values))


def _bounded(inner: ast.expr, marks: list[ast.expr], module: Module, depth: int) -> ValueType:
    bounds: list[tuple[str, Any]] = []
    for mark in marks:
        if isinstance(mark, ast.Call):
            names = MARKS.get(origin_in(module, dotted_name(mark.func) or "").rpartition(".")[2], [])
            limits = [*zip(names, mark.args, strict=False), *((k.arg, k.value) for k in mark.keywords)]
            for name, node in limits:
                bound = _constant(node)
                if name in BOUNDS and bound is not UNKNOWN and bound is not None:
                    bounds.append((name, bound))
    kind = value_type(inner, module, depth + 1)
    return Bounded(kind, tuple(bounds)) if bounds else kind


def _constant(node: ast.expr) -> object:
    """The value of a constant, of `-1` and of `2**32`."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        pass
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.Sub | ast.Mult):
        left, right = _constant(node.left), _constant(node.right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            symbols: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
                ast.Pow: lambda a, b: a**b,
                ast.Sub: lambda a, b: a - b,
                ast.Mult: lambda a, b: a * b,
            }
            return symbols[type(node.op)](left, right)
    return UNKNOWN


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def _is_standard(origin: str, name: str) -> bool:
    return origin == name or origin.startswith(("typing", "collections", "pathlib", "os", "builtins"))
