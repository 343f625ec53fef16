"""Images that a CSV or Parquet file lists, a row an image."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Interval, MinLen

from headstart.data.datasets.image_folder import ALSO_CALLED, Found, ListedImages
from headstart.data.decoding.csv_cells import uncelled
from headstart.data.splits.image_groups import groups_by_pattern
from headstart.data.splits.multi_label_division import Several
from headstart.data.transforms.augmentation import Augmentation
from headstart.system.setting_paths import given_path
from headstart.types import SPLITS, Pixels, UserError

LISTED = 5  # rows that an error names
YES, NO = {"1", "1.0", "true"}, {"0", "0.0", "false"}  # of a class's own column; Parquet may hold numbers of any kind

T = TypeVar("T")


class Table(ListedImages):
    """Images that a CSV or Parquet file lists, a row an image.

    table: the file; what ends in .parquet is Parquet and needs pyarrow, all else CSV in UTF-8 with a row of column
    names. path_column, label_column: the columns of the image's path and of its class; split_column: that of its
    split, train, val or test, None for none. group_column: that of what the image belongs to, say a patient, all of
    which stays in one split; group_pattern says the same by the path, as in ImageFolder. root: what paths are relative
    to, None = the table's folder; backslashes in them are slashes where there is such a file. What of val and test the
    table does not list is taken from what it does, and the other arguments are ImageFolder's.

    An image has several labels, or none, where one of these is set. label_separator: what stands between the class
    names in label_column, which may be empty. label_columns: columns of 0 and 1, each a class that is called as it.

    Raises UserError where there is no such table or column, and with the first rows where files are missing, labels
    are empty or neither 0 nor 1, split words unknown or files listed twice, however their paths are written; as
    ListedImages.
    """

    def __init__(
        self,
        *,
        table: str,
        root: str | None,
        path_column: str,
        label_column: str,
        label_separator: str | None,
        label_columns: Annotated[list[str], MinLen(2)] | None,
        split_column: str | None,
        group_column: str | None,
        group_pattern: str | None,
        shots: Annotated[int, Ge(1)] | None,
        val_shots: Annotated[int, Ge(0)] | None,
        fraction: Annotated[float, Interval(gt=0, le=1)] | None,
        fold: Annotated[int, Ge(0)] | None,
        folds: Annotated[int, Ge(2)],
        val_share: Annotated[float, Interval(gt=0, lt=1)],
        test_share: Annotated[float, Interval(gt=0, lt=1)],
        unreadable: Literal["error", "skip"],
        leakage: Literal["error", "allow", "near"],
        resize: Annotated[int, Ge(1)] | None,
        decode: Literal["reduced", "full"],
        value_range: tuple[float, float] | None,
        background: Annotated[int, Interval(ge=0, le=255)],
        max_pixels: Annotated[int, Ge(1)],
        cache_gib: Annotated[float, Ge(0)],
        batch_size: Annotated[int, Ge(1)],
        num_workers: Annotated[int, Ge(0)] | Literal["auto"],
        augment: Augmentation | None,
        sampler: Literal["balanced"] | None,
        pixels: Pixels,
        seed: Annotated[int, Ge(0)],
    ) -> None:
        if label_separator is not None and label_columns is not None:
            raise UserError(
                "label_separator and label_columns both say which labels an image has, got "
                f"{label_separator!r} and {', '.join(label_columns)}; leave one of them null"
            )
        if label_separator == "":
            raise UserError("label_separator must be what stands between two labels, such as '|', got nothing")
        if group_column is not None and group_pattern is not None:
            raise UserError(
                f"group_column and group_pattern both say which images belong together, got {group_column} and "
                f"{group_pattern!r}; leave one of them null"
            )
        file = given_path(table, "table")
        place = file.parent if root is None else given_path(root, "root")
        columns = list(label_columns or [label_column])
        if repeated := sorted({name for name in columns if columns.count(name) > 1}):
            raise UserError(f"label_columns must name each column once, got {', '.join(repeated)} more than once")
        more = [name for name in (group_column, split_column) if name is not None]
        rows = _rows(file, [path_column, *columns, *more])
        has = {"has_group": group_column is not None, "has_split": split_column is not None}
        found: dict[str, Found] | Several
        if label_separator is None and label_columns is None:
            found, groups = listed(rows, file=file, root=place, **has)
        else:
            found, groups = listed_several(
                rows, separator=label_separator, columns=columns, file=file, root=place, **has
            )
        if group_pattern is not None:
            groups = groups_by_pattern(groups, group_pattern)
        super().__init__(
            root=place,
            found=found,
            groups=None if group_column is None and group_pattern is None else groups,
            source=file,
            shots=shots,
            val_shots=val_shots,
            fraction=fraction,
            fold=fold,
            folds=folds,
            val_share=val_share,
            test_share=test_share,
            unreadable=unreadable,
            leakage=leakage,
            resize=resize,
            decode=decode,
            value_range=value_range,
            background=background,
            max_pixels=max_pixels,
            cache_gib=cache_gib,
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            sampler=sampler,
            pixels=pixels,
            seed=seed,
        )


def listed(
    rows: Sequence[tuple[str, ...]], *, file: Path, root: Path, has_group: bool, has_split: bool
) -> tuple[dict[str, Found], dict[str, str]]:
    """Split -> class -> files, and each file's group, of rows of (path, label) and perhaps group and split.

    Raises UserError, as Table says.
    """

    def read(cells: Sequence[str]) -> str:
        if not cells[0]:
            raise _FaultError("has no label")
        return cells[0]

    held: dict[str, Found] = {}
    read_rows, groups = _read(rows, read, file=file, root=root, has_group=has_group, has_split=has_split)
    for split, files in read_rows.items():
        classes: dict[str, list[str]] = defaultdict(list)
        for path, label in files.items():
            classes[label].append(path)
        held[split] = {name: sorted(classes[name]) for name in sorted(classes)}
    return held, groups


def listed_several(
    rows: Sequence[tuple[str, ...]],
    *,
    separator: str | None,
    columns: Sequence[str],
    file: Path,
    root: Path,
    has_group: bool,
    has_split: bool,
) -> tuple[Several, dict[str, str]]:
    """The labels of each file and its group, of rows of (path, labels) or (path, 0 or 1 of each column) and the rest.

    Raises UserError, as Table says.
    """

    def read(cells: Sequence[str]) -> frozenset[str]:
        if separator is not None:
            return frozenset(name for part in cells[0].split(separator) if (name := part.strip()))
        for column, cell in zip(columns, cells, strict=True):
            if cell.lower() not in YES | NO:
                raise _FaultError(f"has {cell!r} for {column}, which is neither 0 nor 1")
        return frozenset(column for column, cell in zip(columns, cells, strict=True) if cell.lower() in YES)

    held, groups = _read(rows, read, file=file, root=root, has_group=has_group, has_split=has_split)
    of_split = {split: {name for names in files.values() for name in names} for split, files in held.items()}
    names = tuple(columns) if separator is None else tuple(sorted(set().union(*of_split.values())))
    places = {name: place for place, name in enumerate(names)}
    several = Several(
        names,
        {
            split: {path: frozenset(places[name] for name in files[path]) for path in sorted(files)}
            for split, files in held.items()
        },
    )
    return several, groups


class _FaultError(Exception):
    """What is wrong with a row's labels."""


