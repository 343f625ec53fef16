"""Parameters of a `_target_`, read from its source without importing it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property

from headstart.cli.checking.annotation_types import value_type
from headstart.cli.checking.code_definitions import (
    Definition,
    Function,
    Module,
    bases,
    definition,
    definition_in,
    dotted_name,
    members,
)
from headstart.cli.checking.value_types import Either, Null, Scalar, ValueType, fits

PLAIN_BASES = ("object", "ABC", "Generic", "Protocol", "TypedDict")  # classes that add no parameter


@dataclass(frozen=True)
class Parameter:
    """One parameter, as the source states it."""

    name: str
    annotation: ast.expr | None
    default: ast.expr | None
    module: Module

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is None

    @cached_property
    def kind(self) -> ValueType:
        """What may be given: the annotation, and what the default is where the annotation forgets it."""
        kind = value_type(self.annotation, self.module)
        if isinstance(self.default, ast.Constant) and not fits(self.default.value, kind):
            value = self.default.value
            of_default = Null() if value is None else Scalar(type(value).__name__)
            if value is None or type(value) in (bool, int, float, str):
                return Either((*(kind.options if isinstance(kind, Either) else (kind,)), of_default))
        return kind


@dataclass(frozen=True)
class Signature:
    """The parameters of a callable that a config can name."""

    parameters: dict[str, Parameter]
    takes_others: bool  # it has **kwargs


def signature(target: str) -> Signature | None:
    """The parameters of a class or function by its dotted name; None where the source does not tell.

    Inheritance, dataclasses, NamedTuples, re-exports and aliases are followed; decorators are taken to keep
    the signature of what they decorate.
    """
    meaning = definition(target)
    return _of_definition(meaning, 0) if meaning is not None else None


def _of_definition(callee: Definition, depth: int) -> Signature | None:
    node = callee.node
    if isinstance(node, Function):
        return _of_function(node, callee.module, callee.in_class)
    return _of_class(node, callee.module, depth) if isinstance(node, ast.ClassDef) else None


def _of_function(node: ast.FunctionDef | ast.AsyncFunctionDef, module: Module, in_class: bool) -> Signature:
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults)) + [*args.defaults]
    pairs = list(zip(positional, defaults, strict=True))
    static = any(dotted_name(mark) == "staticmethod" for mark in node.decorator_list)
    skipped = max(len(args.posonlyargs), 1 if in_class and not static else 0)  # self, cls; what has no keyword
    pairs = [*pairs[skipped:], *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    parameters = {arg.arg: Parameter(arg.arg, arg.annotation, default, module) for arg, default in pairs}
    unpacked = _unpacked(args.kwarg, module)
    if unpacked is not None:
        return Signature(parameters | unpacked.parameters, takes_others=False)
    return Signature(parameters, takes_others=args.kwarg is not None)


def _unpacked(kwarg: ast.arg | None, module: Module) -> Signature | None:
    """The fields of the TypedDict in `**settings: Unpack[Settings]`; None where the keywords are others."""
    annotation = kwarg.annotation if kwarg is not None else None
    if not isinstance(annotation, ast.Subscript) or _last_name(annotation) != "Unpack":
        return None
    name = dotted_name(annotation.slice)
    meaning = definition_in(module, name) if name else None
    return _of_definition(meaning, 0) if meaning is not None else None


def _of_class(node: ast.ClassDef, module: Module, depth: int) -> Signature | None:
    if depth > 30:  # 30: a class that inherits from itself has no end
        return None
    own = members(node, module)
    for maker in ("__init__", "__new__"):
        bound = own.get(maker)
        if isinstance(bound, Function):
            return _of_function(bound, module, in_class=True)
    if _is_dataclass(node) or _is_named_tuple(node) or _is_typed_dict(node, module):
        return _of_fields(node, module, depth)
    return _of_bases(node, module, depth)


def _of_bases(node: ast.ClassDef, module: Module, depth: int) -> Signature | None:
    for base, base_class in zip(node.bases, bases(node, module), strict=True):
        if _last_name(base) in PLAIN_BASES:
            continue
        inherited = _of_definition(base_class, depth + 1) if base_class is not None else None
        if inherited is None:
            return None
        if inherited.parameters or inherited.takes_others or len(node.bases) == 1:
            return inherited
    return Signature({}, takes_others=False)


def _of_fields(node: ast.ClassDef, module: Module, depth: int) -> Signature | None:
    fields: dict[str, Parameter] = {}
    for base, base_class in zip(node.bases, bases(node, module), strict=True):
        if _last_name(base) in (*PLAIN_BASES, "NamedTuple"):
            continue
        inherited = _of_definition(base_class, depth + 1) if base_class is not None else None
        if inherited is None:
            return None
        fields |= inherited.parameters
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            name = line.target.id
            if "ClassVar" in ast.unparse(line.annotation):
                continue
            is_parameter, default = _field_default(line.value)
            if is_parameter:
                fields[name] = Parameter(name, line.annotation, default, module)
    return Signature(fields, takes_others=False)


def _field_default(value: ast.expr | None) -> tuple[bool, ast.expr | None]:
    """Whether the field is a parameter, and its default."""
    if not (isinstance(value, ast.Call) and _last_name(value.func) == "field"):
        return True, value
    named = {keyword.arg: keyword.value for keyword in value.keywords}
    init = named.get("init")
    is_parameter = not (isinstance(init, ast.Constant) and init.value is False)
    return is_parameter, named.get("default", named.get("default_factory"))


def _is_dataclass(node: ast.ClassDef) -> bool:
    marks = [mark.func if isinstance(mark, ast.Call) else mark for mark in node.decorator_list]
    return any(_last_name(mark) == "dataclass" for mark in marks)


def _is_named_tuple(node: ast.ClassDef) -> bool:
    return any(_last_name(base) == "NamedTuple" for base in node.bases)


def _is_typed_dict(node: ast.ClassDef, module: Module, depth: int = 0) -> bool:
    if depth > 30:  # 30: a class that inherits from itself has no end
        return False
    return any(
        _last_name(base) == "TypedDict"
        or (
            base_class is not None
            and isinstance(base_class.node, ast.ClassDef)
            and _is_typed_dict(base_class.node, base_class.module, depth + 1)
        )
        for base, base_class in zip(node.bases, bases(node, module), strict=True)
    )


def _last_name(node: ast.expr) -> str:
    plain = node.value if isinstance(node, ast.Subscript) else node
    return (dotted_name(plain) or "").rpartition(".")[2]
