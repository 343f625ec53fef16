"""Mutants of Python files, drawn by seed: each is a file with one small change by an operator of cosmic-ray."""

import ast
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

# what needs arguments, is an error in any case, or mostly changes nothing (an abstract method, a cache)
LEFT_OUT = ("ExceptionReplacer", "RemoveDecorator", "VariableReplacer", "VariableInserter")
OPERATORS = tuple(name for name in operator_names() if name.rpartition("/")[2] not in LEFT_OUT)


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Args:
        path: The file.
        line: Where the change is; from 1.
        operator: What changes it, by cosmic-ray's name.
        code: The whole file, changed.
    """

    path: Path
    line: int
    operator: str
    code: str

    def changed_line(self) -> tuple[str, str]:
        """The first line that differs, before and after."""
        before, after = self.path.read_text(encoding="utf-8").splitlines(), self.code.splitlines()
        changed = [(old.strip(), new.strip()) for old, new in zip(before, after, strict=False) if old != new]
        return changed[0] if changed else ("", "")

    def title(self, root: Path) -> str:
        """File, line, operator and the changed line, before and after."""
        before, after = self.changed_line()
        name = self.operator.rpartition("/")[2]
        return f"{self.path.relative_to(root)}:{self.line} {name}\n    - {before}\n    + {after}"


def draw(paths: list[Path], *, count: int, seed: int) -> list[Mutant]:
    """So many mutants: places first, all equally likely, then one of the changes that are possible at the place.

    Changes of annotations and docstrings are none: no test can see them.
    """
    random_numbers = random.Random(seed)
    places = _places(paths)
    drawn: list[Mutant] = []
    for place in random_numbers.sample(sorted(places), len(places)):
        if len(drawn) == count:
            break
        path, (line, _) = place
        changes = places[place]
        for name, occurrence in random_numbers.sample(changes, len(changes)):
            source = path.read_text(encoding="utf-8")
            code = mutate_code(source, get_operator(name)(), occurrence)
            if code is not None and _compiles(code) and _meaning(code) != _meaning(source):
                drawn.append(Mutant(path, line, name, code))
                break
    return drawn


def _places(paths: list[Path]) -> dict[tuple[Path, tuple[int, int]], list[tuple[str, int]]]:
    """(file, (line, column)) -> the operators that can change it, each with the number of its occurrence."""
    places: dict[tuple[Path, tuple[int, int]], list[tuple[str, int]]] = defaultdict(list)
    for path in paths:
        nodes = list(ast_nodes(get_ast(path.read_text(encoding="utf-8"))))
        for name in OPERATORS:
            operator = get_operator(name)()
            positions = (start for node in nodes for start, _ in operator.mutation_positions(node))
            for occurrence, start in enumerate(positions):
                places[path, start].append((name, occurrence))
    return places


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _meaning(code: str) -> str:
    """The code without annotations, texts that stand alone and the kinds of parameters."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.arguments):  # * and / among the parameters are no operators
            node.args, node.posonlyargs = [*node.posonlyargs, *node.args, *node.kwonlyargs], []
            node.defaults += [value for value in node.kw_defaults if value is not None]
            node.kwonlyargs, node.kw_defaults = [], []
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
    return ast.dump(tree)
