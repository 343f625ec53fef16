"""Do the rooms import only what ARCHITECTURE.md lets them?"""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "headstart"
ROOMS = {
    *("adaptation", "backbones", "callbacks", "cli", "data", "explain", "features", "mix", "modules", "regularizers"),
    *("report", "scores", "selection", "tasks", "unfreeze"),
}
ALLOWED = {
    "adaptation": {"backbones"},
    "backbones": set(),
    "data": set(),
    "scores": set(),
    "unfreeze": set(),
    "report": set(),
    "regularizers": {"backbones", "features"},
    "modules": {"adaptation", "backbones", "mix", "regularizers", "unfreeze"},
    "features": {"backbones", "data"},
    "mix": {"data"},
    "explain": {"backbones", "data", "features"},
    "selection": {"adaptation", "features"},
    "callbacks": {"adaptation", "backbones", "explain", "features", "modules", "selection", "unfreeze"},
    "tasks": ROOMS - {"cli"},
    "cli": ROOMS,
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_the_rooms_that_it_may(path):
    room = path.relative_to(SOURCE).parts[0]
    if room not in ROOMS:
        return
    used = {name.split(".")[1] for name in imported(path) if name.startswith("headstart.")} & ROOMS
    assert used <= ALLOWED[room] | {room}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_hydra_is_known_only_to_the_command_the_tasks_and_the_hook(path):
    place = path.relative_to(SOURCE)
    if place.parts[0] not in ("cli", "tasks") and place.as_posix() != "report/hook.py":
        assert not {name for name in imported(path) if name.split(".")[0] in ("hydra", "omegaconf")}


@pytest.mark.parametrize("path", sorted(SOURCE.glob("report/*.py")), ids=lambda path: path.name)
def test_the_report_imports_no_torch(path):
    assert not {name for name in imported(path) if name.split(".")[0] in ("torch", "pytorch_lightning", "torchvision")}


def test_every_room_is_named_here():
    assert {path.parent.name for path in SOURCE.glob("*/__init__.py")} == ROOMS


@pytest.mark.parametrize("path", sorted(SOURCE.glob("unfreeze/*.py")), ids=lambda path: path.name)
def test_a_schedule_needs_no_lightning(path):
    assert not {name for name in imported(path) if name.split(".")[0] == "pytorch_lightning"}
