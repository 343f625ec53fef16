"""Images of three splits as batches, on any number of devices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from headstart.compat.lightning.lightning_trainer import shares_out_samples
from headstart.data.dataset_settings import LoadingSettings, check_names, check_none_left_out
from headstart.data.datasets.image_batches import ImagePlace, PlainBatches, TrainingBatches
from headstart.data.datasets.joined_splits import JoinedSplit
from headstart.data.datasets.labelled_split import Labels, Split
from headstart.data.files.duplicate_files import Duplicate
from headstart.data.loading.batch_loader import PlainLoader, ResumableLoader, Rows
from headstart.data.loading.batch_order import BalancedOrder, DeviceBatchSampler, EpochOrder, StoredOrder
from headstart.data.loading.paired_images import Field, PairLoader
from headstart.data.loading.worker_processes import cores, loading
from headstart.data.splits.interleaved_classes import by_turns, class_positions
from headstart.data.transforms.augmentation import Augmentation
from headstart.data.transforms.augmentation_chain import augmentation_of
from headstart.types import SPLITS, Batch, UserError

PLAIN_PIXELS = 2**21  # of a batch without gradients, in all its images: 40 of 224 pixels a side


def as_it_is(batch: Batch) -> Batch:
    """The batch: the data set has made it already (a named function, as workers must be able to pickle it)."""
    return batch


class ImageDataModule(LightningDataModule, ABC):
    """Images of three splits as batches; what is left to say is what the splits hold.

    The training order is a function of seed and epoch. On several devices, each has its share of train, val and test;
    batch_size is that of one device. Images are uint8 until the backbone has them, unless they must be resized or
    augmented first: then they are float32 and normalised.

    Args:
        class_names: Names of the classes, in the order of their numbers.
        sampler: `balanced` draws training images of each class equally often; None goes through all of them.
        loading: As LoadingSettings says; augment changes training images only.

    Attributes:
        multi_label: Whether an image may have any number of the classes.
        regression: Whether labels are numbers, (N, columns), and class_names the columns.
        in_any_order: Whether images can be read in any order; those of a stream cannot.
        shots: Training images of each class that the labels choose; None where they choose none.
        val_shots: The same of val.
        duplicates: Images that are there twice, where the data are compared.
        served: Where set, asked with (split, augmented) what stands in for the next images of train, val and test.
        paired: Where set, each training batch comes with a batch of it, as PairLoader says.
        labelled: The same of few target images with labels.
        view: An augmentation that makes a second view of each training image; None means none.

    Raises UserError where augment cannot be called.
    """

    multi_label = False
    regression = False
    in_any_order = True
    shots: int | None = None
    val_shots: int | None = None
    view: Augmentation | None = None

    def __init__(
        self,
        *,
        class_names: tuple[str, ...],
        sampler: Literal["balanced"] | None = None,
        **loading: Unpack[LoadingSettings],
    ) -> None:
        check_names(loading, LoadingSettings, self)
        super().__init__()
        self.class_names = class_names
        self.num_classes = len(class_names)
        self.batch_size = loading["batch_size"]
        self.num_workers = loading["num_workers"]
        self.augment = augmentation_of(loading["augment"])
        self.pixels = loading["pixels"]
        self.seed = loading["seed"]
        self.sampler = sampler
        self.duplicates: Sequence[Duplicate] = ()
        self.served: Callable[[str, bool], Rows | None] | None = None
        self.paired: ImageDataModule | None = None
        self.labelled: ImageDataModule | None = None

    @abstractmethod
    def load(self) -> Mapping[str, Split]:
        """The images of train, val and test; called once, on every device's process, and the same on each."""

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The images of train, val and test, the classes taking turns; made at the first look."""
        numbers = self.regression
        return {name: split.taken(by_turns(split.label, numbers=numbers)) for name, split in self.load().items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Images in each split."""
        return {name: len(split.label) for name, split in self.splits.items()}

    def names(self, split: str) -> list[str]:
        """What each image of a split is called. Raises UserError where there is no such split."""
        return [f"{split}/{number}" for number in range(len(self._split(split).label))]

    @property
    def given_splits(self) -> tuple[str, ...]:
        """The splits that the data come with; the others are drawn from them."""
        return SPLITS

    def all_images(self, splits: Collection[str]) -> tuple[Split, list[str]]:
        """All images that the data come with in these splits, none of them set apart, and what each is called.

        They need not be enough to train on. Raises UserError where settings leave images out.
        """
        check_none_left_out({"val_shots": self.val_shots})  # of others val has the rest
        wanted = [split for split in self.splits if split in splits]
        names = [name for split in wanted for name in self.names(split)]
        return JoinedSplit([self.splits[split] for split in wanted]), names

    def check_trainable(self) -> None:
        """Raise UserError where these data cannot be trained on, as far as is known before any file is opened."""

    def contents(self, split: str) -> list[str]:
        """What determines each image of a split before augmentation, as 32 hex digits.

        Its bytes and how this data set reads them; what the backbone asks for (pixels) is no part of it.
        Raises UserError where there is no such split.
        """
        return self._split(split).contents()

    def setup(self, stage: str) -> None:  # noqa: ARG002  # Lightning's signature; all splits are made at once
        _ = self.splits
        for images in self._beside().values():
            _ = images.splits

    def train_dataloader(self) -> ResumableLoader | PairLoader:
        """This device's batches of the epoch that Lightning says, all of them or those after a loaded position.

        Raises UserError where there are fewer images than devices.
        """
        beside = self._beside()
        for images in beside.values():
            images.trainer = self.trainer
        first = self._train_loader()
        if not beside:
            return first
        return PairLoader(first=first, beside={field: images._train_loader() for field, images in beside.items()})

    def _beside(self) -> dict[Field, ImageDataModule]:
        """What comes with each training batch, by the batch's field that it comes in."""
        by_field: dict[Field, ImageDataModule | None] = {"paired": self.paired, "labelled": self.labelled}
        return {field: images for field, images in by_field.items() if images is not None}

    def _train_loader(self) -> ResumableLoader:
        rank, world_size = self._device()
        split = self.splits["train"]
        if len(split.label) < world_size:
            raise UserError(
                f"each device needs a training image at least, got {len(split.label)} images for {world_size} "
                f"devices; try trainer.devices={max(len(split.label), 1)}"
            )
        overfits = bool(getattr(self.trainer, "overfit_batches", 0))  # the same few images each epoch, as they are
        order = StoredOrder(length=len(split.label), seed=self.seed) if overfits else self._order(split.label)
        dataset = self._training(augment=None if overfits else self.augment)
        return ResumableLoader(
            dataset,
            shares=DeviceBatchSampler(order, batch_size=self.batch_size, rank=rank, world_size=world_size),
            loading=self._loading(passes="many", batch_size=self.batch_size, images=len(split.label) // world_size),
            labels=dataset.label,
            served=self._served("train", augmented=dataset.augment is not None),
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """This device's images of val: over all devices, each image once."""
        return self._plain("val", self._share("val"), passes="many", stored=True)

    def test_dataloader(self) -> DataLoader[Batch]:
        """This device's images of test: over all devices, each image once."""
        return self._plain("test", self._share("test"), passes="one", stored=True)

    def loading_settings(self) -> LoadingSettings:
        """What other data are made with, to be loaded and augmented as these are."""
        return {
            "batch_size": self.batch_size,
            "num_workers": self.num_workers,
            "augment": self.augment,
            "pixels": self.pixels,
            "seed": self.seed,
        }

    def plain_dataloader(
        self, split: str, positions: NDArray[np.int64] | None = None, *, stored: bool = False
    ) -> DataLoader[Batch]:
        """A whole split in its own order, or what lies at these positions, on each device: every image unchanged.

        To look at training images, too. stored: take what stands in for the images, where something does.
        Raises UserError where there is no such split.
        """
        if positions is None:
            positions = np.arange(len(self._split(split).label))
        return self._plain(split, positions, passes="one", stored=stored)

    def view_dataloader(self, places: Sequence[ImagePlace]) -> DataLoader[Batch]:
        """Training images as they are augmented at these places, in this order."""
        size = self._plain_batch_size
        cut = [list(places[begin : begin + size]) for begin in range(0, len(places), size)]
        dataset = self._training(augment=self.augment)
        return DataLoader(
            dataset, batch_sampler=cut, **self._loading(passes="one", batch_size=size, images=len(places))
        )

    @property
    def _plain_batch_size(self) -> int:
        """Of a pass without gradients: up to 4 training batches of small images, which alone would not fill a device.

        Large images gain no time by it, and would need more memory than training does.
        """
        return self.batch_size * min(4, max(1, PLAIN_PIXELS // (self.batch_size * self.pixels.size**2)))

    def _training(self, *, augment: Augmentation | None) -> TrainingBatches:
        return TrainingBatches(
            split=self.splits["train"], pixels=self.pixels, augment=augment, seed=self.seed, view=self.view
        )

    def _order(self, label: Labels) -> EpochOrder:
        if self.sampler == "balanced":
            return BalancedOrder(length=len(label), seed=self.seed, pools=class_positions(label))
        return EpochOrder(length=len(label), seed=self.seed)

    def _plain(
        self, split: str, positions: NDArray[np.int64], *, passes: Literal["one", "many"], stored: bool
    ) -> DataLoader[Batch]:
        dataset = PlainBatches(split=self._split(split), pixels=self.pixels)
        return PlainLoader(
            dataset,
            positions=positions,
            batch_size=self._plain_batch_size,
            loading=self._loading(passes=passes, batch_size=self._plain_batch_size, images=len(positions)),
            labels=dataset.label,
            served=self._served(split, augmented=False) if stored else None,
        )

    def _served(self, split: str, *, augmented: bool) -> Callable[[], Rows | None]:
        """Asks when a batch is wanted, as `served` is set after loaders are made."""
        return lambda: None if self.served is None else self.served(split, augmented)

    def _split(self, name: str) -> Split:
        if name not in self.splits:
            close = get_close_matches(name, SPLITS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"a split is one of {', '.join(SPLITS)}, got {name!r}{hint}")
        return self.splits[name]

    def _share(self, split: str) -> NDArray[np.int64]:
        """Where every image lies whose turn is this device's, none twice: shares may differ by an image."""
        rank, world_size = self._device()
        return np.arange(len(self._split(split).label))[rank::world_size]

    def _device(self) -> tuple[int, int]:
        """The rank of this process and the number of them. Raises UserError where Lightning would share out again."""
        if self.trainer is None:
            return 0, 1
        if self.trainer.world_size > 1 and shares_out_samples(self.trainer):
            raise UserError(
                "the data shares itself out to the devices, and Lightning would do so once more: "
                "set trainer.use_distributed_sampler=false"
            )
        return self.trainer.global_rank, self.trainer.world_size

    def _loading(self, *, passes: Literal["one", "many"], batch_size: int, images: int) -> dict[str, Any]:
        """The settings of a loader that gives so many images a pass."""
        strategy = getattr(self.trainer, "strategy", None)  # before there is a trainer, the device is a guess
        accelerated = torch.cuda.is_available() if strategy is None else strategy.root_device.type != "cpu"
        return {
            **loading(
                num_workers=self.num_workers,
                cores=cores(getattr(self.trainer, "num_devices", 1)),
                accelerated=accelerated,
                pins=strategy is not None and strategy.root_device.type == "cuda",
                passes=passes,
                batch_bytes=min(batch_size, images) * self.pixels.channels * self.pixels.size**2,  # uint8
                batches=-(-images // batch_size),
            ),
            "collate_fn": as_it_is,
            # at each pass a loader draws a seed for its workers; from the global generator, one look more at
            # the data would change all random numbers after it
            "generator": torch.Generator().manual_seed(self.seed),
        }
