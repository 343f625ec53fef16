"""Summary of the image files of a data set, as far as their headers and bytes tell."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from io import SEEK_END
from pathlib import Path
from statistics import median
from typing import IO, Any, Literal, NamedTuple

from headstart.data.decoding.eight_bit import samples_of
from headstart.data.decoding.file_opening import BEGIN, HEIC_MISSING, MAX_PIXELS, opened, regular
from headstart.data.decoding.image_decoding import why
from headstart.system.printing.name_listing import first_few
from headstart.types import UserError

COLOURS = {"LA", "RGB", "RGBA", "CMYK"}  # that files may hold with 16 bits
COLUMNS = 8  # classes that the table has a column for each

log = logging.getLogger(__name__)


class Header(NamedTuple):
    """What a file says of its image, before anything is decoded."""

    width: int  # pixels, as stored: before EXIF turns the image
    height: int
    mode: str  # Pillow's: L, RGB, CMYK, ...; RGB;16 where Pillow will give the upper 8 of 16 bits
    size: int  # bytes of the file


def header(file: Path | IO[bytes], max_pixels: int = MAX_PIXELS) -> Header | str:
    """The header of an image file, or why there is none, as where it has more pixels or such as are never converted."""
    try:
        with (
            regular(file) if isinstance(file, Path) else nullcontext(file) as stream,
            opened(stream, max_pixels=max_pixels) as image,
        ):
            stream.seek(0)
            samples = samples_of(image, stream.read(BEGIN))
            mode = f"{image.mode};16" if samples.bits == 16 and image.mode in COLOURS else image.mode
            return Header(*image.size, mode, stream.seek(0, SEEK_END))
    except Exception as error:  # each format raises errors of its own
        return why(error)


def readable(reasons: Mapping[str, str | None], *, root: Path, unreadable: Literal["error", "skip"]) -> set[str]:
    """The files that can be read.

    Args:
        reasons: File -> why it cannot be read; None where it can.
        root: Their folder, for messages.
        unreadable: `skip` warns of files that cannot be read.

    Raises UserError that lists them otherwise.
    """
    broken = {name: why for name, why in reasons.items() if why is not None}
    if not broken:
        return set(reasons)
    if unreadable == "error" and (heic := [name for name, why in broken.items() if why == HEIC_MISSING]):
        raise UserError(
            f"{len(heic)} of {len(reasons)} files in {root} are {HEIC_MISSING}: {first_few(heic)}; install it, or "
            "leave them out with target.unreadable=skip"
        )
    parts = {name: why.partition("; ") for name, why in broken.items()}
    listed = first_few([f"{name} ({reason})" for name, (reason, _, _) in parts.items()])
    problem = f"{len(broken)} of {len(reasons)} files in {root} are no images that can be read: {listed}"
    advice = next((advice for _, _, advice in parts.values() if advice), "")
    if unreadable == "error":
        raise UserError(
            f"{problem}; {f'{advice}; or ' if advice else ''}repair them, take them away, or leave them out with "
            "target.unreadable=skip"
        )
    log.warning("%s; they are left out", problem)
    return set(reasons) - set(broken)


def table(
    counts: Mapping[str, Mapping[str, Any]],
    headers: Iterable[Header],
    *,
    repeated: int,
    left_out: int,
    sizes: Mapping[str, int] | None = None,
    groups: Mapping[str, int] | None = None,
) -> str:
    """A few lines to read before training.

    Args:
        counts: Split -> class -> images, or column of numbers -> its range as text.
        headers: Of all images.
        repeated: Images that their own split holds already.
        left_out: Unreadable files.
        sizes: Split -> images, where an image may be of several classes or of none; None means that each is of one.
        groups: Split -> groups of images that must stay together, where there are such.
    """
    images = sizes or {split: sum(of.values()) for split, of in counts.items()}
    classes = list(next(iter(counts.values())))

    def counted(split: str) -> list[str]:
        return [str(images[split]), *([str(groups[split])] if groups else [])]

    if len(classes) <= COLUMNS:
        rows = [["", "images", *(["groups"] if groups else []), *classes]]
        rows += [[split, *counted(split), *map(str, of.values())] for split, of in counts.items()]
    else:
        rows = [["", "images", *(["groups"] if groups else []), "classes", "smallest", "median", "largest"]]
        for split, of in counts.items():
            least, most = min(of, key=of.__getitem__), max(of, key=of.__getitem__)
            middle = f"{median(of.values()):g}"
            row = [*counted(split), str(len(of)), f"{least} {of[least]}", middle, f"{most} {of[most]}"]
            rows.append([split, *row])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    all_headers = list(headers)
    wide, high = sorted(header.width for header in all_headers), sorted(header.height for header in all_headers)
    grey = Counter(_is_grey(header.mode) for header in all_headers)
    lines.append(
        f"pixels: median {median(wide):g} x {median(high):g}, "
        f"width {wide[0]} to {wide[-1]}, height {high[0]} to {high[-1]}; {grey[False]} in colour, {grey[True]} grey"
    )
    lines.append(f"{repeated} repeated inside a split, {left_out} unreadable files left out")
    return "\n".join(lines)


def _is_grey(mode: str) -> bool:
    return mode.partition(";")[0] in ("1", "L", "LA", "La", "F", "I")
