"""Which of torchvision's data sets are there, and what are their official splits?"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import numpy as np
from annotated_types import Ge, Interval
from filelock import FileLock
from numpy.typing import NDArray

from headstart.data.datasets.image_datamodule import Images
from headstart.data.datasets.image_folder import Decoded, Files, Folder, numbered, with_room
from headstart.data.datasets.labelled_split import Labels, Split
from headstart.data.decoding.image_decoding import Decoder, decoder_of
from headstart.data.splits.class_division import divided
from headstart.data.transforms.augmentation import Augmentation
from headstart.system.setting_paths import given_path
from headstart.types import Pixels, UserError

if TYPE_CHECKING:
    from PIL.Image import Image

Arguments = Mapping[str, str | bool]  # what a class of torchvision wants to be told for one split
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Official:
    """How a data set of torchvision is asked for its splits."""

    place: str  # of its files, below root
    splits: Mapping[str, Arguments]  # those that it has; what is missing is taken from them
    variant: str | None = None  # the argument that chooses a variant
    variants: tuple[str, ...] = ()  # its values, the usual one first
    class_names: tuple[str, ...] | None = None  # where the class says none, or others than its sisters
    on_its_side: bool = False  # rows are stored as columns


def _by(argument: str, **value: str | bool) -> Mapping[str, Arguments]:
    return {split: {argument: of} for split, of in value.items()}


_FLAG = _by("train", train=True, test=False)
_TWO = _by("split", train="train", test="test")
_THREE = _by("split", train="train", val="val", test="test")
_WHOLE: Mapping[str, Arguments] = {"train": {}}
_LETTERS = ("balanced", "byclass", "bymerge", "letters", "digits", "mnist")
_PARTITIONS = tuple(str(number) for number in range(1, 11))

SETS = {
    "MNIST": Official("MNIST/raw", _FLAG, class_names=DIGITS),
    "FashionMNIST": Official("FashionMNIST/raw", _FLAG),
    "KMNIST": Official("KMNIST/raw", _FLAG),
    "EMNIST": Official("EMNIST/raw", _FLAG, "split", _LETTERS, on_its_side=True),
    "QMNIST": Official("QMNIST/raw", _by("what", train="train", test="test"), class_names=DIGITS),
    "USPS": Official("usps.bz2 and usps.t.bz2", _FLAG, class_names=DIGITS),
    "SVHN": Official("train_32x32.mat and test_32x32.mat", _TWO, class_names=DIGITS),
    "CIFAR10": Official("cifar-10-batches-py", _FLAG),
    "CIFAR100": Official("cifar-100-python", _FLAG),
    "Flowers102": Official("flowers-102", _THREE),
    "OxfordIIITPet": Official("oxford-iiit-pet", _by("split", train="trainval", test="test")),
    "DTD": Official("dtd", _THREE, "partition", _PARTITIONS),
    "FGVCAircraft": Official("fgvc-aircraft-2013b", _THREE, "annotation_level", ("variant", "family", "manufacturer")),
    "StanfordCars": Official("stanford_cars", _TWO),
    "Food101": Official("food-101", _TWO),
    "Caltech101": Official("caltech101", _WHOLE),
    "EuroSAT": Official("eurosat", _WHOLE),
    "STL10": Official("stl10_binary", _TWO),
    "PCAM": Official("pcam", _THREE, class_names=("normal", "tumor")),
    "GTSRB": Official("gtsrb", _TWO),
    "Country211": Official("country211", _by("split", train="train", val="valid", test="test")),
    "Imagenette": Official("imagenette2", _by("split", train="train", val="val"), "size", ("full", "320px", "160px")),
    "RenderedSST2": Official("rendered-sst2", _THREE),
    "SUN397": Official("SUN397", _WHOLE),
}


class Opened(Protocol):
    """The images of one official split, each at its position; workers pickle it."""

    def __getitem__(self, position: int) -> Image: ...


@dataclass(frozen=True)
class Stored:
    """Images in memory: (N, H, W) grey or (N, H, W, 3) RGB, uint8."""

    image: NDArray[np.uint8]

    def __getitem__(self, position: int) -> Image:
        from PIL.Image import fromarray

        return fromarray(self.image[position])


@dataclass(frozen=True)
class Asked:
    """Images that torchvision's own class opens."""

    dataset: Any

    def __getitem__(self, position: int) -> Image:
        image: Image = self.dataset[position][0]
        return image


