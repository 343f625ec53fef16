"""Images, classes and groups in the columns of a data set of Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from headstart.data.files.listed_images import ClassFiles
from headstart.data.hugging_face.datasets_library import datasets_library
from headstart.data.hugging_face.row_records import HuggingFaceRows, row_name
from headstart.types import UserError

LISTED = 5  # rows that an error names
LABELS = ("label", "labels")  # columns that hold the class though their type does not say so


class Columns(NamedTuple):
    """Where a row has its image and its class."""

    image: str
    label: str


def columns_of(features: Mapping[str, Any], *, image: str | None, label: str | None, path: str) -> Columns:
    """The columns that are named, or the only ones that their types allow. Raises UserError."""
    columns = ", ".join(f"{column} ({column_type(feature)})" for column, feature in features.items())
    for asked, setting in ((image, "image_column"), (label, "label_column")):
        if asked is not None and asked not in features:
            close = get_close_matches(asked, list(features), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"{setting} must be a column of {path}, got {asked!r}; it has {columns}{hint}")
    kinds = {column: column_type(feature) for column, feature in features.items()}
    if image is None:
        image = _only([column for column, kind in kinds.items() if kind == "Image"], "image", path, columns)
    if label is None:
        classes = [column for column, kind in kinds.items() if kind == "ClassLabel"]
        label = _only(classes or [column for column in LABELS if column in kinds], "label", path, columns)
    if kinds[label] != "ClassLabel" and not kinds[label].startswith(("string", "large_string", "int", "uint", "bool")):
        raise UserError(
            f"the class must be a ClassLabel, a word or a whole number, {label} of {path} is {kinds[label]}; "
            f"it has {columns}; set target.label_column"
        )
    return Columns(image, label)


def _only(fit: Sequence[str], role: str, path: str, columns: str) -> str:
    if len(fit) != 1:
        problem = f"{len(fit)} columns could be the {role}" if fit else f"no column is the {role} by its type"
        raise UserError(f"{problem}: {path} has {columns}; name it by target.{role}_column")
    return fit[0]


def column_type(feature: Any) -> str:
    """`Image`, `ClassLabel`, or the type of a value as `string` and `int64`."""
    return str(getattr(feature, "dtype", None) if type(feature).__name__ == "Value" else type(feature).__name__)


def classes_of(
    labels: Mapping[str, Sequence[str | int | None]], *, names: Sequence[str] | None, asked: Sequence[str], path: str
) -> dict[str, ClassFiles]:
    """Split -> class -> the names of its images.

    Args:
        labels: Split -> the label of each row; None where it has none.
        names: Of a ClassLabel, whose rows hold numbers, of which -1 is none.
        asked: The splits that the settings name.
        path: Of the data set, for messages.

    Raises UserError where rows have no label.
    """
    lacking = {
        split: [row for row, label in enumerate(of) if label is None or label == ""] for split, of in labels.items()
    }
    if names is not None:
        lacking |= {
            split: [row for row, label in enumerate(of) if not isinstance(label, int) or not 0 <= label < len(names)]
            for split, of in labels.items()
        }
    classes: dict[str, ClassFiles] = {}
    for split, of in labels.items():
        if len(lacking[split]) == len(of) and split not in ("train", *asked) and len(labels) > 1:
            continue  # a test whose labels only its makers have
        if lacking[split]:
            rows = ", ".join(map(str, lacking[split][:LISTED]))
            raise UserError(
                f"each row of {path} must have a label, {len(lacking[split])} of {len(of)} in {split} have none: rows "
                f"{rows}{', ...' if len(lacking[split]) > LISTED else ''}; take other splits or another label_column"
            )
        rows_of: dict[Any, list[str]] = {}
        for row, label in enumerate(of):
            rows_of.setdefault(label, []).append(row_name(split, row))
        class_names = names or ()
        classes[split] = {
            str(class_names[label]) if names is not None else str(label): rows_of[label]
            for label in sorted(rows_of, key=_order)
        }
    return classes


def _order(label: str | int) -> tuple[bool, int, str]:
    """Numbers by their size, then words by the alphabet."""
    return (True, 0, label) if isinstance(label, str) else (False, label, "")


def groups_of(
    splits: Mapping[str, HuggingFaceRows], listed: Mapping[str, ClassFiles], *, column: str, path: str
) -> dict[str, str]:
    """The name of each image that was found -> what its row has in a column. Raises UserError where it has nothing."""
    groups: dict[str, str] = {}
    for split in listed:
        rows = splits[split]
        if column not in rows.features:
            close = get_close_matches(column, list(rows.features), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(
                f"group_column must be a column of {path}, got {column!r}; {split} has {', '.join(rows.features)}{hint}"
            )
        groups_of_rows = ["" if group is None else str(group).strip() for group in rows.data.column(column).to_pylist()]
        if lacking := [row for row, group in enumerate(groups_of_rows) if not group]:
            raise UserError(
                f"each row of {path} must have a group, {len(lacking)} of {len(groups_of_rows)} in {split} have none: "
                f"rows {', '.join(map(str, lacking[:LISTED]))}{', ...' if len(lacking) > LISTED else ''}; take another "
                "group_column"
            )
        groups |= {row_name(split, row): group for row, group in enumerate(groups_of_rows)}
    return groups


def labels_of_rows(rows: HuggingFaceRows, column: str) -> list[str | int | None]:
    if column not in rows.features:
        raise UserError(f"all splits must have the column {column}, got one with {', '.join(rows.features)}")
    labels: list[str | int | None] = rows.data.column(column).to_pylist()
    return [label.strip() if isinstance(label, str) else label for label in labels]


def undecoded_images(rows: HuggingFaceRows, column: str, path: str) -> HuggingFaceRows:
    """The column of images as {bytes, path}, undecoded. Raises UserError where it cannot be that."""
    datasets = datasets_library()
    try:
        return rows.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    except (TypeError, ValueError, NotImplementedError, KeyError) as error:
        raise UserError(
            f"image_column must hold image files, {column} of {path} holds {column_type(rows.features[column])} "
            f"({error}); it has the columns {', '.join(rows.features)}"
        ) from error
