"""Rows of a run's metrics.csv."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def rows_in(file: Path) -> dict[int, dict[str, float]]:
    """Step -> column -> value of metrics.csv; several logging events of one step are one row, the last wins.

    An empty cell is absent; a cell "nan" was measured and is kept.
    """
    rows: dict[int, dict[str, float]] = {}
    for line in _lines(file):
        if not (line.get("step") or "").strip():
            continue
        cells = ((key, cell) for key, cell in line.items() if key and isinstance(cell, str))
        values = {key: float(cell) for key, cell in cells if cell.strip()}
        if not math.isfinite(values["step"]):
            raise ValueError(f"metrics.csv: step must be a number, got {line['step']!r}")
        rows.setdefault(int(values["step"]), {}).update(values)
    if not rows:
        raise ValueError("metrics.csv holds no row with a step")
    return dict(sorted(rows.items()))


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of a CSV file by its columns. Raises ValueError where it is none."""
    with file.open(encoding="utf-8", newline="") as stream:
        try:
            yield from csv.DictReader(stream, restval="")
        except csv.Error as error:
            raise ValueError(f"{file.name} is no CSV file: {error}") from error
