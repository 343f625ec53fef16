"""Image files of a folder of class folders, by split and class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headstart.data.decoding.file_listing import (
    AGAIN,
    BESIDE,
    OUTSIDE,
    LeftOut,
    above_of,
    identity_of,
    image_files,
    seen_entries,
    why_no_image,
)
from headstart.data.decoding.utf8_names import escaped, utf8
from headstart.data.files.listed_images import ClassFiles
from headstart.data.splits.split_names import ALSO_CALLED
from headstart.types import SPLITS, UserError


def class_folders(
    root: Path, folders: Mapping[str, str] | None, outside: LeftOut | None = None
) -> dict[str, ClassFiles]:
    """Split -> class -> files; class folders alone are all under `train`.

    Args:
        root: The folder.
        folders: Split -> its folder in root; None means by the names train, val and test.
        outside: Takes what is not read, with the reasons.

    Raises UserError, as ImageFolder says, or where root may not be read.
    """
    try:
        return _class_folders(root, folders, LeftOut() if outside is None else outside)
    except PermissionError as error:
        raise UserError(
            f"root must be a folder that may be read, got {root}: {error.strerror} for {error.filename}; its owner can "
            f"give the right to list it and to enter it (chmod -R a+rX {root})"
        ) from error


def _class_folders(root: Path, folders: Mapping[str, str] | None, outside: LeftOut) -> dict[str, ClassFiles]:
    if not root.is_dir():
        raise UserError(f"root must be a folder of class folders with images, and there is none at {root}")
    parts = _by_their_names(root) if folders is None else _as_said(root, folders)
    files = {split: _classes(folder, root, outside) for split, folder in parts.items()}
    if root not in parts.values():
        _note_files(root, root, outside)
        for other in _folders_in(root).values():
            if not any(part == other or other in part.parents for part in parts.values()):
                outside.add(BESIDE, other.relative_to(root).as_posix())
    _check_images(root, parts, files)
    return files


def _check_images(root: Path, parts: Mapping[str, Path], files_of: Mapping[str, ClassFiles]) -> None:
    """Raise UserError where a split or a class has no image."""
    first = next(iter(files_of))
    if not any(files_of[first].values()):
        if first != "train" and (loose := len(image_files(parts[first], root, LeftOut()))):
            raise UserError(
                f"{parts[first]} {_competition(loose)}, and {root} has no folder to train on; put train/ with class "
                f"folders beside it, and {_classified(parts[first])}"
            )
        content = ", ".join(escaped(entry.name) for entry in sorted(root.iterdir())[:5]) or "nothing"
        raise UserError(
            f"root must hold class folders with images, or train/, val/ and test/ with such folders; "
            f"no image lies in a class folder of {parts[first]}; {root} holds {content}"
        )
    for split, classes in files_of.items():
        if empty := [name for name, files in classes.items() if not files]:
            image_files(parts[split] / empty[0], root, beside := LeftOut())
            raise UserError(
                f"each class folder must hold an image that can be read, {', '.join(empty[:5])} of {parts[split]} "
                f"{'does' if len(empty) == 1 else 'do'} not ({empty[0]} holds {beside.told() or 'nothing'}); take it "
                "away, or put images there"
            )
        if files_of[split]:
            continue
        others = ",".join(f"{name}:{parts[name].relative_to(root).as_posix()}" for name in files_of if files_of[name])
        loose = len(image_files(parts[split], root, LeftOut()))
        if not loose:
            raise UserError(
                f"{parts[split]} holds no class folder; take it away, or leave it out with "
                f"'target.folders={{{others}}}', so that {split} is drawn from the others"
            )
        raise UserError(
            f"{parts[split]} {_competition(loose)}; leave it out with 'target.folders={{{others}}}', so that {split} "
            f"is drawn from the others, and {_classified(parts[split])}"
        )


def _competition(loose: int) -> str:
    return (
        f"holds {loose} images and no class folder, as the test images of a competition do, whose labels are not known"
    )


def _classified(folder: Path) -> str:
    """How the images of a folder without classes are classified."""
    return (
        f"classify its images with the finished run: headstart task=predict predict.images={folder} predict.run_dir=..."
    )


def _by_their_names(root: Path) -> dict[str, Path]:
    """Split -> its folder."""
    inside = _folders_in(root)
    named = {ALSO_CALLED.get(name, name): name for name in inside}
    splits = {split: inside[named[split]] for split in SPLITS if split in named}
    # a class may be called train, as long as no other class is called val
    divided_here = ("train" in splits and len(splits) > 1) or len(inside) == len(splits) > 0
    return splits if divided_here else {"train": root}


def _as_said(root: Path, folders: Mapping[str, str]) -> dict[str, Path]:
    """Split -> its folder. Raises UserError."""
    if not folders or not set(folders) <= set(SPLITS) or len(set(folders.values())) < len(folders):
        raise UserError(
            f"folders must give train, and may give val and test, a folder of its own, got {dict(folders)}; "
            "as in 'target.folders={train:training,test:evaluation}'"
        )
    for split, name in folders.items():
        if not (root / name).is_dir():
            folders_listed = ", ".join(_folders_in(root)) or "none"
            raise UserError(
                f"folders says that {split} lies in {name}, and {root} has no such folder; it has {folders_listed}"
            )
    return {split: root / folders[split] for split in SPLITS if split in folders}


def _folders_in(folder: Path) -> dict[str, Path]:
    return {
        entry.name: Path(entry.path) for entry in seen_entries(folder, folder, LeftOut()) if Path(entry.path).is_dir()
    }


def _classes(folder: Path, root: Path, outside: LeftOut) -> ClassFiles:
    """The files of each class folder, at any depth, in an order that no file system decides."""
    above = {identity_of(path) for path in (folder, *above_of(folder))}
    classes = {utf8(name): below for name, below in _folders_in(folder).items()}
    for name in [name for name, below in classes.items() if identity_of(below) in above]:
        outside.add(AGAIN, classes.pop(name).relative_to(root).as_posix())
    _note_files(folder, root, outside)
    return {name: image_files(below, root, outside) for name, below in classes.items()}


def _note_files(folder: Path, root: Path, outside: LeftOut) -> None:
    """Note the files that lie in a folder of which only the folders are read."""
    for entry in seen_entries(folder, root, outside):
        if not Path(entry.path).is_dir():
            outside.add(why_no_image(entry) or OUTSIDE, Path(entry.path).relative_to(root).as_posix())
