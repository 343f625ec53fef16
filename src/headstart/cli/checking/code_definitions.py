"""Definitions of dotted names in source code, found without importing anything."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Imported:
    """A name that comes from elsewhere."""

    dotted: str


Bound = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.expr | Imported


@dataclass(eq=False)
class Scope:
    """The names that the body of a module or of a class binds."""

    names: dict[str, Bound] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)  # modules of `from x import *`


@dataclass(frozen=True, eq=False)
class Module:
    """A file of Python source, or a package without one."""

    name: str
    folders: tuple[str, ...]  # where its submodules lie
    scope: Scope
    text: str = ""


@dataclass(frozen=True, eq=False)
class Definition:
    """A class, a function or an assigned value, in the module whose names it uses."""

    module: Module
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.expr
    in_class: bool = False


def definition(dotted: str) -> Definition | None:
    """What the name stands for, aliases and re-exports followed; None where the source does not tell."""
    meaning = _looked_up(dotted, set())
    return meaning if isinstance(meaning, Definition) else None


def definition_in(module: Module, dotted: str) -> Definition | None:
    """What a name used inside this module stands for."""
    meaning = _member(module, dotted.split("."), set(), inside=True)
    return meaning if isinstance(meaning, Definition) else None


def origin_in(module: Module, dotted: str) -> str:
    """The full name that a name used inside this module was imported as; itself where it was not."""
    first, dot, rest = dotted.partition(".")
    bound = module.scope.names.get(first)
    return bound.dotted + dot + rest if isinstance(bound, Imported) else dotted


def missing_part(dotted: str) -> str | None:
    """The shortest prefix that is surely not there; None where all is there or the source cannot tell."""
    parts = dotted.split(".")
    source = _top(parts[0])
    if source is None:
        return parts[0] if _is_unknown(parts[0]) else None
    for depth, part in enumerate(parts[1:], start=2):
        bound = source.scope.names.get(part)
        below = _file_of(bound.dotted) if isinstance(bound, Imported) else _submodule(source, part)
        if (bound is not None and below is None) or _is_compiled(source, part):
            return None
        if below is None:
            dynamic = source.scope.stars or "__getattr__" in source.text or "globals()" in source.text
            unreadable = not source.text and not source.folders
            return None if dynamic or unreadable else ".".join(parts[:depth])
        source = below
    return None


def members(node: ast.ClassDef, module: Module) -> dict[str, Bound]:
    """The names that the body of a class binds."""
    return _scope(node.body, module.name, is_package=False).names


def bases(node: ast.ClassDef, module: Module) -> Iterator[Definition | None]:
    """The classes that a class inherits from, None for each that the source does not tell."""
    for base in node.bases:
        plain = base.value if isinstance(base, ast.Subscript) else base  # Generic[T] -> Generic
        name = dotted_name(plain)
        yield definition_in(module, name) if name else None


def dotted_name(node: ast.expr) -> str | None:
    """`a.b.c` of the expression that reads so, None for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted_name(node.value)
        return f"{before}.{node.attr}" if before else None
    return None


def _looked_up(dotted: str, seen: set[str]) -> Definition | Module | None:
    if dotted in seen:  # `from pkg import sub as sub` inside pkg: the submodule is meant
        return None
    seen.add(dotted)
    top, *rest = dotted.split(".")
    module = _top(top)
    return _member(module, rest, seen) if module else None


def _member(module: Module, path: list[str], seen: set[str], inside: bool = False) -> Definition | Module | None:
    if not path:
        return module
    name, *rest = path
    bound = module.scope.names.get(name)
    if isinstance(bound, Imported):
        member = _looked_up(".".join([bound.dotted, *rest]), seen)
        if member is not None:
            return member
    elif bound is not None:
        return _within(Definition(module, bound), rest, seen)
    below = None if inside else _submodule(module, name)
    if below is not None:
        return _member(below, rest, seen)
    for star in module.scope.stars:
        source, mark = _file_of(star), f"{star}:*:{name}"
        if source is not None and mark not in seen:
            seen.add(mark)
            member = _member(source, path, seen, inside=True)
            if member is not None:
                return member
    return None


