"""Your own images in a folder, a folder a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from headstart.data.dataset_settings import FileSettings
from headstart.data.decoding.file_listing import LeftOut
from headstart.data.files.class_folders import class_folders
from headstart.data.files.listed_images import ListedImages
from headstart.data.splits.image_groups import groups_by_pattern
from headstart.system.files.setting_paths import given_path


class ImageFolder(ListedImages):
    """Images of any format that Pillow reads, or the extra `heic`, in a folder a class, at any depth below it.

    root holds train/, val/ and test/ with class folders, or train/ and one of the other two, or class folders alone:
    what is missing is taken from what is there, class by class, as headstart.data.splits.class_division says.

    Args:
        root: The folder.
        folders: Split -> its folder in root; None means by the names train, val and test.
        group_pattern: A regular expression whose first group finds in a file's path what the image belongs to, say a
            patient, all of which stays in one split.
        settings: As FileSettings says.

    Raises UserError where there is no such folder, no image in it or in one of its class folders, a name is not UTF-8,
    folders are none of root's, or a path has no group; as ListedImages.
    """

    def __init__(
        self,
        *,
        root: str,
        folders: Mapping[str, str] | None,
        group_pattern: str | None,
        **settings: Unpack[FileSettings],
    ) -> None:
        path = given_path(root, "root")
        outside = LeftOut()
        listed = class_folders(path, folders, outside)
        files = [file for classes in listed.values() for of_class in classes.values() for file in of_class]
        groups = None if group_pattern is None else groups_by_pattern(files, group_pattern)
        super().__init__(root=path, listed=listed, groups=groups, source=path, **settings)
        self.outside = outside
