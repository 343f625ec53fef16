"""Which images lie in a folder of class folders?"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar

import numpy as np
import torch
from annotated_types import Ge, Interval
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.datasets.image_datamodule import Images
from headstart.data.datasets.labelled_split import Labels, Split
from headstart.data.decoding.eight_bit import is_wide
from headstart.data.decoding.file_checks import (
    Duplicate,
    Header,
    checked_leakage,
    copies_of,
    duplicates,
    header,
    readable,
    table,
    tell_near,
    tell_repeated,
    tell_two_labels,
)
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
from headstart.data.decoding.image_decoding import Decoder, decoder_of, why
from headstart.data.decoding.utf8_names import escaped, utf8
from headstart.data.loading.decoded_image_cache import Kept
from headstart.data.splits.class_division import NO_COPIES, Copies, Division, checked_labels, divided
from headstart.data.splits.image_groups import (
    Groups,
    check_groups,
    divided_groups,
    group_counts,
    groups_by_pattern,
    with_copies,
)
from headstart.data.splits.multi_label_division import Several
from headstart.data.transforms.augmentation import Augmentation
from headstart.system.file_identity import identity
from headstart.system.setting_paths import given_path
from headstart.types import SPLITS, Pixels, UserError

ALSO_CALLED = {"valid": "val", "validation": "val"}

LISTED = 5  # classes that an error names
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
    given; or files with several labels each. groups: file -> its group, no two of whose files may lie in two splits;
    None = there are none. source: what the listing is called in messages. The other arguments are ImageFolder's. Raises
    UserError, when the splits are made, where there is one class only, or classes of train, val and test differ, or a
    class has too few images, or files are unreadable or leak; to look at all images, the first three are no error.
    """

    def __init__(
        self,
        *,
        root: Path,
        found: dict[str, Found] | Several,
        groups: Groups | None,
        source: Path | str,
        shots: Annotated[int, Ge(1)] | None,
        val_shots: Annotated[int, Ge(0)] | None,
        fraction: Annotated[float, Interval(gt=0, le=1)] | None,
        fold: Annotated[int, Ge(0)] | None,
        folds: Annotated[int, Ge(2)],
        val_share: Annotated[float, Interval(gt=0, lt=1)],
        test_share: Annotated[float, Interval(gt=0, lt=1)],
        unreadable: Literal["error", "skip"],
        leakage: Literal["error", "allow", "near"],
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
        self.root, self._found, self._groups, self._source = root, found, groups, source
        class_names = (
            found.class_names
            if isinstance(found, Several)
            else tuple(dict.fromkeys(name for classes in found.values() for name in classes))
        )
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
        self._digests: dict[str, str] = {}  # of the files that were read for it
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

    @property
    def given_splits(self) -> tuple[str, ...]:
        """The splits of the listing; the others are drawn from them."""
        return tuple(self._found.labels if isinstance(self._found, Several) else self._found)

    def check_trainable(self) -> None:
        """Raise UserError where the listing has no training images, one class only, or splits with other classes."""
        if len(self.class_names) < 2:
            there = f"one with images, {self.class_names[0]}" if self.class_names else "none"
            raise UserError(f"two classes are needed at least, got {there}, in {self.root}")
        if "train" not in self.given_splits:
            raise UserError(
                f"{self._source} must list images to train on, it has {' and '.join(self.given_splits)} alone; "
                "to evaluate a finished run on them, give them as evaluate.data"
            )
        if isinstance(self._found, Several):
            seen = set().union(*self._found.labels["train"].values())
            if absent := [name for number, name in enumerate(self.class_names) if number not in seen]:
                raise UserError(
                    f"train of {self._source} must have an image of each class, it has none of "
                    f"{', '.join(absent[:LISTED])}; add some, or leave the class out"
                )
            return
        for split, classes in self._found.items():
            if differing := sorted(set(classes) ^ set(self._found["train"])):
                raise UserError(
                    f"train and {split} of {self._source} must have the same classes; "
                    f"only one of them has {', '.join(differing[:LISTED])}"
                )

    def load(self) -> dict[str, Files]:
        self.check_trainable()
        headers = self._headers()
        copies = self._copies(headers)
        several = isinstance(self._found, Several)
        listed = self._several(headers, copies) if several else self._single(headers, copies)
        splits = self._files(listed)
        self._tell(splits, headers)
        return splits

    def all_images(self, splits: Collection[str]) -> tuple[Split, list[str]]:
        """All readable images that are listed in these splits, and their names; nothing is divided.

        Raises UserError where settings choose some of the images.
        """
        self.check_none_left_out("shots", "val_shots", "fraction", "fold")
        headers = self._headers()
        listed = [classes for split, classes in self._by_class().items() if split in splits]
        class_of = {
            file: name for classes in listed for name, files in classes.items() for file in files if file in headers
        }
        names = list(class_of)
        label: Labels
        if isinstance(self._found, Several):
            label = self._found.rows(names)
        else:
            label = np.array([self.class_names.index(one) for one in class_of.values()], np.int64)
        whole = self._made(names, label, 0)
        if names:
            self._tell({"all": whole}, {name: headers[name] for name in names})
        return whole, names

    def _by_class(self) -> Mapping[str, Found]:
        """Split -> class -> files; those of several labels an image are all of one class here, called nothing."""
        found = self._found
        return {split: {"": files} for split, files in found.files().items()} if isinstance(found, Several) else found

    @property
    def _division(self) -> Division:
        return {
            "val_share": self.val_share,
            "test_share": self.test_share,
            "shots": self.shots,
            "val_shots": self.val_shots,
            "seed": self.seed,
            "fraction": self.fraction,
            "fold": self.fold,
            "folds": self.folds,
        }

    def _single(self, headers: Collection[str], copies: Copies) -> dict[str, tuple[list[str], Labels]]:
        """Split -> its files and their classes, divided class by class."""
        there = {
            split: {name: [file for file in files if file in headers] for name, files in classes.items()}
            for split, classes in self._by_class().items()
        }
        if self._groups is not None:
            return numbered(
                divided_groups(
                    there,
                    groups=with_copies(self._groups, copies),
                    **self._division,
                )
            )
        parts = [
            divided(
                name,
                train=there["train"][name],
                val=there["val"][name] if "val" in there else None,
                test=there["test"][name] if "test" in there else None,
                **self._division,
                copies=copies,
            )
            for name in self.class_names
        ]
        return numbered(parts)

    def _several(self, headers: Collection[str], copies: Copies) -> dict[str, tuple[list[str], Labels]]:
        """Split -> its files and which classes each has, divided for all classes together."""
        assert isinstance(self._found, Several)
        parts = self._found.divided(
            headers,
            **self._division,
            groups=None if self._groups is None else with_copies(self._groups, copies),
            copies=copies,
        )
        return {split: (names, self._found.rows(names)) for split, names in parts.items()}

    def _copies(self, headers: Mapping[str, Header]) -> Copies:
        """Of the files of which there are copies, which image each is; none where nothing is drawn."""
        if self.leakage == "allow" or (self.fold is None and set(self.given_splits) == set(SPLITS)):
            return NO_COPIES
        same = duplicates({"": list(headers)}, headers, self._made([], np.empty(0, np.int64), 0).digests_of)
        return {name: group[0][1] for group in same for _, name in group}

    def _headers(self) -> dict[str, Header]:
        """Of each file that can be read."""
        names = [name for classes in self._by_class().values() for files in classes.values() for name in files]
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

    def _tell(self, splits: Mapping[str, Files], headers: Mapping[str, Header]) -> None:
        """Log what there is. Raises UserError where an image, or a group of images, lies in two splits."""
        names = {split: files.names for split, files in splits.items()}
        label = {name: one for files in splits.values() for name, one in self._called(files)}
        same = duplicates(names, headers, next(iter(splits.values())).digests_of)
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
            groups=None if self._groups is None else group_counts(names, self._groups),
        )
        log.info("%s\n%s", self.root, told)
        self.outside.log(log, self.root)
        self.duplicates = copies_of(same, label)
        tell_repeated(self.duplicates)
        tell_two_labels(self.duplicates)
        apart = [group for group in same if len({split for split, _ in group}) > 1]
        checked_leakage(apart, leakage=self.leakage, label=label)
        if self._groups is not None:
            check_groups(names, self._groups, leakage=self.leakage)
        if self.leakage == "near" and len(splits) > 1:
            near = self._near(names, headers, {name: group[0][1] for group in same for _, name in group}, label)
            tell_near(near)
            self.duplicates = [*self.duplicates, *near]

    def _called(self, files: Files) -> Iterable[tuple[str, str]]:
        """Each file with its class, or its classes with | between them."""
        for name, label in zip(files.names, files.label, strict=True):
            places = np.flatnonzero(label).tolist() if label.ndim else [int(label)]
            yield name, "|".join(self.class_names[at] for at in places)

    def _near(
        self, names: Mapping[str, list[str]], headers: Mapping[str, Header], copies: Copies, label: Mapping[str, str]
    ) -> list[Duplicate]:
        """Pictures that lie in two splits, saved at another size or quality."""
        from headstart.data.splits.near_duplicates import SIDE, SMALLEST, near_duplicates  # here: it needs scipy

        large = {
            split: [name for name in of if min(headers[name].width, headers[name].height) >= SMALLEST]
            for split, of in names.items()
        }
        if small := sum(map(len, names.values())) - sum(map(len, large.values())):
            log.info("%d images with a side below %d pixels are not looked for saved again", small, SMALLEST)
        grey = replace(self.decoder, size=SIDE, resize=SIDE, channels=1, reduced=True, interpolation="bilinear")
        colour = replace(grey, channels=3)
        pairs = near_duplicates(
            large,
            copies=copies,
            grey=lambda files: np.stack(by_threads(lambda name: self.storage.decoded(name, grey), files)),
            colour=lambda name: self.storage.decoded(name, colour),
        )
        return [
            Duplicate(
                "near", one.split, one.name, label[one.name], one.other_split, one.other, label[one.other],
                round(one.difference, 2),
            )
            for one in pairs
        ]  # fmt: skip

    def _files(self, listed: dict[str, tuple[list[str], Labels]]) -> dict[str, Files]:
        return with_room(listed, decoder=self.decoder, cache_gib=self.cache_gib, made=self._made)

    def _made(self, names: list[str], label: Labels, kept: int) -> Files:
        files = Files(self.storage, names, label, decoder=self.decoder, kept_images=kept)
        files._digests = self._digests  # one for all splits
        return files

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
    what is missing is taken from what is there, class by class, as headstart.data.splits.class_division says.
    folders: split -> its
    folder in root, None = by those names. group_pattern: a regular expression whose first group finds in a file's path
    what the image belongs to, say a patient, all of which stays in one split. shots: training images of each class;
    fraction: a share of them; val_shots: val images of each class, 0 for none; fold, folds: which part of all that is
    not for the test is val. unreadable: `error` reads each file's header before training, `skip` decodes each file
    once, and leaves out what fails. leakage: `error` stops where files of the same bytes, or images of a group, lie in
    two splits that are given, and keeps copies together in splits that are drawn; `near` does the same, and warns of
    pictures that lie in two splits, saved again at another size or quality; `allow` warns, and leaves copies apart.
    resize: what the shorter side becomes before the centre is cut out, in pixels; None = what the backbone says, else
    256/224 of its size. decode: `reduced` reads JPEG files at a fraction of their size where that is enough, see
    Decoder. value_range: of grey values of more than 8 bits, what becomes black and what white; None = all that the
    bits can hold. background: the grey level behind transparent pixels. max_pixels: of one image; what has more is not
    decoded. cache_gib: decoded images of train, then of val, that stay in memory, per process. sampler: `balanced`
    draws training images of each class equally often, an epoch as long as before.

    Raises UserError where there is no such folder, no image in it or in one of its class folders, a name is not UTF-8,
    folders are none of root's, or a path has no group; as ListedImages.
    """

    def __init__(
        self,
        *,
        root: str,
        folders: Mapping[str, str] | None,
        group_pattern: str | None,
        shots: Annotated[int, Ge(1)] | None,
        val_shots: Annotated[int, Ge(0)] | None,
        fraction: Annotated[float, Interval(gt=0, le=1)] | None,
        fold: Annotated[int, Ge(0)] | None,
        folds: Annotated[int, Ge(2)],
        val_share: Annotated[float, Interval(gt=0, lt=1)],
        test_share: Annotated[float, Interval(gt=0, lt=1)],
        unreadable: Literal["error", "skip"],
        leakage: Literal["error", "allow", "near"],
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
        place = given_path(root, "root")
        outside = LeftOut()
        held = found(place, folders, outside)
        files = [name for classes in held.values() for of in classes.values() for name in of]
        super().__init__(
            root=place,
            found=held,
            groups=None if group_pattern is None else groups_by_pattern(files, group_pattern),
            source=place,
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
        for other in _folders_in(root).values():
            if not any(part == other or other in part.parents for part in parts.values()):
                outside.add(BESIDE, other.relative_to(root).as_posix())
    first = next(iter(held))
    if not any(held[first].values()):
        there = ", ".join(escaped(entry.name) for entry in sorted(root.iterdir())[:5]) or "nothing"
        raise UserError(
            f"root must hold class folders with images, or train/, val/ and test/ with such folders; "
            f"no image lies in a class folder of {parts[first]}; {root} holds {there}"
        )
    for split, classes in held.items():
        if empty := [name for name, files in classes.items() if not files]:
            image_files(parts[split] / empty[0], root, beside := LeftOut())
            raise UserError(
                f"each class folder must hold an image that can be read, {', '.join(empty[:5])} of {parts[split]} "
                f"{'does' if len(empty) == 1 else 'do'} not ({empty[0]} holds {beside.told() or 'nothing'}); take it "
                "away, or put images there"
            )
        if not held[split] and (loose := len(image_files(parts[split], root, LeftOut()))):
            kept = ",".join(f"{one}:{parts[one].relative_to(root).as_posix()}" for one in held if held[one])
            raise UserError(
                f"{parts[split]} holds {loose} images and no class folder, as the test images of a competition do, "
                f"whose labels are not known; leave it out with 'target.folders={{{kept}}}', so that {split} is drawn "
                f"from the others, and classify its images with the finished run: headstart task=predict "
                f"predict.images={parts[split]} predict.run_dir=..."
            )
    return held


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
