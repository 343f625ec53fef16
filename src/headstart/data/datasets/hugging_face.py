"""Images and labels of a data set of Hugging Face."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from headstart.data.dataset_settings import FileSettings
from headstart.data.files.listed_images import ListedImages
from headstart.data.hugging_face.datasets_library import dataset_splits
from headstart.data.hugging_face.image_columns import (
    classes_of,
    columns_of,
    groups_of,
    labels_of_rows,
    undecoded_images,
)
from headstart.data.hugging_face.row_records import RecordStorage
from headstart.system.files.setting_paths import given_path


class HuggingFace(ListedImages):
    """A data set of images and labels as the library `datasets` reads it, its images decoded as image files are.

    What is missing is taken from what there is, class by class, as headstart.data.splits.class_division says; a split
    in which no row has a label counts as missing. Words become classes in the order of the alphabet, numbers in
    theirs; classes without any image are left out.

    Args:
        path: An id of the hub, a folder as load_dataset takes it (Parquet, Arrow, images), one of save_to_disk, or one
            Parquet or Arrow file.
        name: Of its configuration.
        revision: Of a data set of the hub; None means the newest.
        train_split: What the split is called there, slices as `train[:10%]` too; None means the one that is called so,
            and a lone split is train.
        val_split: The same; validation and valid are val.
        test_split: The same.
        image_column: Column of the images; None means the only one of that type.
        label_column: Column of the classes; None means the only one of that type, or the one called label.
        group_column: Column of what the image belongs to, say a patient, all of which stays in one split.
        settings: As FileSettings says.

    Raises UserError where the library is not installed, there is no such data set, configuration, split or column, it
    cannot be had, or rows have no label; as ListedImages.
    """

    def __init__(
        self,
        *,
        path: str,
        name: str | None,
        revision: str | None,
        train_split: str | None,
        val_split: str | None,
        test_split: str | None,
        image_column: str | None,
        label_column: str | None,
        group_column: str | None,
        **settings: Unpack[FileSettings],
    ) -> None:
        wanted = {"train": train_split, "val": val_split, "test": test_split}
        root = given_path(path, "path")
        splits = dataset_splits(path, name=name, revision=revision, wanted=wanted)
        features = next(iter(splits.values())).features
        columns = columns_of(features, image=image_column, label=label_column, path=path)
        listed = classes_of(
            {split: labels_of_rows(rows, columns.label) for split, rows in splits.items()},
            names=getattr(features[columns.label], "names", None),
            asked=[split for split, chosen in wanted.items() if chosen is not None],
            path=path,
        )
        self._records = RecordStorage(
            path, {split: undecoded_images(splits[split], columns.image, path) for split in listed}
        )
        groups = None if group_column is None else groups_of(splits, listed, column=group_column, path=path)
        super().__init__(root=root, listed=listed, groups=groups, source=path, **settings)

    def stored_files(self) -> list[Path]:
        """The files of a data set that lies on this machine, images and tables; none of the hub."""
        if self.root.is_file():
            return [self.root]
        return [path for path in self.root.rglob("*") if path.is_file()] if self.root.is_dir() else []

    @property
    def storage(self) -> RecordStorage:
        return self._records
