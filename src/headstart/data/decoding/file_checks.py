"""Summary of the image files of a data set, as far as their headers and bytes tell."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from io import SEEK_END
from pathlib import Path
from statistics import median
from typing import IO, Literal, NamedTuple

from headstart.data.decoding.eight_bit import samples_of
from headstart.data.decoding.file_opening import BEGIN, HEIC_MISSING, MAX_PIXELS, opened, regular
from headstart.data.decoding.image_decoding import why
from headstart.system.name_listing import first_few
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


def duplicates(
    splits: Mapping[str, Sequence[str]], headers: Mapping[str, Header], digest: Callable[[list[str]], list[str]]
) -> list[list[tuple[str, str]]]:
    """Groups of (split, file) whose files hold the same bytes.

    Args:
        splits: Split -> its files.
        headers: File -> what it says of its image.
        digest: Files -> what tells their bytes apart; asked only for files that have their size and their header in
            common with another one.
    """
    alike: dict[Header, list[tuple[str, str]]] = defaultdict(list)
    for split, names in splits.items():
        for name in names:
            alike[headers[name]].append((split, name))
    suspects = [file for group in alike.values() if len(group) > 1 for file in group]
    same: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for file, content in zip(suspects, digest([name for _, name in suspects]), strict=True):
        same[content].append(file)
    return [group for group in same.values() if len(group) > 1]


class Duplicate(NamedTuple):
    """Two images of the same data set that are one."""

    kind: Literal["copy", "near"]  # the same bytes, or the same picture saved again
    split: str
    file: str
    label: str
    other_split: str
    other_file: str
    other_label: str
    difference: float  # mean absolute difference of the pixels, of 255


def copies_of(groups: Iterable[Sequence[tuple[str, str]]], label: Mapping[str, str]) -> list[Duplicate]:
    """Each further file of a group with the same bytes, beside the group's first one.

    Args:
        groups: Groups of (split, file).
        label: File -> its class.
    """
    return [
        Duplicate("copy", split, name, label[name], other_split, other, label[other], 0.0)
        for (split, name), *others in groups
        for other_split, other in others
    ]


def tell_two_labels(copies: Iterable[Duplicate]) -> None:
    """Warn of files that have the same bytes and different labels."""
    differing = [
        f"{copy.file} ({copy.label}) = {copy.other_file} ({copy.other_label})"
        for copy in copies
        if copy.label != copy.other_label
    ]
    if differing:
        log.warning(
            "%d images have the same bytes and two labels, so that no model is right about both: %s; take one file of "
            "each pair away", len(differing), first_few(differing),
        )  # fmt: skip


def tell_repeated(copies: Iterable[Duplicate]) -> None:
    """Log the files that their own split holds already."""
    inside = [f"{copy.file} = {copy.other_file}" for copy in copies if copy.split == copy.other_split]
    if inside:
        log.info("repeated inside a split: %s", first_few(inside))


def tell_near(pairs: Sequence[Duplicate]) -> None:
    """Warn of pictures that lie in two splits, saved at another size or quality."""
    if pairs:
        pair_texts = [f"{pair.file} ({pair.split}) ~ {pair.other_file} ({pair.other_split})" for pair in pairs]
        log.warning(
            "%d pairs of images in different splits show the same picture at another size or quality, so that val or "
            "test measures what was learnt by heart: %s", len(pairs), first_few(pair_texts),
        )  # fmt: skip


def checked_leakage(
    groups: Iterable[Sequence[tuple[str, str]]],
    *,
    leakage: Literal["error", "allow", "near"],
    label: Mapping[str, str] | None = None,
) -> None:
    """Raise UserError with the pairs where the same image lies in two splits; a warning where that is allowed.

    Args:
        groups: Groups of (split, file) with the same bytes.
        leakage: `allow` warns, the others raise.
        label: File -> its class, which the message has where the two of a pair differ.
    """
    pairs = []
    for group in groups:
        first: dict[str, str] = {}  # split -> its first file
        for split, name in group:
            first.setdefault(split, name)
        first_file, *others = first.items()
        for other in others:
            labels = [label[name] for _, name in (first_file, other)] if label else []
            texts = [
                f"{name} ({split}{f', {labels[at]}' if len(set(labels)) > 1 else ''})"
                for at, (split, name) in enumerate((first_file, other))
            ]
            pairs.append(" = ".join(texts))
    if not pairs:
        return
    told_all = f"{len(pairs)} images lie in two splits, so that val or test measures what was learnt by heart"
    if leakage != "allow":
        raise UserError(
            f"{told_all}: {first_few(pairs)}; take one file of each pair away, or go on all the same with "
            "target.leakage=allow"
        )
    log.warning("%s: %s", told_all, first_few(pairs))


def table(
    counts: Mapping[str, Mapping[str, int]],
    headers: Iterable[Header],
    *,
    repeated: int,
    left_out: int,
    sizes: Mapping[str, int] | None = None,
    groups: Mapping[str, int] | None = None,
) -> str:
    """A few lines to read before training.

    Args:
        counts: Split -> class -> images.
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
