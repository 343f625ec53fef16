"""Files, labels, groups and splits of the rows of a table."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from headstart.data.files.listed_images import ClassFiles
from headstart.data.splits.multi_label_division import MultiLabelFiles
from headstart.data.splits.number_division import NumberFiles
from headstart.data.splits.split_names import ALSO_CALLED
from headstart.system.files.csv_cells import uncelled
from headstart.types import SPLITS, UserError

LISTED = 5  # rows that an error names
LARGEST = 1e18  # of numbers as targets: float32, in which they are learned, holds its square
YES, NO = {"1", "1.0", "true"}, {"0", "0.0", "false"}  # of a class's own column; Parquet may hold numbers of any kind

T = TypeVar("T")


@dataclass(frozen=True)
class TableRows:
    """Rows of a table: path, cells of the labels, and perhaps group and split.

    Args:
        rows: The cells as text.
        file: The table, for messages.
        root: The folder that paths are relative to.
        has_group: Whether the last cell, or the one before the split, is the group.
        has_split: Whether the last cell is the split.
    """

    rows: Sequence[tuple[str, ...]]
    file: Path
    root: Path
    has_group: bool
    has_split: bool


def single_labels(table: TableRows) -> tuple[dict[str, ClassFiles], dict[str, str]]:
    """Split -> class -> files, and each file's group, where a cell holds the class.

    Raises UserError, as ImageTable says.
    """

    def read(cells: Sequence[str]) -> str:
        if not cells[0]:
            raise _FaultError("has no label")
        return cells[0]

    files_of: dict[str, ClassFiles] = {}
    read_rows, groups = _read(table, read)
    for split, files in read_rows.items():
        classes: dict[str, list[str]] = defaultdict(list)
        for path, label in files.items():
            classes[label].append(path)
        files_of[split] = {name: sorted(classes[name]) for name in sorted(classes)}
    return files_of, groups


def several_labels(
    table: TableRows, *, separator: str | None, columns: Sequence[str]
) -> tuple[MultiLabelFiles, dict[str, str]]:
    """The labels of each file and its group, where one cell holds all labels or each class has a cell of 0 or 1.

    Args:
        table: The rows.
        separator: What stands between the labels of a cell; None means that each class has a cell.
        columns: Names of the classes' columns.

    Raises UserError, as ImageTable says.
    """

    def read(cells: Sequence[str]) -> frozenset[str]:
        if separator is not None:
            return frozenset(name for part in cells[0].split(separator) if (name := part.strip()))
        for column, cell in zip(columns, cells, strict=True):
            if cell.lower() not in YES | NO:
                raise _FaultError(f"has {cell!r} for {column}, which is neither 0 nor 1")
        return frozenset(column for column, cell in zip(columns, cells, strict=True) if cell.lower() in YES)

    labels_of, groups = _read(table, read)
    of_split = {split: {name for names in files.values() for name in names} for split, files in labels_of.items()}
    names = tuple(columns) if separator is None else tuple(sorted(set().union(*of_split.values())))
    number_of = {name: number for number, name in enumerate(names)}
    numbers = {
        split: {path: frozenset(number_of[name] for name in files[path]) for path in sorted(files)}
        for split, files in labels_of.items()
    }
    return MultiLabelFiles(names, numbers), groups


def number_targets(table: TableRows, *, columns: Sequence[str]) -> tuple[NumberFiles, dict[str, str]]:
    """The numbers of each file and its group, where each column has a number.

    Args:
        table: The rows.
        columns: Names of the columns.

    Raises UserError, as ImageTable says.
    """

    def read(cells: Sequence[str]) -> tuple[float, ...]:
        return tuple(_number(column, cell) for column, cell in zip(columns, cells, strict=True))

    numbers, groups = _read(table, read)
    ordered = {split: {path: files[path] for path in sorted(files)} for split, files in numbers.items()}
    return NumberFiles(tuple(columns), ordered), groups


def _number(column: str, cell: str) -> float:
    """The number in a cell. Raises _FaultError where there is none, or none that can be computed with."""
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        comma = ", with a point for the comma" if "," in cell else ""
        raise _FaultError(f"has {cell!r} for {column}, where a number is needed{comma}")
    if abs(number) > LARGEST:
        raise _FaultError(f"has {cell!r} for {column}, where a number of at most {LARGEST:g} is needed")
    return number


class _FaultError(Exception):
    """What is wrong with a row's labels."""


def _read(table: TableRows, read: Callable[[Sequence[str]], T]) -> tuple[dict[str, dict[str, T]], dict[str, str]]:
    """Split -> path -> what is read of the cells of its labels, and path -> group, empty where no column says it.

    Raises UserError that names the first faults.
    """
    root = table.root
    faults: list[str] = []
    listed: dict[str, tuple[int, str]] = {}  # the file, however its path is written -> the row that lists it, and how
    labels: dict[str, dict[str, T]] = {split: {} for split in SPLITS}
    groups: dict[str, str] = {}
    for number, (text, *cells) in enumerate(table.rows, start=1):
        split_word = cells.pop() if table.has_split else "train"
        group = cells.pop() if table.has_group else ""
        split = ALSO_CALLED.get(split_word.lower(), split_word.lower())
        path = _as_written(text, root)
        try:
            if not path:
                raise _FaultError("has no path")
            real = os.path.realpath(root / path)  # noqa: PTH118, RUF100 - Path.resolve takes ten times as long
            if real in listed:
                first, written = listed[real]
                same = "" if written == path else f", which is {written} of row {first}"
                raise _FaultError(f"lists {path}{same} once more{_both_labels(cells, table.rows[first - 1][1:])}")
            listed[real] = (number, path)
            label = read(cells)
            if split not in labels:
                raise _FaultError(f"has the split {split_word!r}, which is none of {', '.join(SPLITS)}")
            if table.has_group and not group:
                raise _FaultError("has no group")
            if not (root / path).is_file():
                hint = ", and has backslashes, which are no folders here" if "\\" in path else ""
                raise _FaultError(f"lists {path}, which is no file in {root}{hint}")
            labels[split][path] = label
            groups[path] = group
        except _FaultError as fault:
            faults.append(f"row {number} {fault}")
    _check_faults(table, faults)
    if not any(labels.values()):
        raise UserError(
            f"{table.file} must list images to train on, got {len(table.rows)} rows and none of them in train"
        )
    return {split: files for split, files in labels.items() if files}, groups


def _check_faults(table: TableRows, faults: Sequence[str]) -> None:
    if faults:
        more = f"; and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
        raise UserError(
            f"each row of {table.file} must list an image, {len(faults)} of {len(table.rows)} do not: "
            f"{'; '.join(faults[:LISTED])}{more}; mend the table, or set target.root to the folder of its paths"
        )


def _as_written(path: str, root: Path) -> str:
    """The path, with slashes for its backslashes and without what `cell` put before it, where only that is a file."""
    if not path or (root / path).is_file():
        return path
    for other in (path.replace("\\", "/"), uncelled(path)):
        if other != path and (root / other).is_file():
            return other
    return path


def _both_labels(cells: Sequence[str], first: Sequence[str]) -> str:
    """Both labels of a file that is listed twice, where they differ."""
    before, now = (", ".join(row[: len(cells)]) for row in (first, cells))
    return f" (as {now or 'nothing'}, and as {before or 'nothing'} before)" if before != now else ""
