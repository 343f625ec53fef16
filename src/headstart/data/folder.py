"""Which images lie in a folder of class folders?"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar

import numpy as np
import torch
from annotated_types import Ge, Interval
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.augment import Augmentation
from headstart.data.decode import Decoder, decoder_of, why
from headstart.data.division import checked_labels, divided
from headstart.data.eight_bit import is_wide
from headstart.data.image_files import (
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
from headstart.data.images import Images, Labels
from headstart.data.kept import Kept
from headstart.data.several import Several
from headstart.data.summary import Header, checked_leakage, duplicates, header, readable, table
from headstart.data.utf8 import escaped, utf8
from headstart.types import SPLITS, Pixels, UserError
from headstart.unchanged import identity

ALSO_CALLED = {"valid": "val", "validation": "val"}

SEEN = 2**16  # files that a process remembers, as the jobs of a sweep read the same ones
Found = dict[str, list[str]]  # class -> its files, relative to the root

log = logging.getLogger(__name__)

T = TypeVar("T")
Made = TypeVar("Made")


class Decoded(ABC):
    """The images of one split, decoded when they are asked for; the first `kept_images` stay in memory."""

    def __init__(self, label: Labels, *, decoder: Decoder, kept_images: int) -> None:
        self.label, self.decoder = label, decoder
        grey = decoder.channels == 1
        self._kept = Kept(kept_images, (decoder.size, decoder.size, *(() if grey else (3,))))

    def at(self, positions: NDArray[np.int64]) -> Tensor:
        """The images at these positions. Raises UserError where one of them cannot be read."""
        there = self._kept.has(positions)
        image = np.empty((len(positions), *self._kept.shape), np.uint8)
        image[there] = self._kept.get(positions[there])
        rest = positions[~there]
        if len(rest):
            image[~there] = self._decoded(rest)
            self._kept.put(rest, image[~there])
        return torch.from_numpy(image)

    @abstractmethod
    def _decoded(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Those that are not kept (B, size, size) or (B, size, size, 3)."""


class Storage(Protocol):
    """Where the files of images lie that names find; workers pickle it."""

    def header(self, name: str, max_pixels: int) -> Header | str:
        """What a file says of its image, or why it says nothing, as where it has too many pixels."""
        ...

    def digest(self, name: str, how: bytes) -> str:
        """Of a whole file, and of how it is decoded."""
        ...

    def decoded(self, name: str, decoder: Decoder) -> NDArray[np.uint8]:
        """Its image. Raises UserError that names the file where there is none."""
        ...


@dataclass(frozen=True)
class Folder:
    """Files whose names are paths relative to the root, with `/`."""

    root: Path

    def header(self, name: str, max_pixels: int) -> Header | str:
        path = f"{self.root}/{name}"
        try:
            return _header(path, identity(path), max_pixels)
        except OSError:
            return header(Path(path), max_pixels)  # which says what is wrong with it

    def digest(self, name: str, how: bytes) -> str:
        path = f"{self.root}/{name}"
        return _digest(path, identity(path), how)

    def decoded(self, name: str, decoder: Decoder) -> NDArray[np.uint8]:
        return decoder(self.root / name)


@lru_cache(SEEN)
def _header(path: str, _: tuple[int, ...], max_pixels: int) -> Header | str:
    return header(Path(path), max_pixels)


@lru_cache(SEEN)
def _digest(path: str, _: tuple[int, ...], how: bytes) -> str:
    return digest_of(Path(path).read_bytes(), how)


def digest_of(content: bytes, how: bytes) -> str:
    """Of a file, and of how it is decoded."""
    return blake2b(how + content, digest_size=16).hexdigest()


