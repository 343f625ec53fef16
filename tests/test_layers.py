"""Which rooms of the package a module may import; that no modules import each other in a circle."""

import ast
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "headstart"
OPEN_TO_ALL = {"types", "system", "compat"}  # import nothing of the other rooms; any module may import them
ALLOWED = {
    "system": set(),
    "compat": set(),
    "backbones": set(),
    "data": set(),
    "report": set(),
    "scores": set(),
    "search": set(),
    "unfreeze": set(),
    "adaptation": {"backbones"},
    "features": {"backbones", "data"},
    "regularizers": {"backbones", "features"},
    "modules": {"adaptation", "backbones", "data", "regularizers", "unfreeze"},
    "explain": {"backbones", "data", "features"},
    "selection": {"adaptation", "features"},
    "evaluation": {"modules"},
    "callbacks": {
        *("adaptation", "backbones", "data", "distributed", "evaluation", "explain", "features"),
        *("modules", "search", "selection", "unfreeze"),
    },
    "runs": {"api", "cli", "tasks"},
    "recipes": {"api", "cli", "tasks"},
    "distributed": {"api", "cli", "tasks"},
    "tasks": {"api", "cli"},
    "cli": {"api"},
    "api": set(),
}
NEVER = ("runs", "recipes", "distributed", "tasks", "cli", "api")  # of these ALLOWED says what they must not import
ROOT = {  # of files at the package's root
    "__init__": {"api", "callbacks", "system", "unfreeze"},
    "__main__": {"cli"},
    "types": set(),
}


def sources() -> dict[str, Path]:
    """Dotted module name -> file."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)] = path
    return found


@cache
def imported(path: Path) -> set[str]:
    """Everything that a file imports, at its top or inside of a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_of(name: str, files: dict[str, Path]) -> str:
    """The module that an imported name is, or lies in; the name itself where it is none of the package's."""
    return name if name in files else name.rpartition(".")[0] if name.rpartition(".")[0] in files else name


def room_of(module: str) -> str:
    return module.split(".")[1]


def may_import(module: str) -> set[str]:
    room = room_of(module)
    rooms = set(ALLOWED)
    if room in ROOT:
        return ROOT[room]
    if room in NEVER:
        return rooms - ALLOWED[room]
    return ALLOWED[room] | {room} | OPEN_TO_ALL


def test_every_module_imports_only_the_rooms_that_it_may():
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    wrong = {}
    for module, path in sources().items():
        used = {name.split(".")[1] for name in imported(path) if name.startswith("headstart.")} & rooms
        if extra := used - may_import(module):
            wrong[module] = extra
    assert wrong == {}


def test_modules_read_nothing_of_the_package_itself():
    names = {name for path in sources().values() for name in imported(path) if name.count(".") == 1}
    known = set(ALLOWED) | set(ROOT)
    own = {name.split(".")[1] for name in names if name.startswith("headstart.")}
    assert own - known == set()  # what __init__.py offers comes from the rooms, and is imported from there


def test_every_room_is_named_here():
    assert {path.parent.name for path in SOURCE.glob("*/__init__.py")} <= set(ALLOWED)
    assert {path.stem for path in SOURCE.glob("*.py")} == set(ROOT)


def test_no_modules_import_each_other_in_a_circle():
    files = sources()
    imports = {module: {module_of(name, files) for name in imported(path)} - {module} for module, path in files.items()}
    left = dict(imports)
    while free := [module for module, needed in left.items() if not needed & set(left)]:
        for module in free:
            del left[module]
    assert set(left) == set()  # what is left imports itself by way of others, or imports what does


def test_hydra_is_known_only_to_the_command_and_to_what_makes_runs():
    wrong = {
        module
        for module, path in sources().items()
        if room_of(module) not in ("api", "cli", "tasks", "runs", "recipes", "distributed", "compat")
        and module != "headstart.report.multirun_hook"
        and any(name.split(".")[0] in ("hydra", "omegaconf") for name in imported(path))
    }
    assert wrong == set()


def test_the_report_imports_no_torch_and_a_schedule_no_lightning():
    banned = {"report": {"torch", "pytorch_lightning", "torchvision"}, "unfreeze": {"pytorch_lightning"}}
    wrong = {
        module
        for module, path in sources().items()
        if {name.split(".")[0] for name in imported(path)} & banned.get(room_of(module), set())
    }
    assert wrong == set()
