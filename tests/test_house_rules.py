"""Sizes and names that keep the code readable: lines of files and functions, parameters, first lines, class names."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "headstart"
FILE_LINES, FUNCTION_LINES, PARAMETERS = 300, 60, 8


@cache
def trees() -> list[tuple[str, ast.Module]]:
    """Path and syntax tree of each module of the package."""
    return [
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(SOURCE.rglob("*.py"))
    ]


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Qualified name and node of each function and method."""

    def below(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{prefix}{child.name}", child
                yield from below(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                yield from below(child, f"{prefix}{child.name}.")
            else:
                yield from below(child, prefix)

    yield from below(tree, "")


def configured() -> set[str]:
    """The last part of each dotted name that a shipped YAML file calls."""

    def targets(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "_target_" and isinstance(value, str):
                    yield value.rpartition(".")[2]
                yield from targets(value)
        elif isinstance(node, list):
            for value in node:
                yield from targets(value)

    return {name for file in (ROOT / "conf").rglob("*.yaml") for name in targets(yaml.safe_load(file.read_text()))}


def test_no_file_is_longer_than_300_lines():
    long = {}
    for folder in (SOURCE, ROOT / "tests", ROOT / "benchmarks", ROOT / "examples"):
        for path in folder.rglob("*.py"):
            count = len(path.read_text(encoding="utf-8").splitlines())
            if count > FILE_LINES:
                long[path.relative_to(ROOT).as_posix()] = count
    assert long == {}


def test_no_function_is_longer_than_60_lines():
    long = {
        f"{path}: {name}": length
        for path, tree in trees()
        for name, node in functions(tree)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}


def test_only_what_a_yaml_file_configures_has_more_than_8_parameters():
    exempt = configured()
    many = {}
    for path, tree in trees():
        for name, node in functions(tree):
            names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            count = len([argument for argument in names if argument not in ("self", "cls")])
            owner = name.split(".")[-2] if node.name == "__init__" else node.name
            if count > PARAMETERS and owner not in exempt:
                many[f"{path}: {name}"] = count
    assert many == {}


def test_the_first_line_of_a_module_is_a_statement():
    wrong = {}
    for path, tree in trees():
        if not tree.body:
            continue  # an empty __init__.py
        first = (ast.get_docstring(tree) or "").partition("\n")[0]
        if not first.endswith((".", ":")) or "?" in first:
            wrong[path] = first
    assert wrong == {}


def test_no_two_public_classes_and_no_two_files_have_the_same_name():
    classes, files = defaultdict(list), defaultdict(list)
    for path, tree in trees():
        files[Path(path).name].append(path)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes[node.name].append(path)
    same = {name: places for name, places in (classes | files).items() if len(places) > 1 and name != "__init__.py"}
    assert same == {}