class Pictures(Decoded):
    """The images of one split, made as the backbone wants them when they are asked for.

    places: (official split, position in it) of each image. opened: the images of each official split.
    """

    def __init__(
        self,
        opened: Mapping[str, Opened],
        places: list[tuple[str, int]],
        label: Labels,
        *,
        decoder: Decoder,
        kept_images: int = 0,
    ) -> None:
        super().__init__(label, decoder=decoder, kept_images=kept_images)
        self.opened, self.places = opened, places

    def taken(self, order: NDArray[np.int64]) -> Pictures:
        """The images at these positions, in this order."""
        places = [self.places[position] for position in order.tolist()]
        kept_images = min(self._kept.count, len(places))
        return Pictures(self.opened, places, self.label[order], decoder=self.decoder, kept_images=kept_images)

    def contents(self) -> list[str]:
        """A digest of each image's mode, shape and values, and of how they become pixels."""
        how = repr(self.decoder).encode()

        def digest(position: int) -> str:
            image = self._open(position)
            what = f"{image.mode} {image.size}".encode()
            return blake2b(how + what + image.tobytes(), digest_size=16).hexdigest()

        return [digest(position) for position in range(len(self.places))]

    def extents(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Width and height of the images at these positions (B, 2), in pixels, before they are resized."""
        return np.asarray([self._open(at).size for at in positions.tolist()], np.int64)

    def _decoded(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        names = [f"{split}/{number:06}" for split, number in (self.places[at] for at in positions.tolist())]
        return np.stack(
            [self.decoder.of(self._open(at), name) for at, name in zip(positions.tolist(), names, strict=True)]
        )

    def _open(self, position: int) -> Image:
        split, number = self.places[position]
        return self.opened[split][number]


@dataclass(frozen=True)
class Part:
    """One official split: a class number for each image, and where its image is."""

    label: NDArray[np.int64]
    files: tuple[str, ...] | None  # relative to root, with `/`
    opened: Opened | None  # where there are no files


class Named(Images):
    """One of torchvision's data sets by its name, in its official splits.

    What they lack is taken from the others, class by class, as headstart.data.splits.class_division says.
    variant: of the
    data set, null = the usual one. root: of all data sets, as torchvision's own classes want it. shots, val_shots,
    fraction, fold, folds, val_share, test_share: as in ImageFolder. resize, decode, value_range, background,
    max_pixels, cache_gib, sampler: the same.

    Raises UserError where there is no such data set or variant, its files are missing, or cannot be had.
    """

    def __init__(
        self,
        *,
        name: str,
        variant: str | int | None,
        root: str,
        download: bool,
        shots: Annotated[int, Ge(1)] | None,
        val_shots: Annotated[int, Ge(0)] | None,
        fraction: Annotated[float, Interval(gt=0, le=1)] | None,
        fold: Annotated[int, Ge(0)] | None,
        folds: Annotated[int, Ge(2)],
        val_share: Annotated[float, Interval(gt=0, lt=1)],
        test_share: Annotated[float, Interval(gt=0, lt=1)],
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
        official = official_of(name)
        self.root = given_path(root, "root")
        datasets = _datasets(name, official, _variant(name, official, variant), self.root, download=download)
        self._parts = {split: _part(dataset, official, self.root) for split, dataset in datasets.items()}
        # a variant of EMNIST counts its classes from 1
        self._numbers = np.unique(np.concatenate([part.label for part in self._parts.values()]))
        super().__init__(
            class_names=_class_names(datasets["train"], official, self._numbers),
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            sampler=sampler,
            pixels=pixels,
            seed=seed,
        )
        self.shots, self.val_shots = shots, val_shots
        self.fraction, self.fold, self.folds = fraction, fold, folds
        self.val_share, self.test_share, self.cache_gib = val_share, test_share, cache_gib
        self.decoder = decoder_of(
            pixels,
            resize=resize,
            reduced=decode == "reduced",
            value_range=value_range,
            background=background,
            max_pixels=max_pixels,
        )

    @property
    def given_splits(self) -> tuple[str, ...]:
        """The official splits that torchvision has; the others are drawn from them."""
        return tuple(self._parts)

    def all_images(self, splits: Collection[str]) -> tuple[Split, list[str]]:
        """All images of these official splits, and their names; nothing is divided.

        Raises UserError where settings choose some of the images.
        """
        self.check_none_left_out("shots", "val_shots", "fraction", "fold")
        called = {split: self._called(split) for split in self._parts if split in splits}
        names = [name for of in called.values() for name in of]
        places = [(split, number) for split, of in called.items() for number in range(len(of))]
        label = np.concatenate([np.searchsorted(self._numbers, self._parts[split].label) for split in called])
        return self._split_of(names, places, label.astype(np.int64), 0), names

    def load(self) -> dict[str, Split]:
        called = {split: self._called(split) for split in self._parts}
        place = {name: (split, number) for split, names in called.items() for number, name in enumerate(names)}
        parts = [self._of_class(label, called) for label in range(self.num_classes)]

        def made(names: list[str], label: NDArray[np.int64], kept: int) -> Split:
            return self._split_of(names, [place[name] for name in names], label, kept)

        return with_room(numbered(parts), decoder=self.decoder, cache_gib=self.cache_gib, made=made)

    def names(self, split: str) -> list[str]:
        """The path of each image, relative to the root, or its official split and number there.

        Raises UserError where there is no such split.
        """
        of = self._split(split)
        if isinstance(of, Files):
            return list(of.names)
        assert isinstance(of, Pictures)
        return [f"{official}/{number:06}" for official, number in of.places]

    def _called(self, split: str) -> list[str]:
        part = self._parts[split]
        return list(part.files) if part.files is not None else [f"{split}/{at:06}" for at in range(len(part.label))]

    def _of_class(self, label: int, called: dict[str, list[str]]) -> dict[str, list[str]]:
        given = {
            split: [called[split][at] for at in np.flatnonzero(part.label == self._numbers[label]).tolist()]
            for split, part in self._parts.items()
        }
        return divided(
            self.class_names[label],
            train=given["train"],
            val=given.get("val"),
            test=given.get("test"),
            val_share=self.val_share,
            test_share=self.test_share,
            shots=self.shots,
            val_shots=self.val_shots,
            seed=self.seed,
            fraction=self.fraction,
            fold=self.fold,
            folds=self.folds,
        )

    def _split_of(self, names: list[str], places: list[tuple[str, int]], label: NDArray[np.int64], kept: int) -> Split:
        opened = {split: part.opened for split, part in self._parts.items() if part.opened is not None}
        if not opened:
            return Files(Folder(self.root), names, label, decoder=self.decoder, kept_images=kept)
        return Pictures(opened, places, label, decoder=self.decoder, kept_images=kept)


def official_of(name: str) -> Official:
    """The table's line of a data set. Raises UserError where it has none."""
    if name not in SETS:
        lower = {known.lower(): known for known in SETS}
        close = get_close_matches(name.lower(), lower, n=1)
        hint = f"; did you mean {lower[close[0]]}?" if close else ""
        raise UserError(f"name must be one of {', '.join(SETS)}, got {name!r}{hint}")
    return SETS[name]


def _variant(name: str, official: Official, variant: str | int | None) -> dict[str, Any]:
    """The argument that chooses a variant, if there is one. Raises UserError."""
    if official.variant is None:
        if variant is not None:
            raise UserError(f"variant must be null for {name}, which has only one, got {variant!r}")
        return {}
    chosen = official.variants[0] if variant is None else str(variant)
    if chosen not in official.variants:
        raise UserError(f"variant of {name} must be one of {', '.join(official.variants)}, got {chosen!r}")
    return {official.variant: int(chosen) if chosen.isdigit() else chosen}


def _datasets(name: str, official: Official, chosen: dict[str, Any], root: Path, *, download: bool) -> dict[str, Any]:
    """torchvision's data set of each official split. Raises UserError where it is not there or cannot be had."""
    from torchvision import datasets

    make: Callable[..., Any] = getattr(datasets, name)

    def built(*, fetch: bool) -> dict[str, Any]:
        with _unpacked(root, official) as place:
            return {
                split: make(root=root if fetch else place, **asked, **chosen, **({"download": True} if fetch else {}))
                for split, asked in official.splits.items()
            }

    missing = (RuntimeError, OSError, ImportError, ValueError)  # what torchvision raises, by data set
    try:
        return built(fetch=False)
    except missing as error:
        if not download:
            raise UserError(
                f"{name} must lie in {root}, as {official.place}, and cannot be read there "
                f"({type(error).__name__}: {error}); set root, or let download=true fetch it"
            ) from error
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock"):  # one process fetches, the other ranks and jobs wait
            try:
                return built(fetch=False)
            except missing:
                return built(fetch=True)
    except missing as error:
        raise UserError(
            f"{name} could not be downloaded to {root} ({type(error).__name__}: {error}); is there a network? "
            f"Else put its files there by hand, as {official.place}, and set download=false"
        ) from error


@contextmanager
def _unpacked(root: Path, official: Official) -> Iterator[Path]:
    """A root where the files of MNIST and its like are unpacked, as torchvision reads no others: root, or a copy.

    root may be for reading only; these classes hold all in memory once they are made.
    """
    packed = [file for file in (root / official.place).glob("*.gz") if not file.with_suffix("").exists()]
    if not official.place.endswith("/raw") or not packed:
        yield root
        return
    with TemporaryDirectory() as copy:
        raw = Path(copy) / official.place
        raw.mkdir(parents=True)
        for file in packed:
            with gzip.open(file) as inside, (raw / file.stem).open("wb") as out:
                copyfileobj(inside, out)
        for file in (root / official.place).iterdir():
            if file.suffix != ".gz":
                (raw / file.name).symlink_to(file.resolve())
        yield Path(copy)


def _part(dataset: Any, official: Official, root: Path) -> Part:  # torchvision's sets share no interface
    """Labels and images of a data set of torchvision, wherever its class keeps them."""
    for pairs in ("_samples", "samples"):
        if hasattr(dataset, pairs):
            there: list[tuple[str, int]] = getattr(dataset, pairs)
            return Part(
                np.asarray([label for _, label in there], np.int64), _relative([p for p, _ in there], root), None
            )
    for files in ("_image_files", "_images"):
        if hasattr(dataset, files) and hasattr(dataset, "_labels"):
            return Part(np.asarray(dataset._labels, np.int64), _relative(getattr(dataset, files), root), None)
    if hasattr(dataset, "data"):
        label: NDArray[np.int64] = np.asarray(dataset.targets if hasattr(dataset, "targets") else dataset.labels)
        label = (label[:, 0] if label.ndim > 1 else label).astype(np.int64)  # QMNIST knows the writer, too
        image: NDArray[np.uint8] = np.asarray(dataset.data)
        if image.ndim > 3 and image.shape[1] == 3:  # SVHN and STL10: channels first
            image = image.transpose(0, 2, 3, 1)
        image = image.swapaxes(1, 2) if official.on_its_side else image
        return Part(label, None, Stored(np.ascontiguousarray(image)))
    if hasattr(dataset, "y"):  # Caltech101
        return Part(np.asarray(dataset.y, np.int64), None, Asked(dataset))
    return Part(np.asarray([dataset[at][1] for at in range(len(dataset))], np.int64), None, Asked(dataset))  # PCAM


def _relative(paths: Iterable[str | Path], root: Path) -> tuple[str, ...]:
    return tuple(Path(path).relative_to(root).as_posix() for path in paths)


def _class_names(dataset: Any, official: Official, numbers: NDArray[np.int64]) -> tuple[str, ...]:
    """What the classes with these numbers are called; their numbers, where nobody says."""
    said = official.class_names or getattr(dataset, "classes", None) or getattr(dataset, "categories", None)
    return tuple(str(said[number]) if said else str(number) for number in numbers.tolist())
