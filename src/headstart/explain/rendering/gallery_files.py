"""Gallery of pictures: image files and a page, written atomically."""

from __future__ import annotations

import io
import logging
import re
import shutil
from collections.abc import Iterable, Sequence
from html import unescape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from headstart.explain.picture_protocol import Shown, UnfitError
from headstart.explain.rendering.gallery_page import GalleryAnswer, GalleryPicture, GallerySection, page
from headstart.explain.rendering.map_rendering import RgbImage
from headstart.system.files.file_lock import locked
from headstart.types import UserError

log = logging.getLogger(__name__)

PAGE = "gallery.html"
PARTIAL = ".explain.partial"  # a folder: what a killed command leaves, and the next one sweeps away
LOCK = ".explain.lock"
EVENTS = ".explain"  # at the end of the events' name: those of a training run are never taken for an earlier gallery's
OURS = "<footer>headstart "  # in a page
NAMED = re.compile(r'data-name="([^"]+)"')  # of a picture, its kind and its own name
SOFTWARE = "headstart"  # what each picture's file names as its maker
LONGEST = 200  # bytes of a file's name without its ending; systems take 255


class GalleryKind(NamedTuple):
    """The pictures of one kind, drawn while they are written, so that one at a time is in memory.

    Where drawing them raises UnfitError, the kind is shown without pictures and with the reason.
    """

    name: str
    title: str
    about: str
    shown: Iterable[Shown]


def write_gallery(
    folder: Path,
    kinds: Iterable[GalleryKind],
    *,
    of: str,
    facts: Sequence[tuple[str, str]] = (),
    answered: Sequence[GalleryAnswer] = (),
    tensorboard: bool,
) -> Path:
    """Write <folder>/<kind>/<name>.png and the page gallery.html -> its path; tensorboard: events beside them.

    of: what was looked at, for the heading. facts: more about it, a word and what it is each. answered: the images that
    were explained, and what the model says of them. All is written elsewhere first and put in its place at the end:
    whatever ends the command before, an earlier gallery is there as it was. That one's pictures of the same kinds and
    its events are replaced. Raises the first kind's UnfitError where none applies, UserError where a picture cannot
    be shown. Of two commands at once, one waits for the other.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def busy() -> None:
        log.info("waiting for the pictures that another command draws in %s", folder)

    with locked(folder / LOCK, busy=busy, doing=f"draws in {folder}"):
        earlier = _earlier(folder)
        partial = folder / PARTIAL
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            sections = _sections(partial, kinds)
            with (partial / PAGE).open("w", encoding="utf-8", newline="\n") as stream:
                stream.writelines(page(sections, of=of, facts=facts, answered=answered))
            if tensorboard:
                _write_events(partial, sections)
            _put(partial, folder, [section.name for section in sections], earlier)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    log.info("%s: %d pictures", folder / PAGE, sum(len(section.pictures) for section in sections))
    return folder / PAGE


def _sections(place: Path, kinds: Iterable[GalleryKind]) -> list[GallerySection]:
    """Draw all kinds into files. Raises the first UnfitError where there are only such."""
    sections, unfit = [], []
    for kind in kinds:
        _check_name(kind.name, "a kind of picture")
        (place / kind.name).mkdir()
        try:
            pictures = tuple(_written(place / kind.name, picture, kind.name) for picture in kind.shown)
        except UnfitError as error:
            unfit.append(error)
            log.warning("picture %s left out: %s", kind.name, error)
            shutil.rmtree(place / kind.name)
            sections.append(GallerySection(kind.name, kind.title, kind.about, (), str(error)))
        else:
            sections.append(GallerySection(kind.name, kind.title, kind.about, pictures))
    if unfit and len(unfit) == len(sections):
        raise unfit[0]
    return sections


def _written(place: Path, picture: Shown, kind: str) -> GalleryPicture:
    _check_name(picture.name, f"a picture of {kind}")
    shape, dtype = np.shape(picture.image), getattr(picture.image, "dtype", type(picture.image))
    if len(shape) != 3 or shape[2] != 3 or dtype != np.uint8 or 0 in shape:
        raise UserError(f"picture {kind}/{picture.name} must be an array (H, W, 3) of uint8, got {shape} of {dtype}")
    file = place / f"{picture.name}.png"
    if file.exists():
        raise UserError(f"no two pictures of a kind may have the same name, got {kind}/{picture.name} twice")
    file.write_bytes(png(picture.image))
    return GalleryPicture(file, f"{kind}/{picture.name}", shape[1], shape[0], picture.caption, picture.alt)


def _check_name(name: str, owner: str) -> None:
    """It becomes a file's name, in this folder and no other."""
    plain = name and not name.startswith(".") and len(name.encode()) <= LONGEST and name.isprintable()
    if not plain or set(name) & set('/\\:*?"<>|'):
        raise UserError(
            f"the name of {owner} must be that of a file, of at most {LONGEST} bytes, without slashes and without "
            f"a dot in front, got {name!r}"
        )


def _write_events(place: Path, sections: Sequence[GallerySection]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(place, filename_suffix=EVENTS) as writer:
        for picture in (picture for section in sections for picture in section.pictures):
            with Image.open(picture.file) as image:
                writer.add_image(f"explain/{picture.name}", np.asarray(image), dataformats="HWC")


def _earlier(folder: Path) -> frozenset[str]:
    """The pictures on an earlier gallery's page, by kind and name. Raises UserError where it is another page."""
    try:
        text = (folder / PAGE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return frozenset()
    if OURS not in text:
        raise UserError(f"{folder / PAGE} is a page of something else; give another folder: explain.out_dir=<folder>")
    return frozenset(map(unescape, NAMED.findall(text)))


def _put(partial: Path, folder: Path, kinds: Sequence[str], earlier: frozenset[str]) -> None:
    """Move all that was written into its place, the page last; earlier: the pictures that make room for it."""
    for kind in kinds:
        for old in (folder / kind).glob("*.png"):  # an earlier command may have shown others
            if f"{kind}/{old.stem}" in earlier or _is_own(old):
                old.unlink()
            elif (partial / kind / old.name).exists():
                raise UserError(f"{old} is no gallery's picture; give another folder: explain.out_dir=<folder>")
        for new in sorted((partial / kind).glob("*.png")):
            (folder / kind).mkdir(exist_ok=True)
            new.replace(folder / kind / new.name)
    for old in folder.glob(f"events.out.tfevents.*{EVENTS}"):
        old.unlink()
    for new in partial.glob(f"events.out.tfevents.*{EVENTS}"):
        new.replace(folder / new.name)
    (partial / PAGE).replace(folder / PAGE)


def png(image: RgbImage) -> bytes:
    """An image (H, W, 3) as a PNG file, which says who has made it."""
    stream, about = io.BytesIO(), PngInfo()
    about.add_text("Software", SOFTWARE)
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "PNG", optimize=True, pnginfo=about)
    return stream.getvalue()


def _is_own(picture: Path) -> bool:
    try:
        with Image.open(picture) as image:
            return bool(image.info.get("Software") == SOFTWARE)
    except (OSError, ValueError, SyntaxError):
        return False
