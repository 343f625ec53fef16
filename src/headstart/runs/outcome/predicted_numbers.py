"""Files of predicted numbers: CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import TextIO

from headstart.system.files.csv_cells import cell

Predicted = tuple[str, Sequence[float], str]  # file, numbers, and the error where there are none


class NumbersCsv:
    """A line for each image: its file, the predicted number of each column, and why there is none.

    Args:
        stream: Where lines go.
        columns: Names of the columns of numbers.
    """

    def __init__(self, stream: TextIO, columns: Sequence[str]) -> None:
        self._lines, self._count = csv.writer(stream), len(columns)
        self._lines.writerow(["file", *(f"predicted({name})" for name in columns), "error"])

    def write(self, prediction: Predicted) -> None:
        """Write an image's line."""
        file, numbers, error = prediction
        cells = [f"{number:.7g}" for number in numbers] or [""] * self._count
        self._lines.writerow([cell(file), *cells, cell(error)])

    def end(self) -> None:
        """Nothing is left to write."""


class NumbersJson:
    """A list with an object for each image: its file and its predicted numbers by column, or its error.

    Args:
        stream: Where the list goes.
        columns: Names of the columns of numbers.
    """

    def __init__(self, stream: TextIO, columns: Sequence[str]) -> None:
        self._stream, self._columns, self._before = stream, columns, "[\n"

    def write(self, prediction: Predicted) -> None:
        """Write an image's object."""
        file, numbers, error = prediction
        rounded = {name: float(f"{number:.7g}") for name, number in zip(self._columns, numbers, strict=False)}
        entry = {"file": file} | ({"predicted": rounded} if numbers else {"error": error})
        self._stream.write(self._before + json.dumps(entry, ensure_ascii=False))
        self._before = ",\n"

    def end(self) -> None:
        """Close the list."""
        self._stream.write("\n]\n")