class Files(Decoded):
    """The image files of one split, decoded by as many threads as torch computes with.

    In a worker that is one. names: of the files in their storage.
    """

    def __init__(
        self, storage: Storage, names: list[str], label: Labels, *, decoder: Decoder, kept_images: int = 0
    ) -> None:
        super().__init__(label, decoder=decoder, kept_images=kept_images)
        self.storage, self.names = storage, names
        self._digests: dict[str, str] = {}  # of the files that were read for it

    def taken(self, order: NDArray[np.int64]) -> Files:
        """The files at these positions, in this order."""
        names = [self.names[position] for position in order.tolist()]
        kept_images = min(self._kept.count, len(names))
        taken = Files(self.storage, names, self.label[order], decoder=self.decoder, kept_images=kept_images)
        taken._digests = self._digests
        return taken

    def contents(self) -> list[str]:
        """A digest of each file's bytes and of how they are decoded; each file is read once."""
        return self.digests_of(self.names)

    def digests_of(self, names: list[str]) -> list[str]:
        """What contents() says of these files."""
        how = repr(self.decoder).encode()

        def digest(name: str) -> str:
            return self.storage.digest(name, how)

        new = [name for name in dict.fromkeys(names) if name not in self._digests]
        self._digests.update(zip(new, by_threads(digest, new), strict=True))
        return [self._digests[name] for name in names]

    def extents(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Width and height (B, 2), in pixels, of the files at these positions whose headers say them."""
        names = [self.names[at] for at in positions.tolist()]
        seen = by_threads(lambda name: self.storage.header(name, self.decoder.max_pixels), names)
        return np.asarray([(one.width, one.height) for one in seen if not isinstance(one, str)], np.int64)

    def _decoded(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        names = [self.names[at] for at in positions.tolist()]
        return np.stack(by_threads(lambda name: self.storage.decoded(name, self.decoder), names))


class ListedImages(Images):
    """Image files of which a listing says the class, or which of the classes, and perhaps the split.

    found: split -> class -> files, relative to root, or as `storage` names them; `train` alone where no splits are
    given; or files with several labels each. The other arguments are ImageFolder's. Raises UserError where there is
    one class only; when the splits are made, where a class has too few images, or files are unreadable or leak.
    """

    def __init__(
        self,
        *,
        root: Path,
        found: dict[str, Found] | Several,
        shots: Annotated[int, Ge(1)] | None,
        val_shots: Annotated[int, Ge(0)] | None,
        fraction: Annotated[float, Interval(gt=0, le=1)] | None,
        fold: Annotated[int, Ge(0)] | None,
        folds: Annotated[int, Ge(2)],
        val_share: Annotated[float, Interval(gt=0, lt=1)],
        test_share: Annotated[float, Interval(gt=0, lt=1)],
        unreadable: Literal["error", "skip"],
        leakage: Literal["error", "allow"],
        resize: Annotated[int, Ge(1)] | None,
        decode: Literal["reduced", "full"],
        value_range: tuple[float, float] | None,
        background: Annotated[int, Interval(ge=0, le=255)],
        max_pixels: Annotated[int, Ge(1)],
        cache_gib: Annotated[float, Ge(0)],
        batch_size: Annotated[int, Ge(1)],
        num_workers: Annotated[int, Ge(0)] | Literal["auto"],
        augment: Augmentation | None,
        pixels: Pixels,
        seed: Annotated[int, Ge(0)],
        sampler: Literal["balanced"] | None = None,
    ) -> None:
        checked_labels(shots=shots, fraction=fraction, fold=fold, folds=folds, val_shots=val_shots)
        self.multi_label = isinstance(found, Several)
        class_names = found.class_names if isinstance(found, Several) else tuple(found["train"])
        if len(class_names) < 2:
            there = f"one with images, {class_names[0]}" if class_names else "none"
            raise UserError(f"two classes are needed at least, got {there}, in {root}")
        self.root, self._found = root, found
        super().__init__(
            class_names=class_names,
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            sampler=sampler,
            pixels=pixels,
            seed=seed,
        )
        self.shots, self.val_share, self.test_share, self.cache_gib = shots, val_share, test_share, cache_gib
        self.val_shots, self.fraction, self.fold, self.folds = val_shots, fraction, fold, folds
        self.unreadable, self.leakage = unreadable, leakage
        self.outside = LeftOut()
        self.decoder = decoder_of(
            pixels,
            resize=resize,
            reduced=decode == "reduced",
            value_range=value_range,
            background=background,
            max_pixels=max_pixels,
        )

    @property
    def storage(self) -> Storage:
        """Where the files lie."""
        return Folder(self.root)

    def load(self) -> dict[str, Files]:
        headers = self._headers()
        listed = self._several(self._found, headers) if isinstance(self._found, Several) else self._single(headers)
        splits = self._files(listed)
        self._tell(splits, headers)
        return splits

    def _single(self, headers: Collection[str]) -> dict[str, tuple[list[str], Labels]]:
        """Split -> its files and their classes, divided class by class."""
        assert not isinstance(self._found, Several)
        there = {
            split: {name: [file for file in files if file in headers] for name, files in classes.items()}
            for split, classes in self._found.items()
        }
        parts = [
            divided(
                name,
                train=there["train"][name],
                val=there["val"][name] if "val" in there else None,
                test=there["test"][name] if "test" in there else None,
                val_share=self.val_share,
                test_share=self.test_share,
                shots=self.shots,
                val_shots=self.val_shots,
                seed=self.seed,
                fraction=self.fraction,
                fold=self.fold,
                folds=self.folds,
            )
            for name in self.class_names
        ]
        return numbered(parts)

    def _several(self, found: Several, headers: Collection[str]) -> dict[str, tuple[list[str], Labels]]:
        """Split -> its files and which classes each has, divided for all classes together."""
        parts = found.divided(
            headers,
            val_share=self.val_share,
            test_share=self.test_share,
            shots=self.shots,
            val_shots=self.val_shots,
            seed=self.seed,
            fraction=self.fraction,
            fold=self.fold,
            folds=self.folds,
        )
        return {split: (names, found.rows(names)) for split, names in parts.items()}

    def _headers(self) -> dict[str, Header]:
        """Of each file that can be read."""
        if isinstance(self._found, Several):
            names = [name for files in self._found.files().values() for name in files]
        else:
            names = [name for classes in self._found.values() for files in classes.values() for name in files]
        headers = by_threads(lambda name: self.storage.header(name, self.decoder.max_pixels), names)
        seen = dict(zip(names, headers, strict=True))
        broken = {name: one if isinstance(one, str) else None for name, one in seen.items()}
        # whether values of more than 8 bits have a known range, they say themselves
        looked_into = [
            name
            for name, one in seen.items()
            if not isinstance(one, str) and (self.unreadable == "skip" or is_wide(one.mode))
        ]
        broken.update(zip(looked_into, by_threads(self._failure, looked_into), strict=True))
        good = readable(broken, root=self.root, unreadable=self.unreadable)
        self._left_out = len(names) - len(good)
        return {name: one for name, one in seen.items() if name in good and not isinstance(one, str)}

    def _failure(self, name: str) -> str | None:
        """Why a file cannot be decoded."""
        try:
            self.storage.decoded(name, self.decoder)
        except UserError as error:
            return why(error.__cause__) if isinstance(error.__cause__, Exception) else str(error)
        return None

    def _tell(self, splits: dict[str, Files], headers: dict[str, Header]) -> None:
        """Log what there is to train on. Raises UserError where an image lies in two splits."""
        names = {split: files.names for split, files in splits.items()}
        same = duplicates(names, headers, splits["train"].digests_of)
        inside = [Counter(split for split, _ in group) for group in same]
        told = table(
            {
                split: dict(zip(self.class_names, class_counts(files.label, self.num_classes).tolist(), strict=True))
                for split, files in splits.items()
            },
            [headers[name] for of_split in names.values() for name in of_split],
            repeated=sum(count - 1 for group in inside for count in group.values()),
            left_out=self._left_out,
            sizes={split: len(of_split) for split, of_split in names.items()},
            outside=self.outside.told(),
        )
        log.info("%s\n%s", self.root, told)
        if missed := self.outside.missed():
            log.warning("not read in %s: %s", self.root, missed)
        checked_leakage([group for group in same if len({split for split, _ in group}) > 1], leakage=self.leakage)

    def _files(self, listed: dict[str, tuple[list[str], Labels]]) -> dict[str, Files]:
        digests: dict[str, str] = {}

        def made(names: list[str], label: Labels, kept: int) -> Files:
            files = Files(self.storage, names, label, decoder=self.decoder, kept_images=kept)
            files._digests = digests  # one for all splits
            return files

        return with_room(listed, decoder=self.decoder, cache_gib=self.cache_gib, made=made)

    def names(self, split: str) -> list[str]:
        """The path of each image, relative to the root. Raises UserError where there is no such split."""
        files = self._split(split)
        assert isinstance(files, Files)
        return list(files.names)


def class_counts(label: Labels, classes: int) -> NDArray[np.int64]:
    """How many images each class has (classes,)."""
    counts = np.bincount(label, minlength=classes) if label.ndim == 1 else label.sum(axis=0)
    return counts.astype(np.int64)


def numbered(parts: Sequence[dict[str, list[str]]]) -> dict[str, tuple[list[str], Labels]]:
    """Split -> names, and the number of each one's class; parts: of each class, split -> names."""
    return {
        split: (
            [name for part in parts for name in part[split]],
            np.repeat(np.arange(len(parts)), [len(part[split]) for part in parts]),
        )
        for split in SPLITS
    }


def with_room(
    listed: Mapping[str, tuple[list[str], Labels]],
    *,
    decoder: Decoder,
    cache_gib: float,
    made: Callable[[list[str], Any, int], Made],
) -> dict[str, Made]:
    """Split -> what is made of its names, their labels and how many images of it stay in memory: train, then val."""
    room = int(cache_gib * 2**30) // (decoder.size**2 * decoder.channels)  # images
    splits: dict[str, Made] = {}
    for split in SPLITS:
        names, label = listed[split]
        kept = 0 if split == "test" else min(room, len(names))  # the test is looked at once
        splits[split] = made(names, label, kept)
        room -= kept
    return splits


class ImageFolder(ListedImages):
    """Images of any format that Pillow reads, or the extra `heic`, in a folder a class, at any depth below it.

    root holds train/, val/ and test/ with class folders, or train/ and one of the other two, or class folders alone:
    what is missing is taken from what is there, class by class, as headstart.data.division says. folders: split -> its
    folder in root, None = by those names. shots: training images of each class; fraction: a share of them; val_shots:
    val images of each class, 0 for none; fold, folds: which part of all that is not for the test is val.
    unreadable: `error` reads each file's header before training, `skip` decodes each file once, and leaves out what
    fails. leakage: whether files of the same bytes may lie in two splits. resize: what the shorter side becomes
    before the centre is cut out, in pixels; None = what the backbone says, else 256/224 of its size. decode: `reduced`
    reads JPEG files at a fraction of their size where that is enough, see Decoder. value_range: of grey values of more
    than 8 bits, what becomes black and what white; None = all that the bits can hold. background: the grey level
    behind transparent pixels. max_pixels: of one image; what has more is not decoded. cache_gib: decoded images of
    train, then of val, that stay in memory, per process. sampler: `balanced` draws training images of each class
    equally often, an epoch as long as before.

    Raises UserError where there is no such folder, no image in it or in one of its class folders, one class only, a
    class has too few, a name is not UTF-8, folders are none of root's, or the class folders of train, val and test
    differ; when the splits are made, where files are unreadable or leak.
    """

    def __init__(
        self,
        *,
        root: str,
        folders: Mapping[str, str] | None,
        shots: Annotated[int, Ge(1)] | None,
        val_shots: Annotated[int, Ge(0)] | None,
        fraction: Annotated[float, Interval(gt=0, le=1)] | None,
        fold: Annotated[int, Ge(0)] | None,
        folds: Annotated[int, Ge(2)],
        val_share: Annotated[float, Interval(gt=0, lt=1)],
        test_share: Annotated[float, Interval(gt=0, lt=1)],
        unreadable: Literal["error", "skip"],
        leakage: Literal["error", "allow"],
        resize: Annotated[int, Ge(1)] | None,
        decode: Literal["reduced", "full"],
        value_range: tuple[float, float] | None,
        background: Annotated[int, Interval(ge=0, le=255)],
        max_pixels: Annotated[int, Ge(1)],
        cache_gib: Annotated[float, Ge(0)],
        batch_size: Annotated[int, Ge(1)],
        num_workers: Annotated[int, Ge(0)] | Literal["auto"],
        augment: Augmentation | None,
        sampler: Literal["balanced"] | None,
        pixels: Pixels,
        seed: Annotated[int, Ge(0)],
    ) -> None:
        place = Path(root).expanduser()
        outside = LeftOut()
        super().__init__(
            root=place,
            found=found(place, folders, outside),
            shots=shots,
            val_shots=val_shots,
            fraction=fraction,
            fold=fold,
            folds=folds,
            val_share=val_share,
            test_share=test_share,
            unreadable=unreadable,
            leakage=leakage,
            resize=resize,
            decode=decode,
            value_range=value_range,
            background=background,
            max_pixels=max_pixels,
            cache_gib=cache_gib,
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            sampler=sampler,
            pixels=pixels,
            seed=seed,
        )
        self.outside = outside


def found(root: Path, folders: Mapping[str, str] | None, outside: LeftOut | None = None) -> dict[str, Found]:
    """Split -> class -> files. Class folders alone are all under `train`. Raises UserError, as ImageFolder says.

    outside: takes what is not read, with the reasons.
    """
    if not root.is_dir():
        raise UserError(f"root must be a folder of class folders with images, and there is none at {root}")
    outside = LeftOut() if outside is None else outside
    parts = _by_their_names(root) if folders is None else _as_said(root, folders)
    held = {split: _classes(folder, root, outside) for split, folder in parts.items()}
    if root not in parts.values():
        _note_files(root, root, outside)
        for beside in _folders_in(root).values():
            if not any(part == beside or beside in part.parents for part in parts.values()):
                outside.add(BESIDE, beside.relative_to(root).as_posix())
    if not any(held["train"].values()):
        there = ", ".join(escaped(entry.name) for entry in sorted(root.iterdir())[:5]) or "nothing"
        raise UserError(
            f"root must hold class folders with images, or train/, val/ and test/ with such folders; "
            f"no image lies in a class folder of {parts['train']}; {root} holds {there}"
        )
    for split, classes in held.items():
        if empty := [name for name, files in classes.items() if not files]:
            image_files(parts[split] / empty[0], root, first := LeftOut())
            raise UserError(
                f"each class folder must hold an image that can be read, {', '.join(empty[:5])} of {parts[split]} "
                f"{'does' if len(empty) == 1 else 'do'} not ({empty[0]} holds {first.told() or 'nothing'}); take it "
                "away, or put images there"
            )
        if differing := sorted(set(classes) ^ set(held["train"])):
            raise UserError(
                f"{parts['train']} and {parts[split]} must have the same class folders; "
                f"only one of them has {', '.join(differing[:5])}"
            )
    return held


def _by_their_names(root: Path) -> dict[str, Path]:
    """Split -> its folder."""
    inside = _folders_in(root)
    named = {ALSO_CALLED.get(name, name): name for name in inside}
    splits = {split: inside[named[split]] for split in SPLITS if split in named}
    # a class may be called train, as long as no other class is called val
    divided_here = "train" in splits and (len(splits) > 1 or len(inside) == 1)
    return splits if divided_here else {"train": root}


def _as_said(root: Path, folders: Mapping[str, str]) -> dict[str, Path]:
    """Split -> its folder. Raises UserError."""
    if "train" not in folders or not set(folders) <= set(SPLITS) or len(set(folders.values())) < len(folders):
        raise UserError(
            f"folders must give train, and may give val and test, a folder of its own, got {dict(folders)}; "
            "as in target.folders={train:training,test:evaluation}"
        )
    for split, name in folders.items():
        if not (root / name).is_dir():
            there = ", ".join(_folders_in(root)) or "none"
            raise UserError(f"folders says that {split} lies in {name}, and {root} has no such folder; it has {there}")
    return {split: root / folders[split] for split in SPLITS if split in folders}


def _folders_in(folder: Path) -> dict[str, Path]:
    return {
        entry.name: Path(entry.path) for entry in seen_entries(folder, folder, LeftOut()) if Path(entry.path).is_dir()
    }


def _classes(folder: Path, root: Path, outside: LeftOut) -> Found:
    """The files of each class folder, at any depth, in an order that no file system decides."""
    above = {identity_of(one) for one in (folder, *above_of(folder))}
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


def by_threads(make: Callable[[T], Made], of: Sequence[T]) -> list[Made]:
    """Each made in its turn, several at once: reading, decoding and hashing let other threads work."""
    threads = min(torch.get_num_threads(), len(of))
    if threads < 2:
        return [make(one) for one in of]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(make, of))
