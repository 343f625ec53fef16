"""A table of the images that a run's data hold twice, in the run's folder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from headstart.data.data_protocols import ComparedImages
from headstart.data.files.duplicate_files import Duplicate
from headstart.system.files.csv_cells import cell

FILE = "duplicates.csv"


def write_duplicates(data: Any, folder: Path) -> None:
    """Write each file of an image that is there twice to duplicates.csv, there whole or not at all; none where none is.

    Names that a spreadsheet would compute have an apostrophe before them.
    """
    duplicates: list[Duplicate] = list(data.duplicates) if isinstance(data, ComparedImages) else []
    path = folder / FILE
    if not duplicates:
        path.unlink(missing_ok=True)
        return
    partial = path.with_name(f"{FILE}.partial")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream)
        lines.writerow(Duplicate._fields)
        lines.writerows([cell(field) if isinstance(field, str) else field for field in file] for file in duplicates)
    partial.replace(path)
