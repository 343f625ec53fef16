"""Rows of a CSV or Parquet file, as text."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from headstart.system.files.csv_cells import uncelled
from headstart.types import UserError


def table_rows(file: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Some columns of a table, as text without space around it; what is missing is empty.

    Args:
        file: What ends in .parquet or .pq is Parquet, all else CSV in UTF-8 with a row of column names.
        columns: Names of the columns, that of the path first.

    Raises UserError where there is no such file or column, or the file may not be read.
    """
    try:
        if not file.is_file():
            raise UserError(f"table must be a CSV or Parquet file, and there is none at {file}")
        names, rows = _parquet(file, columns) if file.suffix.lower() in (".parquet", ".pq") else _csv(file, columns)
    except PermissionError as error:
        raise UserError(
            f"table must be a file that may be read, got {file}: {error.strerror}; its owner can give the right to "
            f"read it (chmod a+r {file}) and to enter its folder"
        ) from error
    if absent := [name for name in columns if name not in names]:
        raise UserError(
            f"{file} must have the columns {', '.join(columns)}, got {', '.join(names) or 'none'} without "
            f"{', '.join(absent)}; {_separator_hint(names)}name yours by target.path_column, target.label_column (or "
            "label_columns, target_column), target.split_column, target.group_column"
        )
    if twice := [name for name in columns if names.count(name) > 1]:
        raise UserError(
            f"{file} must have each column once, it has two called {', '.join(twice)}; give one another name"
        )
    return [tuple(_text(row[name], name, number, file) for name in columns) for number, row in enumerate(rows, start=1)]


def _text(value: Any, column: str, row: int, file: Path) -> str:
    """A cell as text, empty where it is missing. Raises UserError where it holds no single value."""
    if value is None or (isinstance(value, float) and math.isnan(value)):  # as pandas writes what is missing
        return ""
    if isinstance(value, list | dict | bytes):
        raise UserError(
            f"{column} of {file} must hold a word or a number in each row, got a {type(value).__name__} in row {row}; "
            "write several labels into one cell, as ant|big, and set target.label_separator='|'"
        )
    return str(value).strip()


def _separator_hint(names: Sequence[str]) -> str:
    """What to try where the whole first row was taken for one name."""
    signs = {";": "semicolons", "\t": "tabs"}
    found = [called for sign, called in signs.items() if len(names) == 1 and sign in names[0]]
    return f"its cells seem to be separated by {found[0]}: save it with commas; or " if found else ""


def _csv(file: Path, columns: Sequence[str]) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:  # spreadsheets begin a file with a byte order mark
            reader = csv.DictReader(text, strict=True)  # a quote that is never closed would swallow all rows behind it
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            words = columns[1:]  # a path is what is there
            rows = []
            for row in reader:
                _check_length(row, reader.line_num, file, len(names))
                rows.append(row | {name: uncelled(row[name]) for name in words if row.get(name)})
            return names, rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} is no CSV file in UTF-8 ({error}); save it as one") from error


def _check_length(row: Mapping[Any, Any], line: int, file: Path, columns: int) -> None:
    """Raise UserError where a row has more cells than there are columns: what is behind a comma would be lost."""
    if columns > 1 and any(cell.strip() for cell in row.get(None) or ()):  # of one, another message says more
        raise UserError(
            f"each row of {file} must have {columns} cells, line {line} has {columns + len(row[None])}; put a cell "
            'with a comma into quotes: "cat, black"'
        )


def _parquet(file: Path, columns: Sequence[str]) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError(
            f"to read {file}, pyarrow is needed, and it is not installed: "
            "pip install 'headstart[table]', or save it as CSV"
        ) from error
    try:
        names = parquet.read_schema(file).names
        # of these columns alone: others may hold the images themselves
        table = parquet.read_table(file, columns=[name for name in columns if name in names])
    except Exception as error:  # pyarrow raises errors of its own
        raise UserError(f"{file} is no Parquet file that can be read ({error})") from error
    return list(names), table.to_pylist()
