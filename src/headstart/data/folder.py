"""Which images lie in a folder of class folders?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path, PurePath
from typing import Annotated, Literal, TypeVar

import numpy as np
import torch
from annotated_types import Ge, Interval
from numpy.typing import NDArray
from torch import Tensor

from headstart.data.augment import Augmentation
from headstart.data.decode import Decoder
from headstart.data.division import divided
from headstart.data.images import Images
from headstart.data.kept import Kept
from headstart.types import SPLITS, Pixels, UserError

ALSO_CALLED = {"valid": "val", "validation": "val"}
# to know all that Pillow reads takes it a quarter of a second
USUAL = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
LARGER = 256 / 224  # how much larger than its centre an image is before the cut, as for ImageNet evaluations

Found = dict[str, list[str]]  # class -> its files, relative to the root

T = TypeVar("T")
Made = TypeVar("Made")


class Files:
    """The image files of one split, decoded when they are asked for, by as many threads as torch computes with.

    In a worker that is one. names: paths relative to the root, with `/`.
    """

    def __init__(
        self, root: Path, names: list[str], label: NDArray[np.int64], *, decoder: Decoder, kept_images: int = 0
    ) -> None:
        self.root, self.names, self.label, self.decoder = root, names, label, decoder
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

    def taken(self, order: NDArray[np.int64]) -> Files:
        """The files at these positions, in this order."""
        names = [self.names[position] for position in order.tolist()]
        kept_images = min(self._kept.count, len(names))
        return Files(self.root, names, self.label[order], decoder=self.decoder, kept_images=kept_images)

    def contents(self) -> list[str]:
        """A digest of each file's bytes and of how they are decoded."""
        how = repr(self.decoder).encode()

        def digest(name: str) -> str:
            return blake2b(how + (self.root / name).read_bytes(), digest_size=16).hexdigest()

        return _by_threads(digest, self.names)

    def _decoded(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.stack(_by_threads(self.decoder, [self.root / self.names[at] for at in positions.tolist()]))


class ImageFolder(Images):
    """Images of any format that Pillow reads, in a folder a class, at any depth below it.

    root holds train/, val/ and test/ with class folders, or train/ and one of the other two, or class folders alone:
    what is missing is taken from what is there, class by class, as headstart.data.division says. shots: training
    images of each class. resize: what the shorter side becomes before the centre is cut out, in pixels; None = 256/224
    of the backbone's size. decode: `reduced` reads JPEG files at a fraction of their size where that is enough, see
    Decoder. cache_gib: decoded images of train, then of val, that stay in memory, per process.

    Raises UserError where there is no such folder, no image in it, a class has too few, or the class folders of
    train, val and test differ.
    """

    def __init__(
        self,
        *,
        root: str,
        shots: Annotated[int, Ge(1)] | None,
        val_share: Annotated[float, Interval(gt=0, lt=1)],
        test_share: Annotated[float, Interval(gt=0, lt=1)],
        resize: Annotated[int, Ge(1)] | None,
        decode: Literal["reduced", "full"],
        cache_gib: Annotated[float, Ge(0)],
        batch_size: Annotated[int, Ge(1)],
        num_workers: Annotated[int, Ge(0)] | Literal["auto"],
        augment: Augmentation | None,
        pixels: Pixels,
        seed: Annotated[int, Ge(0)],
    ) -> None:
        self.root = Path(root).expanduser()
        self._found = found(self.root)
        super().__init__(
            class_names=tuple(self._found["train"]),
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            pixels=pixels,
            seed=seed,
        )
        self.shots, self.val_share, self.test_share, self.cache_gib = shots, val_share, test_share, cache_gib
        resize = round(pixels.size * LARGER) if resize is None else resize
        if resize < pixels.size:
            raise UserError(
                f"resize must be at least the backbone's {pixels.size} pixels, which are cut out of it, got {resize}; "
                "try resize=null"
            )
        if pixels.channels not in (1, 3):
            raise UserError(
                f"image files become grey or RGB, so backbone.channels must be 1 or 3, got {pixels.channels}"
            )
        channels: Literal[1, 3] = 1 if pixels.channels == 1 else 3
        self.decoder = Decoder(pixels.size, resize, channels, reduced=decode == "reduced")

    def load(self) -> dict[str, Files]:
        parts = [
            divided(
                name,
                train=self._found["train"][name],
                val=self._found["val"][name] if "val" in self._found else None,
                test=self._found["test"][name] if "test" in self._found else None,
                val_share=self.val_share,
                test_share=self.test_share,
                shots=self.shots,
                seed=self.seed,
            )
            for name in self.class_names
        ]
        room = int(self.cache_gib * 2**30) // (self.decoder.size**2 * self.decoder.channels)  # images
        splits = {}
        for split in SPLITS:
            names = [name for part in parts for name in part[split]]
            label = np.repeat(np.arange(len(parts)), [len(part[split]) for part in parts])
            kept = 0 if split == "test" else min(room, len(names))  # the test is looked at once
            splits[split] = Files(self.root, names, label, decoder=self.decoder, kept_images=kept)
            room -= kept
        return splits

    def names(self, split: str) -> list[str]:
        """The path of each image, relative to the root. Raises UserError where there is no such split."""
        files = self._split(split)
        assert isinstance(files, Files)
        return list(files.names)


def found(root: Path) -> dict[str, Found]:
    """Split -> class -> files. Class folders alone are all under `train`. Raises UserError, as ImageFolder says."""
    if not root.is_dir():
        raise UserError(f"root must be a folder of class folders with images, and there is none at {root}")
    folders = {entry.name: Path(entry) for entry in sorted(root.iterdir()) if entry.is_dir() and _is_seen(entry)}
    named = {ALSO_CALLED.get(name, name): name for name in folders}
    splits = {split: folders[named[split]] for split in SPLITS if split in named}
    # a class may be called train, as long as no other class is called val
    divided_here = "train" in splits and (len(splits) > 1 or len(folders) == 1)
    parts = splits if divided_here else {"train": root}
    held = {split: _classes(folder, root) for split, folder in parts.items()}
    if not any(held["train"].values()):
        there = ", ".join(entry.name for entry in sorted(root.iterdir())[:5]) or "nothing"
        raise UserError(
            f"root must hold class folders with images, or train/, val/ and test/ with such folders; "
            f"no image lies in a class folder of {parts['train']}; {root} holds {there}"
        )
    for split, classes in held.items():
        if differing := sorted(set(classes) ^ set(held["train"])):
            raise UserError(
                f"{parts['train']} and {parts[split]} must have the same class folders; "
                f"only one of them has {', '.join(differing[:5])}"
            )
    return held


def _classes(folder: Path, root: Path) -> Found:
    """The files of each class folder that has any, at any depth, in an order that no file system decides."""
    inside = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and _is_seen(entry)]
    files = {entry.name: sorted(_images(entry, root)) for entry in inside}
    return {name: of_class for name, of_class in files.items() if of_class}


def _images(folder: Path, root: Path) -> Iterable[str]:
    for above, below, files in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        for file in files:
            path = Path(above, file)
            if _is_seen(path) and _is_image(path.suffix.lower()):
                yield path.relative_to(root).as_posix()


def _is_seen(path: PurePath) -> bool:
    return not path.name.startswith(".")  # .DS_Store, ._photo.jpg, .ipynb_checkpoints


def _is_image(suffix: str) -> bool:
    """Whether files with this suffix are images to Pillow."""
    if suffix in USUAL:
        return True
    from PIL import Image

    return bool(suffix) and Image.registered_extensions().get(suffix) in Image.OPEN


def _by_threads(make: Callable[[T], Made], of: Sequence[T]) -> list[Made]:
    """Each made in its turn, several at once: reading, decoding and hashing let other threads work."""
    threads = min(torch.get_num_threads(), len(of))
    if threads < 2:
        return [make(one) for one in of]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(make, of))