def _file_of(module: str) -> Module | None:
    top, *below = module.split(".")
    source = _top(top) if top else None
    for name in below:
        source = _submodule(source, name) if source else None
    return source


def _within(holder: Definition, rest: list[str], seen: set[str]) -> Definition | Module | None:
    node, module = holder.node, holder.module
    if isinstance(node, ast.ClassDef) and rest:
        bound = members(node, module).get(rest[0])
        if isinstance(bound, Function):
            return Definition(module, bound, in_class=True) if len(rest) == 1 else None
        if bound is None:
            for base in bases(node, module):
                inherited = _within(base, rest, seen) if base else None
                if inherited is not None:
                    return inherited
        return None
    alias = dotted_name(node) if isinstance(node, ast.expr) else None
    if alias is not None:
        mark = f"{module.name}:{alias}"
        if mark in seen:
            return None
        seen.add(mark)
        target = _member(module, [*alias.split("."), *rest], seen, inside=True)
        return target if target is not None else holder if not rest else None
    return None if rest else holder


def _top(name: str) -> Module | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # ValueError: __main__ and modules made by hand have no spec
        return None
    if spec is None:
        return None
    folders = tuple(spec.submodule_search_locations or ())
    if spec.origin and spec.origin.endswith(".py"):
        return _module(name, Path(spec.origin), folders)
    return Module(name, folders, Scope())


def _is_unknown(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return False


def _submodule(module: Module, name: str) -> Module | None:
    for folder in module.folders:
        below = Path(folder, name)
        if (below / "__init__.py").is_file():
            return _module(f"{module.name}.{name}", below / "__init__.py", (str(below),))
        if below.with_suffix(".py").is_file():
            return _module(f"{module.name}.{name}", below.with_suffix(".py"), ())
        if below.is_dir():
            return Module(f"{module.name}.{name}", (str(below),), Scope())
    return None


def _is_compiled(module: Module, name: str) -> bool:
    files = (Path(folder, name + suffix) for folder in module.folders for suffix in EXTENSION_SUFFIXES)
    return any(file.exists() for file in files)


def _module(name: str, file: Path, folders: tuple[str, ...]) -> Module:
    return _parsed(name, str(file), folders, file.stat().st_mtime_ns)


@cache
def _parsed(name: str, file: str, folders: tuple[str, ...], _changed_ns: int) -> Module:
    try:
        text = Path(file).read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):  # the import will tell, with the line
        return Module(name, folders, Scope(stars=[""]))
    return Module(name, folders, _scope(tree.body, name, is_package=Path(file).name == "__init__.py"), text)


def _scope(body: list[ast.stmt], module: str, is_package: bool) -> Scope:
    scope = Scope()
    package = module if is_package else module.rpartition(".")[0]
    _bind(body, package, scope, weak=False)
    return scope


def _bind(body: list[ast.stmt], package: str, scope: Scope, weak: bool) -> None:
    def put(name: str, bound: Bound) -> None:
        if not (weak and name in scope.names):
            scope.names[name] = bound

    for node in body:
        if isinstance(node, ast.ClassDef | Function):
            if not any((dotted_name(mark) or "").endswith("overload") for mark in node.decorator_list):
                put(node.name, node)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                put(alias.asname or top, Imported(alias.name if alias.asname else top))
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(node, package)
            for alias in node.names:
                if alias.name == "*":
                    scope.stars.append(source)
                else:
                    put(alias.asname or alias.name, Imported(f"{source}.{alias.name}"))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    put(target.id, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
            put(node.target.id, node.value)
        elif type(node).__name__ == "TypeAlias":  # `type X = ...`, in the grammar since Python 3.12
            put(node.name.id, node.value)  # type: ignore[attr-defined]
        elif isinstance(node, ast.If | ast.Try):
            _bind(node.body, package, scope, weak)
            for handler in node.handlers if isinstance(node, ast.Try) else []:
                _bind(handler.body, package, scope, weak=True)  # the fallback of an import that failed
            _bind(node.orelse, package, scope, weak=True)
        elif isinstance(node, ast.With):
            _bind(node.body, package, scope, weak)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    above = parts[: len(parts) - (node.level - 1)]
    return ".".join([*above, node.module] if node.module else above)
