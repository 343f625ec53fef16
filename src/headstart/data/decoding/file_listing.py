"""Image files below a folder, and the files that are left out of it, with the reason of each."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePath

from headstart.data.decoding.file_opening import BEGIN, NEVER, begins_as_image
from headstart.data.decoding.utf8_names import escaped, utf8
from headstart.system.printing.name_listing import first_few

# to know all that Pillow reads takes it a quarter of a second
USUAL = {
    ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".heic", ".heif", ".hif",
    ".avif",
}  # fmt: skip
# what systems, servers and Python leave, beside what begins with a dot; some hold small copies of the images
UNSEEN = {
    "thumbs.db", "desktop.ini", "__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information",
    "lost+found", "__pycache__",
}  # fmt: skip
LISTED = 3  # files that a reason names

OTHER = "files that are no images"
SUFFIX = "images by their first bytes, with a suffix that says otherwise"
SPECIAL = "pipes, sockets or devices, which are never opened"
BROKEN = "links to nothing"
AGAIN = "links to a folder that is read already"
CLOSED = "folders that may not be read"
OUTSIDE = "images outside of a class folder"
BESIDE = "folders beside those of the splits"
QUIET = {OTHER, BESIDE}  # nobody would miss these


class LeftOut:
    """Files and folders that are not read, relative to a root, by the reason."""

    def __init__(self) -> None:
        self.paths: dict[str, list[str]] = {}

    def add(self, reason: str, path: str) -> None:
        self.paths.setdefault(reason, []).append(escaped(path))

    def told(self) -> str:
        """A line that counts them by reason, and names the first; empty for none."""
        return "; ".join([*self._of(self.paths.keys() - QUIET), *self._of(self.paths.keys() & QUIET)])

    def log(self, log: logging.Logger, root: Path) -> None:
        """Log that line, as a warning where it has what somebody may take for images in use."""
        if self.paths:
            level = logging.WARNING if self.paths.keys() - QUIET else logging.INFO
            log.log(level, "not read in %s: %s", root, self.told())

    def _of(self, reasons: AbstractSet[str]) -> list[str]:
        return [self._of_reason(reason) for reason in sorted(reasons)]

    def _of_reason(self, reason: str) -> str:
        paths = sorted(self.paths[reason])
        if reason == OTHER:
            suffixes = Counter(PurePath(path).suffix.lower() or "no suffix" for path in paths).most_common()
            named = [f"{suffix} {count}" for suffix, count in suffixes]
        else:
            named = paths
        return f"{reason}: {len(paths)} ({first_few(named, LISTED)})"


def image_files(folder: Path, root: Path, left_out: LeftOut) -> list[str]:
    """The paths of all images in a folder, at any depth, relative to root, with `/`, sorted.

    Links are followed: a folder that several paths lead to, or that holds the folder itself, is read once. Hidden
    files are no files. A file is an image by its suffix, or, where it has none, by its first bytes.
    Raises UserError where a name is not UTF-8.
    """
    names: list[str] = []
    read = {identity_of(above) for above in above_of(folder)}  # a link to one of them would never end
    folders, links = deque([folder]), deque[Path]()
    while folders or links:
        inside = folders.popleft() if folders else links.popleft()  # what is no link keeps its own name
        if (identity := identity_of(inside)) in read:
            left_out.add(AGAIN, inside.relative_to(root).as_posix())
            continue
        read.add(identity)
        for entry in seen_entries(inside, root, left_out):
            path = Path(entry.path)
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append(path)
            elif (reason := why_no_image(entry)) is None:
                names.append(utf8(path.relative_to(root).as_posix()))
            else:
                left_out.add(reason, path.relative_to(root).as_posix())
    return sorted(names)


def seen_entries(folder: Path, root: Path, left_out: LeftOut) -> Iterator[os.DirEntry[str]]:
    """What a folder holds, in an order that no file system decides, without what is hidden."""
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        left_out.add(CLOSED, folder.relative_to(root).as_posix())
        return
    yield from (entry for entry in inside if not entry.name.startswith(".") and entry.name.lower() not in UNSEEN)


def why_no_image(entry: os.DirEntry[str]) -> str | None:
    """The reason why a file is left out; None for an image."""
    suffix = PurePath(entry.name).suffix.lower()
    if _is_file(entry):
        if is_image_suffix(suffix):
            return None
        begins = _begins_as_image(entry.path)
        return (SUFFIX if suffix else None) if begins else OTHER
    if entry.is_symlink() and not Path(entry.path).exists():
        return None if is_image_suffix(suffix) else BROKEN  # a listing of images that names it says what is missing
    return SPECIAL


def is_image_suffix(suffix: str) -> bool:
    """Whether files with this suffix are images to Pillow, or to the extra `heic`."""
    if suffix in USUAL:
        return True
    from PIL import Image

    return bool(suffix) and Image.registered_extensions().get(suffix) in Image.OPEN.keys() - NEVER


def _begins_as_image(path: str) -> bool:
    try:
        with Path(path).open("rb") as stream:
            return begins_as_image(stream.read(BEGIN))
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def above_of(folder: Path) -> set[Path]:
    """The folders that hold a folder: those of its path, and of what its path leads to."""
    return {*folder.absolute().parents, *folder.resolve().parents}


def identity_of(folder: Path) -> tuple[int, int]:
    """What is the same of all paths to a folder."""
    status = folder.stat()
    return status.st_dev, status.st_ino
