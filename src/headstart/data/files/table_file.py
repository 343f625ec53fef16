"""Rows of a CSV or Parquet file, as text."""

from __future__ import annotations

import csv
from collections.abc import Sequence
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

    Raises UserError where there is no such file or column.
    """
    if not file.is_file():
        raise UserError(f"table must be a CSV or Parquet file, and there is none at {file}")
    names, rows = _parquet(file, columns) if file.suffix.lower() in (".parquet", ".pq") else _csv(file, columns)
    if absent := [name for name in columns if name not in names]:
        raise UserError(
            f"{file} must have the columns {', '.join(columns)}, got {', '.join(names) or 'none'} without "
            f"{', '.join(absent)}; name yours by target.path_column, target.label_column (or label_columns, "
            "target_column), target.split_column, target.group_column"
        )
    return [tuple("" if row[name] is None else str(row[name]).strip() for name in columns) for row in rows]


def _csv(file: Path, columns: Sequence[str]) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:  # spreadsheets begin a file with a byte order mark
            reader = csv.DictReader(text)
            words = columns[1:]  # a path is what is there
            rows = [row | {name: uncelled(row[name]) for name in words if row.get(name)} for row in reader]
            return list(reader.fieldnames or ()), rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} is no CSV file in UTF-8 ({error}); save it as one") from error


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