def _read(
    rows: Sequence[tuple[str, ...]],
    read: Callable[[Sequence[str]], T],
    *,
    file: Path,
    root: Path,
    has_group: bool,
    has_split: bool,
) -> tuple[dict[str, dict[str, T]], dict[str, str]]:
    """Split -> path -> what is read of the cells of its labels, and path -> group, empty where no column says it.

    Raises UserError that names the first faults.
    """
    faults: list[str] = []
    seen: dict[str, tuple[int, str]] = {}  # the file, however its path is written -> the row that lists it, and how
    held: dict[str, dict[str, T]] = {split: {} for split in SPLITS}
    groups: dict[str, str] = {}
    for number, (said, *cells) in enumerate(rows, start=1):
        part = cells.pop() if has_split else "train"
        group = cells.pop() if has_group else ""
        split = ALSO_CALLED.get(part.lower(), part.lower())
        path = _as_written(said, root)
        try:
            if not path:
                raise _FaultError("has no path")
            own = os.path.realpath(root / path)  # noqa: PTH118, RUF100 - Path.resolve takes ten times as long
            if own in seen:
                first, written = seen[own]
                same = "" if written == path else f", which is {written} of row {first}"
                raise _FaultError(f"lists {path}{same} once more{_labels(cells, rows[first - 1][1:])}")
            seen[own] = (number, path)
            label = read(cells)
            if split not in held:
                raise _FaultError(f"has the split {part!r}, which is none of {', '.join(SPLITS)}")
            if has_group and not group:
                raise _FaultError("has no group")
            if not (root / path).is_file():
                hint = ", and has backslashes, which are no folders here" if "\\" in path else ""
                raise _FaultError(f"lists {path}, which is no file in {root}{hint}")
            held[split][path] = label
            groups[path] = group
        except _FaultError as fault:
            faults.append(f"row {number} {fault}")
    if faults:
        more = f"; and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
        raise UserError(
            f"each row of {file} must list an image, {len(faults)} of {len(rows)} do not: "
            f"{'; '.join(faults[:LISTED])}{more}; mend the table, or set target.root to the folder of its paths"
        )
    if not any(held.values()):
        raise UserError(f"{file} must list images to train on, got {len(rows)} rows and none of them in train")
    return {split: files for split, files in held.items() if files}, groups


def _as_written(path: str, root: Path) -> str:
    """The path, with slashes for its backslashes and without what `cell` put before it, where only that is a file."""
    if not path or (root / path).is_file():
        return path
    for other in (path.replace("\\", "/"), uncelled(path)):
        if other != path and (root / other).is_file():
            return other
    return path


def _labels(cells: Sequence[str], first: Sequence[str]) -> str:
    """Both labels of a file that is listed twice, where they differ."""
    one, two = (", ".join(of[: len(cells)]) for of in (first, cells))
    return f" (as {two or 'nothing'}, and as {one or 'nothing'} before)" if one != two else ""


def _rows(file: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """These columns, as text without space around it; what is missing is empty. Raises UserError."""
    if not file.is_file():
        raise UserError(f"table must be a CSV or Parquet file, and there is none at {file}")
    names, rows = _parquet(file, columns) if file.suffix.lower() in (".parquet", ".pq") else _csv(file, columns)
    if absent := [name for name in columns if name not in names]:
        raise UserError(
            f"{file} must have the columns {', '.join(columns)}, got {', '.join(names) or 'none'} without "
            f"{', '.join(absent)}; name yours by target.path_column, target.label_column (or label_columns), "
            "target.split_column, target.group_column"
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
