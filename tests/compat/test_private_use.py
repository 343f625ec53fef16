"""What is private in another library is used nowhere but in src/headstart/compat."""

import ast
from pathlib import Path

from torch import nn

SOURCE = Path(__file__).parents[2] / "src" / "headstart"
LIBRARIES = {"pytorch_lightning", "lightning_fabric", "torchmetrics", "hydra", "omegaconf", "torch", "torchvision"}
UNDOCUMENTED = {"lightning_fabric"}  # packages that a user of Lightning is not to import
LOOPS = {"fit_loop", "validate_loop", "test_loop", "epoch_loop", "val_loop"}  # of Lightning's trainer, internal
# underscored names that Python documents as public: of named tuples, and the end of a process
DOCUMENTED = {"_replace", "_asdict", "_fields", "_make", "_exit"}


def is_private(name: str) -> bool:
    """Whether a name begins with an underscore, and is neither Python's (__x__) nor Hydra's key (_x_)."""
    return name.startswith("_") and not name.endswith("_") and name not in DOCUMENTED


def defined(tree: ast.Module) -> set[str]:
    """The private names that a file's own classes and functions define: methods, fields, attributes of self."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return {name for name in names if is_private(name)} - set(dir(nn.Module))  # what overrides torch's is torch's


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def private_uses(text: str, own: set[str]) -> set[str]:
    """What a file uses that is private elsewhere; own: what the package's classes define."""
    tree, uses = ast.parse(text), set()
    here = defined(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            allowed = own if is_self(node.value) else here
            if (is_private(node.attr) and node.attr not in allowed) or node.attr in LOOPS:
                uses.add(node.attr)
        elif isinstance(node, ast.FunctionDef) and is_private(node.name) and node.name in dir(nn.Module):
            uses.add(node.name)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("getattr", "hasattr", "setattr", "delattr"):
                name = getattr(node.args[1], "value", "")
                uses |= {name} if isinstance(name, str) and is_private(name) and name not in here else set()
        elif isinstance(node, ast.ImportFrom | ast.Import):
            uses |= imported(node)
    replaced = [line for line in text.splitlines() if "method-assign" in line and not line.lstrip().startswith("self.")]
    return uses | ({"method-assign"} if replaced else set())  # a method of another's object


def imported(node: ast.ImportFrom | ast.Import) -> set[str]:
    """The private parts of what a statement imports from one of the libraries."""
    paths = [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        paths = [f"{node.module}.{path}" for path in paths]
    parts = {part for path in paths if path.partition(".")[0] in LIBRARIES for part in path.split(".")}
    return {part for part in parts if is_private(part) or part in UNDOCUMENTED}


def test_private_uses_are_found_in_each_of_their_forms():
    text = """
import torch._dynamo.config
from hydra._internal.hydra import Hydra
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.nn.modules.batchnorm import _NormBase
trainer._connector.dump()
trainer.fit_loop.run()
getattr(module, "_compiled", None)
super()._compose()
loop.end = act  # type: ignore[method-assign]
class Own(Module):
    def _load_from_state_dict(self): ...
    def __init__(self):
        self.optional = None  # type: ignore[method-assign]
    def _mine(self): return self._foreign, other._mine, self._mine, batch._replace(x=1), cfg._target_
"""
    want = {"_dynamo", "_internal", "lightning_fabric", "_NormBase", "_connector", "fit_loop", "_compiled", "_compose"}
    want |= {"method-assign", "_load_from_state_dict", "_foreign"}
    assert private_uses(text, own={"_mine"}) == want


def test_only_compat_uses_what_is_private_in_another_library():
    texts = {path.relative_to(SOURCE).as_posix(): path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}
    own = set().union(*(defined(ast.parse(text)) for text in texts.values()))
    used = {path: private_uses(text, own) for path, text in texts.items() if not path.startswith("compat/")}
    assert {path: uses for path, uses in used.items() if uses} == {}
