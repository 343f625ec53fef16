"""Image files that a listing names, divided into splits, checked and logged before training."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np

from headstart.data.dataset_settings import FileSettings, check_names, check_none_left_out, labels_of, loading_of
from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.labelled_split import Labels, Split
from headstart.data.decoding.decoding_threads import by_threads
from headstart.data.decoding.eight_bit import is_wide
from headstart.data.decoding.file_listing import LeftOut
from headstart.data.decoding.image_decoding import configured_decoder, why
from headstart.data.decoding.image_file_summary import Header, readable
from headstart.data.files.duplicate_files import check_two_labels
from headstart.data.files.file_location import FolderStorage, ImageStorage
from headstart.data.files.file_split import FileSplit
from headstart.data.files.lazy_split import cached_splits
from headstart.data.files.listing_copies import ListingCopies, listing_copies
from headstart.data.files.listing_leakage import ListingFacts, check_listing, label_texts
from headstart.data.splits.chosen_classes import chosen_classes
from headstart.data.splits.class_division import check_split_settings, divided_classes
from headstart.data.splits.class_spelling import alike, composed_names, renaming
from headstart.data.splits.image_copies import Copies
from headstart.data.splits.image_groups import Groups, divided_groups, with_copies
from headstart.data.splits.multi_label_division import MultiLabelFiles
from headstart.data.splits.number_division import NumberFiles
from headstart.system.printing.name_listing import first_few
from headstart.types import SPLITS, UserError

ClassFiles = dict[str, list[str]]  # class -> its files, relative to the root
LISTED = 5  # classes that an error names

log = logging.getLogger(__name__)


class ListedImages(ImageDataModule):
    """Image files of which a listing says the class, or which of the classes, and perhaps the split.

    Args:
        root: The folder of the files.
        listed: Split -> class -> files, relative to root, or as `storage` names them; `train` alone where no splits are
            given. Or files with several labels or with numbers each.
        groups: File -> its group, no two of whose files may lie in two splits; None means that there are none.
        source: What the listing is called in messages.
        settings: As FileSettings says.

    Raises UserError, when the splits are made, where there is one class only, or classes of train, val and test differ,
    or a class has too few images, or files are unreadable or leak; to look at all images, the first three are no error.
    """

    def __init__(
        self,
        *,
        root: Path,
        listed: dict[str, ClassFiles] | MultiLabelFiles | NumberFiles,
        groups: Groups | None,
        source: Path | str,
        **settings: Unpack[FileSettings],
    ) -> None:
        check_names(settings, FileSettings, self)
        check_split_settings(settings)
        self.multi_label, self.regression = isinstance(listed, MultiLabelFiles), isinstance(listed, NumberFiles)
        if isinstance(listed, MultiLabelFiles):
            names = tuple(composed_names(dict.fromkeys(listed.class_names), source=source))
            listed = MultiLabelFiles(names, listed.labels)
        elif not isinstance(listed, NumberFiles):
            listed = {split: composed_names(classes, source=source) for split, classes in listed.items()}
        own = (
            listed.class_names
            if isinstance(listed, MultiLabelFiles | NumberFiles)
            else tuple(dict.fromkeys(name for classes in listed.values() for name in classes))
        )
        chosen = chosen_classes(settings["classes"], own)
        if settings["classes"] is not None:
            if isinstance(listed, NumberFiles):
                raise UserError("classes takes classes by name, and the targets are numbers; leave it null")
            listed = (
                listed.chosen(chosen)
                if isinstance(listed, MultiLabelFiles)
                else {split: chosen.merged(classes) for split, classes in listed.items()}
            )
            log.info("%s: %d of %d classes are taken: %s", source, len(chosen.number_of), len(own), chosen)
        self.root, self._listed, self._groups, self._source = root, listed, groups, source
        super().__init__(class_names=chosen.names, sampler=settings["sampler"], **loading_of(settings))
        self._settings = settings
        self.shots, self.val_shots = settings["shots"], settings["val_shots"]
        self.outside = LeftOut()
        self._left_out = 0  # unreadable files
        self._digests: dict[str, str] = {}  # of the files that were read for it
        self.decoder = configured_decoder(self.pixels, settings)

    @property
    def storage(self) -> ImageStorage:
        """Where the files lie."""
        return FolderStorage(self.root)

    def stored_files(self) -> list[Path]:
        """The files of the listing, and the listing where that is a file."""
        listed = self._listed
        files = (
            listed.files().values()
            if isinstance(listed, MultiLabelFiles | NumberFiles)
            else [of_class for classes in listed.values() for of_class in classes.values()]
        )
        table = [self._source] if isinstance(self._source, Path) and self._source.is_file() else []
        return [self.root / name for names in files for name in names] + table

    @property
    def given_splits(self) -> tuple[str, ...]:
        """The splits of the listing; the others are drawn from them."""
        listed = self._listed
        return tuple(listed.labels if isinstance(listed, MultiLabelFiles | NumberFiles) else listed)

    def check_trainable(self) -> None:
        """Raise UserError where the listing has no training images, one class only, or splits with other classes."""
        if isinstance(self._listed, NumberFiles):
            self._listed.check(self._settings)
            if self.sampler is not None:
                raise UserError("sampler=balanced draws classes equally often, and the targets are numbers; try null")
        elif len(self.class_names) < 2:
            count = f"one with images, {self.class_names[0]}" if self.class_names else "none"
            raise UserError(f"two classes are needed at least, got {count}, in {self.root}{self._deeper()}")
        if "train" not in self.given_splits:
            raise UserError(
                f"{self._source} must list images to train on, it has {' and '.join(self.given_splits)} alone; "
                "to evaluate a finished run on them, give them as evaluate.data"
            )
        if isinstance(self._listed, NumberFiles):
            return
        if isinstance(self._listed, MultiLabelFiles):
            present = set().union(*self._listed.labels["train"].values())
            if absent := [name for number, name in enumerate(self.class_names) if number not in present]:
                raise UserError(
                    f"train of {self._source} must have an image of each class, it has none of "
                    f"{', '.join(absent[:LISTED])}; add some, or leave the class out"
                )
            return
        for split, classes in self._listed.items():
            if differing := sorted(set(classes) ^ set(self._listed["train"])):
                shared = ",".join(name for name in self.class_names if all(name in of for of in self._listed.values()))
                takes = f"to take those that all have: 'target.classes=[{shared}]'; " if shared else ""
                renamed = renaming(list(classes), list(self._listed["train"])) or f"{{{differing[0]}: ...}}"
                raise UserError(
                    f"train and {split} of {self._source} must have the same classes; "
                    f"only one of them has {', '.join(differing[:LISTED])}; {takes}to call one as another: "
                    f"'target.classes={renamed}'"
                )

    def _deeper(self) -> str:
        """A hint where the only class is a folder of folders, as archives with a folder around all others have it."""
        files = [file for of in self._by_class().values() for files in of.values() for file in files]
        folders = sorted({"/".join(parts[:2]) for file in files if len(parts := file.split("/")) > 2})
        if len(self.class_names) != 1 or len(folders) < 2 or "".join(self.given_splits) != "train":
            return ""
        return f"; that has the folders {first_few(folders, LISTED)}: try target.root={self.root}/{self.class_names[0]}"

    def load(self) -> dict[str, FileSplit]:
        self.check_trainable()
        for names in [] if self.regression else alike(self.class_names):
            log.warning(
                "%s: the classes %s differ in case or spaces alone; if they are one: 'target.classes={%s: %s}'",
                self._source, " and ".join(names), names[0], names[1],
            )  # fmt: skip
        headers = self._headers()
        copies = self._copies(headers)
        self.duplicates = copies.records({})  # known where an error follows, too
        check_two_labels(copies.conflicting, copies.label, conflicting_labels=self._settings["conflicting_labels"])
        headers_left = {name: header for name, header in headers.items() if name not in copies.left_out}
        splits = cached_splits(
            self._divided(headers_left, copies.copies),
            decoder=self.decoder,
            cache_gib=self._settings["cache_gib"],
            make=self._split_of,
        )
        self._check_and_log(splits, headers_left, copies)
        return splits

    def all_images(self, splits: Collection[str]) -> tuple[Split, list[str]]:
        """All readable images that are listed in these splits, and their names; nothing is divided.

        Raises UserError where settings choose some of the images.
        """
        check_none_left_out(labels_of(self._settings))
        headers = self._headers()
        listed = [classes for split, classes in self._by_class().items() if split in splits]
        class_of = {
            file: name for classes in listed for name, files in classes.items() for file in files if file in headers
        }
        names = list(class_of)
        label: Labels
        if isinstance(self._listed, MultiLabelFiles | NumberFiles):
            label = self._listed.rows(names)
        else:
            label = np.array([self.class_names.index(name) for name in class_of.values()], np.int64)
        whole = self._split_of(names, label, 0)
        if names:
            copies = self._copies({name: headers[name] for name in names})
            check_two_labels(copies.conflicting, copies.label, conflicting_labels="keep")
            self._check_and_log({"all": whole}, headers, copies)
        return whole, names

    def _by_class(self) -> Mapping[str, ClassFiles]:
        """Split -> class -> files; those of several labels or of numbers are all of one class here, called nothing."""
        if isinstance(self._listed, MultiLabelFiles | NumberFiles):
            return {split: {"": files} for split, files in self._listed.files().items()}
        return self._listed

    def _divided(self, headers: Collection[str], copies: Copies) -> dict[str, tuple[list[str], Labels]]:
        """Split -> its files and their labels."""
        groups = None if self._groups is None else with_copies(self._groups, copies)
        if isinstance(self._listed, MultiLabelFiles | NumberFiles):
            parts = self._listed.divided(headers, self._settings, groups=groups, copies=copies)
            return {split: (names, self._listed.rows(names)) for split, names in parts.items()}
        readable = {
            split: {name: [file for file in files if file in headers] for name, files in classes.items()}
            for split, classes in self._listed.items()
        }
        if groups is not None:
            return numbered(divided_groups(readable, groups, self._settings, copies=copies))
        return numbered(divided_classes(readable, self._settings, copies=copies))

    def _copies(self, headers: Mapping[str, Header]) -> ListingCopies:
        """The files of the same bytes among those that can be read."""
        listed = {split: [file for files in of.values() for file in files] for split, of in self._by_class().items()}
        label: Mapping[str, str]
        if isinstance(self._listed, NumberFiles):
            label = self._listed.texts()
        elif isinstance(self._listed, MultiLabelFiles):
            label = dict(label_texts(names := list(headers), self._listed.rows(names), self.class_names))
        else:
            label = {file: name for of in self._listed.values() for name, files in of.items() for file in files}
        digest = self._split_of([], np.empty(0, np.int64), 0).digests_of
        return listing_copies(listed, headers, label, digest, self._settings)

    def _headers(self) -> dict[str, Header]:
        """Of each file that can be read."""
        names = [name for classes in self._by_class().values() for files in classes.values() for name in files]
        headers = by_threads(lambda name: self.storage.header(name, self.decoder.max_pixels), names)
        header_of = dict(zip(names, headers, strict=True))
        broken = {name: header if isinstance(header, str) else None for name, header in header_of.items()}
        # whether values of more than 8 bits have a known range, they say themselves
        looked_into = [
            name
            for name, header in header_of.items()
            if not isinstance(header, str) and (self._settings["unreadable"] == "skip" or is_wide(header.mode))
        ]
        broken.update(zip(looked_into, by_threads(self._failure, looked_into), strict=True))
        good = readable(broken, root=self.root, unreadable=self._settings["unreadable"])
        self._left_out = len(names) - len(good)
        return {name: header for name, header in header_of.items() if name in good and not isinstance(header, str)}

    def _failure(self, name: str) -> str | None:
        """Why a file cannot be decoded."""
        try:
            self.storage.decoded(name, self.decoder)
        except UserError as error:
            return why(error.__cause__) if isinstance(error.__cause__, Exception) else str(error)
        return None

    def _check_and_log(
        self, splits: Mapping[str, FileSplit], headers: Mapping[str, Header], listing: ListingCopies
    ) -> None:
        """Log what there is. Raises UserError where an image, or a group of images, lies in two splits."""
        copies = self.duplicates = listing.records({split: files.names for split, files in splits.items()})
        facts = ListingFacts(self.root, self.class_names, self._groups, self.outside, self._left_out, self.regression)
        near = check_listing(splits, headers, facts, listing, leakage=self._settings["leakage"])
        self.duplicates = [*copies, *near]

    def _split_of(self, names: list[str], label: Labels, cached: int) -> FileSplit:
        files = FileSplit(self.storage, names, label, decoder=self.decoder, cached_images=cached)
        files._digests = self._digests  # one for all splits
        return files

    def names(self, split: str) -> list[str]:
        """The path of each image, relative to the root. Raises UserError where there is no such split."""
        files = self._split(split)
        assert isinstance(files, FileSplit)
        return list(files.names)


def numbered(parts: Sequence[dict[str, list[str]]]) -> dict[str, tuple[list[str], Labels]]:
    """Split -> names, and the number of each one's class; parts: of each class, split -> names."""
    return {
        split: (
            [name for part in parts for name in part[split]],
            np.repeat(np.arange(len(parts)), [len(part[split]) for part in parts]),
        )
        for split in SPLITS
    }
