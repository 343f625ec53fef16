"""Your own images, listed in a CSV or Parquet file, a row an image."""

from __future__ import annotations

from typing import Annotated, Unpack

from annotated_types import MinLen

from headstart.data.dataset_settings import FileSettings
from headstart.data.files.listed_images import ClassFiles, ListedImages
from headstart.data.files.table_file import table_rows
from headstart.data.files.table_rows import TableRows, number_targets, several_labels, single_labels
from headstart.data.splits.image_groups import groups_by_pattern
from headstart.data.splits.multi_label_division import MultiLabelFiles
from headstart.data.splits.number_division import NumberFiles
from headstart.system.files.setting_paths import given_path
from headstart.types import UserError


class ImageTable(ListedImages):
    """Images that a CSV or Parquet file lists, a row an image.

    What of val and test the table does not list is taken from what it does. An image has several labels, or none, where
    label_separator or label_columns is set.

    Args:
        table: The file; what ends in .parquet is Parquet and needs pyarrow, all else CSV in UTF-8 with a row of column
            names.
        root: What paths are relative to; None means the table's folder. Backslashes in paths are slashes where there is
            such a file.
        path_column: Column of the image's path.
        label_column: Column of its class.
        label_separator: What stands between the class names in label_column, which may be empty.
        label_columns: Columns of 0 and 1, each a class that is called as it.
        target_column: Column of a number, or several, that are learnt in the place of classes.
        split_column: Column of its split, train, val or test; None means that there is none.
        group_column: Column of what the image belongs to, say a patient, all of which stays in one split.
        group_pattern: The same by the path, as in ImageFolder.
        settings: As FileSettings says.

    Raises UserError where there is no such table or column, and with the first rows where files are missing, labels
    are empty, neither 0 nor 1 or no numbers, split words unknown or files listed twice, however their paths are
    written; as ListedImages.
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
        target_column: str | Annotated[list[str], MinLen(1)] | None,
        split_column: str | None,
        group_column: str | None,
        group_pattern: str | None,
        **settings: Unpack[FileSettings],
    ) -> None:
        _check_columns(label_separator, label_columns, group_column, group_pattern)
        targets = [target_column] if isinstance(target_column, str) else list(target_column or ())
        _check_targets(targets, label_separator, label_columns)
        file = given_path(table, "table")
        folder = file.parent if root is None else given_path(root, "root")
        columns = targets or list(label_columns or [label_column])
        if repeated := sorted({name for name in columns if columns.count(name) > 1}):
            key = "target_column" if targets else "label_columns"
            raise UserError(f"{key} must name each column once, got {', '.join(repeated)} more than once")
        more = [name for name in (group_column, split_column) if name is not None]
        rows = TableRows(
            table_rows(file, [path_column, *columns, *more]),
            file=file,
            root=folder,
            has_group=group_column is not None,
            has_split=split_column is not None,
        )
        listed: dict[str, ClassFiles] | MultiLabelFiles | NumberFiles
        if targets:
            listed, groups = number_targets(rows, columns=columns)
        elif label_separator is None and label_columns is None:
            listed, groups = single_labels(rows)
        else:
            listed, groups = several_labels(rows, separator=label_separator, columns=columns)
        if group_pattern is not None:
            groups = groups_by_pattern(groups, group_pattern)
        has_groups = group_column is not None or group_pattern is not None
        super().__init__(root=folder, listed=listed, groups=groups if has_groups else None, source=file, **settings)


def _check_targets(targets: list[str], label_separator: str | None, label_columns: list[str] | None) -> None:
    """Raise UserError where columns of numbers stand beside what says classes."""
    label_settings = {"label_separator": label_separator, "label_columns": label_columns}
    if targets and (others := [name for name, value in label_settings.items() if value is not None]):
        raise UserError(
            f"target_column is of numbers, {others[0]} of classes, got {', '.join(targets)} and "
            f"{label_settings[others[0]]}; leave one of them null"
        )


def _check_columns(
    label_separator: str | None, label_columns: list[str] | None, group_column: str | None, group_pattern: str | None
) -> None:
    """Raise UserError where two settings say the same."""
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
