"""Reading the source gives the parameters that importing would give."""

import inspect
import subprocess
import sys
from importlib import import_module
from textwrap import dedent

import pytest

from headstart.cli.checking.callable_parameters import signature
from headstart.cli.checking.code_definitions import missing_part
from headstart.cli.checking.value_types import UNKNOWN, expected, fits

TARGETS = [
    "torch.optim.AdamW",
    "torch.optim.SGD",
    "pytorch_lightning.Trainer",
    "torch.optim.lr_scheduler.OneCycleLR",
    "torch.optim.lr_scheduler.CosineAnnealingLR",
    "torch.optim.lr_scheduler.ConstantLR",
    "pytorch_lightning.loggers.TensorBoardLogger",
    "pytorch_lightning.loggers.CSVLogger",
    "pytorch_lightning.callbacks.EarlyStopping",
]


@pytest.mark.parametrize("target", TARGETS)
def test_parameters_are_those_of_inspect(target):
    module, _, name = target.rpartition(".")
    real = inspect.signature(getattr(import_module(module), name)).parameters
    plain = [p for p in real.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    read = signature(target)
    assert read is not None
    assert list(read.parameters) == [p.name for p in plain]
    assert [p.required for p in read.parameters.values()] == [p.default is p.empty for p in plain]
    assert read.takes_others == any(p.kind is p.VAR_KEYWORD for p in real.values())


def test_nothing_is_imported():
    code = """
        import sys
        from headstart.cli.checking.callable_parameters import signature
        for name in ("torch.optim.AdamW", "pytorch_lightning.Trainer", "torchvision.models.resnet18"):
            assert all(parameter.kind for parameter in signature(name).parameters.values())
        print({name.partition(".")[0] for name in sys.modules} & {"torch", "torchvision"})
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


SOURCE = '''
from __future__ import annotations
import dataclasses
import enum
import os
import typing as t
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple, Optional, TypedDict, Union, Unpack

import annotated_types as at
from annotated_types import Ge, Gt, Interval, Le, Lt, MinLen

from .other import Share, Base, Word as Noun, helper as renamed
if TYPE_CHECKING:
    from torch import Tensor
try:
    from nothing_like_it import Fast as Maybe
except ImportError:
    Maybe = int

Positive = Annotated[int, Gt(0)]
Alias = Optional[Positive]
Shade = Union[Literal["dark"], Literal["light"]]

class Kinds:
    def __init__(self, *, whole: int, number: float, yes: bool, text: str, nothing: None, any_: t.Any, free,
                 share: Share, positive: Positive, alias: Alias, noun: Noun, shade: Shade,
                 seed: Annotated[int, Interval(ge=0, lt=2**32)],
                 dotted: Annotated[float, at.Le(1.5), at.Ge(-1)],
                 names: Annotated[list[str], MinLen(1)], pair: tuple[int, str], many: tuple[float, ...],
                 table: dict[str, int], items: Sequence[int], path: Path, either: "int | str",
                 old: Optional[int], tensor: float | Tensor, call: Callable[[int], int], model: Base,
                 shy: int = None, where: str | os.PathLike[str] = "x", maybe: Maybe = 3): ...

class Heir(Base): ...
class HeirOfHeir(Heir):
    """No __init__ of its own."""
@dataclass(frozen=True)
class Fields:
    first: int
    second: Share = 0.5
    hidden: int = field(init=False, default=3)
    made: list[int] = field(default_factory=list)
    shared: ClassVar[int] = 1
@dataclass
class MoreFields(Fields):
    third: str = "x"
class Pair(NamedTuple):
    left: int
    right: str = "r"
class Maker:
    @classmethod
    def make(cls, size: int) -> Maker: ...
    @staticmethod
    def build(width: int, /, depth: int) -> Maker: ...
class SubMaker(Maker): ...
def function(a: int, *args: int, b: str = "x", **others: object) -> None: ...
@t.overload
def several(a: int) -> int: ...
@t.overload
def several(a: str) -> str: ...
def several(a: int | str, b: int = 1) -> int | str: ...
class Seeded(TypedDict):
    seed: Annotated[int, Ge(0)]
class Loading(Seeded):
    batch_size: Annotated[int, Ge(1)]
class Folds(Seeded):
    folds: int
class Settings(Folds, Loading):
    augment: str | None
class DataSet(Base):
    def __init__(self, *, root: str, **settings: Unpack[Settings]) -> None: ...
shortcut = function
'''
OTHER = """
from typing import Annotated, Literal
from annotated_types import Interval
from . import deep
from .deep import *
Share = Annotated[float, Interval(ge=0, le=1)]
Word = Literal["noun", "verb"]
def helper(x: int): ...
"""
DEEP = """
class Base:
    def __init__(self, depth: int = 1, **rest: int) -> None: ...
"""


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    folder = root / "readable"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from readable.main import *\nfrom readable import main as main\nfrom .main import Kinds as Sorts\n"
    )
    (folder / "main.py").write_text(SOURCE)
    (folder / "other.py").write_text(OTHER)
    (folder / "deep.py").write_text(DEEP)
    (folder / "broken.py").write_text("def x(:\n")
    sys.path.insert(0, str(root))
    yield
    sys.path.remove(str(root))


def names(target):
    found = signature(target)
    return list(found.parameters) if found else None


def test_the_keywords_of_an_unpacked_typed_dict_are_parameters_with_their_ranges():
    read = signature("readable.DataSet")
    assert list(read.parameters) == ["root", "seed", "folds", "batch_size", "augment"]
    assert not read.takes_others
    assert all(parameter.required for parameter in read.parameters.values())
    assert fits(1, read.parameters["batch_size"].kind)
    assert not fits(0, read.parameters["batch_size"].kind)
    assert expected(read.parameters["seed"].kind) == "a whole number at least 0"


def test_inheritance_aliases_and_re_exports_are_followed():
    assert names("readable.main.Heir") == names("readable.HeirOfHeir") == ["depth"]
    assert signature("readable.Heir").takes_others
    assert names("readable.Sorts") == names("readable.main.Kinds")
    assert names("readable.main.renamed") == ["x"]
    assert names("readable.main.shortcut") == ["a", "b"]
    assert names("readable.main.several") == ["a", "b"]


def test_fields_are_parameters():
    assert names("readable.main.Fields") == ["first", "second", "made"]
    assert names("readable.main.MoreFields") == ["first", "second", "made", "third"]
    assert names("readable.main.Pair") == ["left", "right"]
    assert [p.required for p in signature("readable.main.Fields").parameters.values()] == [True, False, False]


def test_methods_lose_their_first_parameter():
    assert names("readable.main.Maker.make") == names("readable.main.SubMaker.make") == ["size"]
    assert names("readable.main.Maker.build") == ["depth"]  # width can be given by position alone


@pytest.mark.parametrize(
    "target", ["readable.broken.x", "readable.main.nothing", "builtins.dict", "torch._C.Size", "no_such"]
)
def test_what_the_source_does_not_tell_is_left_open(target):
    assert signature(target) is None


def test_only_what_is_surely_not_there_is_missing():
    assert missing_part("no_such.Thing") == "no_such"
    assert missing_part("readable.main.Nothing") == "readable.main.Nothing"
    assert missing_part("readable.nowhere.Nothing") is None  # its __init__ has a star: who knows
    assert missing_part("readable.main.Kinds") is None
    assert missing_part("torch._C.Nothing") is None
    assert missing_part("builtins.dict") is None
    assert missing_part("readable.broken.x") is None


FITS = {
    "whole": ([0, -3], [1.0, True, "1", None, []]),
    "number": ([0, 1.5], [True, "1.5", None, "abc"]),
    "yes": ([True, False], [0, "true", None]),
    "text": (["", "x"], [1, None, True]),
    "nothing": ([None], [0]),
    "any_": ([1, None, "x", {}], []),
    "free": ([1, None, "x", []], []),
    "share": ([0, 0.5, 1], [-0.1, 1.1, "x"]),
    "positive": ([1], [0, 1.5]),
    "alias": ([1, None], [0, "x"]),
    "noun": (["noun"], ["nuon", 1]),
    "shade": (["dark", "light"], ["grey"]),
    "seed": ([0, 2**32 - 1], [-1, 2**32]),
    "dotted": ([-1, 1.5], [1.6, -1.1]),
    "names": ([["a"]], [[], [1], "a"]),
    "pair": ([[1, "a"]], [[1], [1, 2], "ab"]),
    "many": ([[], [1, 2.5]], [["a"], 1]),
    "table": ([{}, {"a": 1}], [{"a": "x"}, []]),
    "items": ([[1]], ["abc", [None]]),
    "path": (["/x"], [1]),
    "either": ([1, "x"], [1.5, None]),
    "old": ([1, None], ["x"]),
    "tensor": ([1e-3], ["abc", None]),
    "call": (["anything"], []),
    "model": ([{"_target_": "x.Y"}], []),
    "shy": ([1, None], ["x"]),
    "where": (["x"], [1]),
    "maybe": ([3], []),
}


@pytest.mark.parametrize("name", FITS)
def test_a_value_fits_as_its_annotation_says(name):
    kind = signature("readable.main.Kinds").parameters[name].kind
    good, bad = FITS[name]
    assert [value for value in good if not fits(value, kind)] == []  # type: ignore[attr-defined]
    assert [value for value in bad if fits(value, kind)] == []  # type: ignore[attr-defined]
    assert fits(UNKNOWN, kind)
    assert fits({"_target_": "package.make"}, kind)


def test_a_type_is_told_in_words():
    kinds = {name: expected(p.kind) for name, p in signature("readable.main.Kinds").parameters.items()}
    assert kinds["whole"] == "a whole number"
    assert kinds["share"] == "a number from 0 to 1"
    assert kinds["alias"] == "a whole number above 0 or null"
    assert kinds["noun"] == "noun or verb"
    assert kinds["tensor"] == "a number"
    assert kinds["seed"] == "a whole number at least 0 and below 4294967296"
