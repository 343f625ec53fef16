"""Which images does a table list?"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval

from headstart.data.augment import Augmentation
from headstart.data.folder import ALSO_CALLED, Found, ListedImages
from headstart.types import SPLITS, Pixels, UserError

LISTED = 5  # rows that an error names


class Table(ListedImages):
    """Images that a CSV or Parquet file lists, a row an image.

    table: the file; what ends in .parquet is Parquet and needs pyarrow, all else CSV in UTF-8 with a row of column
    names. path_column, label_column: the columns of the image's path and of its class; split_column: that of its
    split, train, val or test, None for none. root: what paths are relative to, None = the table's folder. What of val
    and test the table does not list is taken from what it does, and the other arguments are ImageFolder's.

    Raises UserError where there is no such table or column, and with the first rows where files are missing, labels
    are empty, split words unknown or paths listed twice; where classes of train, val and test differ; as
    ListedImages.
    """

    def __init__(
        self,
        *,
        table: str,
        root: str | None,
        path_column: str,
        label_column: str,
        split_column: str | None,
        shots: Annotated[int, Ge(1)] | None,
        fraction: Annotated[float, Interval(gt=0, le=1)] | None,
        fold: Annotated[int, Ge(0)] | None,
        folds: Annotated[int, Ge(2)],
        val_share: Annotated[float, Interval(gt=0, lt=1)],
        test_share: Annotated[float, Interval(gt=0, lt=1)],
        unreadable: Literal["error", "skip"],
        leakage: Literal["error", "allow"],
        resize: Annotated[int, Ge(1)] | None,
        decode: Literal["reduced", "full"],
        cache_gib: Annotated[float, Ge(0)],
        batch_size: Annotated[int, Ge(1)],
        num_workers: Annotated[int, Ge(0)] | Literal["auto"],
        augment: Augmentation | None,
        pixels: Pixels,
        seed: Annotated[int, Ge(0)],
    ) -> None:
        file = Path(table).expanduser()
        place = file.parent if root is None else Path(root).expanduser()
        rows = _rows(file, [path_column, label_column, *([] if split_column is None else [split_column])])
        super().__init__(
            root=place,
            found=listed(rows, file=file, root=place),
            shots=shots,
            fraction=fraction,
            fold=fold,
            folds=folds,
            val_share=val_share,
            test_share=test_share,
            unreadable=unreadable,
            leakage=leakage,
            resize=resize,
            decode=decode,
            cache_gib=cache_gib,
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            pixels=pixels,
            seed=seed,
        )


def listed(rows: Sequence[tuple[str, ...]], *, file: Path, root: Path) -> dict[str, Found]:
    """Split -> class -> files, of rows of (path, label) or (path, label, split). Raises UserError, as Table says."""
    faults: list[str] = []
    seen: set[str] = set()
    held: dict[str, dict[str, list[str]]] = {split: defaultdict(list) for split in SPLITS}
    for number, (path, label, *rest) in enumerate(rows, start=1):
        word = rest[0].lower() if rest else "train"
        split = ALSO_CALLED.get(word, word)
        if not path or not label:
            faults.append(f"row {number} has no {'label' if path else 'path'}")
        elif split not in held:
            faults.append(f"row {number} has the split {rest[0]!r}, which is none of {', '.join(SPLITS)}")
        elif path in seen:
            faults.append(f"row {number} lists {path} once more")
        elif not (root / path).is_file():
            faults.append(f"row {number} lists {path}, which is no file in {root}")
        else:
            held[split][label].append(path)
        seen.add(path)
    if faults:
        more = f"; and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
        raise UserError(
            f"each row of {file} must list an image, {len(faults)} of {len(rows)} do not: "
            f"{'; '.join(faults[:LISTED])}{more}; mend the table, or set target.root to the folder of its paths"
        )
    found = {split: dict(sorted(classes.items())) for split, classes in held.items() if classes}
    if "train" not in found:
        raise UserError(f"{file} must list images to train on, got {len(rows)} rows and none of them in train")
    for split, classes in found.items():
        if differing := sorted(set(classes) ^ set(found["train"])):
            raise UserError(
                f"train and {split} of {file} must have the same classes; "
                f"only one of them has {', '.join(differing[:LISTED])}"
            )
    return {split: {name: sorted(files) for name, files in classes.items()} for split, classes in found.items()}


def _rows(file: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """These columns, as text without space around it; what is missing is empty. Raises UserError."""
    if not file.is_file():
        raise UserError(f"table must be a CSV or Parquet file, and there is none at {file}")
    names, rows = _parquet(file) if file.suffix.lower() in (".parquet", ".pq") else _csv(file)
    if absent := [name for name in columns if name not in names]:
        raise UserError(
            f"{file} must have the columns {', '.join(columns)}, got {', '.join(names) or 'none'} without "
            f"{', '.join(absent)}; name yours by target.path_column, target.label_column, target.split_column"
        )
    return [tuple("" if row[name] is None else str(row[name]).strip() for name in columns) for row in rows]


def _csv(file: Path) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:  # spreadsheets begin a file with a byte order mark
            reader = csv.DictReader(text)
            return list(reader.fieldnames or ()), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} is no CSV file in UTF-8 ({error}); save it as one") from error


def _parquet(file: Path) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError(
            f"to read {file}, pyarrow is needed, and it is not installed: pip install pyarrow, or save it as CSV"
        ) from error
    try:
        table = parquet.read_table(file)
    except Exception as error:  # pyarrow raises errors of its own
        raise UserError(f"{file} is no Parquet file that can be read ({error})") from error
    return list(table.column_names), table.to_pylist()
