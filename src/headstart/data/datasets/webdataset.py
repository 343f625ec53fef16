"""Images in the shards of a WebDataset, read as a stream."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Unpack

import numpy as np
from annotated_types import Ge, Interval
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from headstart.data.dataset_settings import DecodingSettings, LoadingSettings, check_names, loading_of
from headstart.data.datasets.image_batches import ImagePlace, PlainBatches
from headstart.data.datasets.image_datamodule import ImageDataModule
from headstart.data.datasets.labelled_split import Split
from headstart.data.decoding.image_decoding import configured_decoder
from headstart.data.loading.batch_loader import PlainLoader, ResumableLoader
from headstart.data.loading.stream_sampling import Lanes, StreamedBatches, stream_shares
from headstart.data.webdataset.shard_contents import ShardContents, shards_of_splits
from headstart.data.webdataset.shard_division import ShardPlaces, by_workers, divided_shards, halves
from headstart.data.webdataset.shard_reading import is_remote, local_files, name_of
from headstart.data.webdataset.shard_samples import SampleMembers
from headstart.data.webdataset.stream_split import ShardSplit
from headstart.types import SPLITS, Batch, UserError

PLAIN_SHARDS = 16  # that the look at training images takes its images from

log = logging.getLogger(__name__)


class WebDatasetSettings(DecodingSettings, LoadingSettings):
    """What WebDataset shares with other data sets."""


class WebDataset(ImageDataModule):
    """Images in the tar files of a WebDataset, of which no more is read ahead than what is shuffled.

    Where val has no shards, it is a share of the shards of train by the seed; where test has none, half of val's images
    class by class, or where that has no shards either a share of train's shards, the same for every seed.

    Args:
        urls: Shards of train, with braces; files, http(s), gs or `pipe:command`.
        val_urls: The same of val.
        test_urls: The same of test.
        samples: Training images of an epoch, over all devices; None means all.
        index: A JSON file of the samples in each shard of train; None means that local shards are counted, unless
            samples and classes are given.
        classes: Their names, or a file with a name a line (or a JSON list); None means found in local shards.
        image_key: As SampleMembers says.
        label_key: As SampleMembers says.
        label_field: As SampleMembers says.
        shuffle: Undecoded images of a device from which the next one is drawn.
        streams: Shards that a device reads at once; workers share them, so that there are at most as many.
        plain_images: Images of train, evenly from up to 16 shards, where training images are only looked at: the class
            means before the first step, the naive models, probes.
        val_share: Share of the shards of train that becomes val.
        test_share: The same of test.
        settings: As DecodingSettings and LoadingSettings say; cache_gib is for val alone.

    Nothing is stored of a stream (`contents` is missing). Raises UserError where shards or classes are missing or
    cannot be known without reading what is far away, a sample has no image or class, or there are fewer shards than
    val, test and the devices need.
    """

    in_any_order = False

    def __init__(
        self,
        *,
        urls: str | list[str],
        val_urls: str | list[str] | None,
        test_urls: str | list[str] | None,
        samples: Annotated[int, Ge(1)] | None,
        index: str | None,
        classes: str | list[str] | None,
        image_key: str | None,
        label_key: str,
        label_field: str | None,
        shuffle: Annotated[int, Ge(1)],
        streams: Annotated[int, Ge(1)],
        plain_images: Annotated[int, Ge(1)],
        val_share: Annotated[float, Interval(gt=0, lt=1)],
        test_share: Annotated[float, Interval(gt=0, lt=1)],
        **settings: Unpack[WebDatasetSettings],
    ) -> None:
        check_names(settings, WebDatasetSettings, self)
        members = SampleMembers(image_key, label_key.lower().lstrip("."), label_field)
        self._given = shards_of_splits(urls, val_urls, test_urls)
        self._too_few: UserError | None = None
        try:
            self._urls = divided_shards(self._given, val_share=val_share, test_share=test_share, seed=settings["seed"])
        except UserError as error:  # one shard is enough to evaluate on
            self._too_few, self._urls = error, self._given
        self._shards = ShardContents(self._urls["train"], members)
        self._counts = self._shards.counts(samples, index, has_classes=classes is not None)
        self.samples = sum(self._counts) if samples is None and self._counts is not None else samples or 0
        if not self.samples:
            raise UserError(f"images are needed to train on, the {len(self._urls['train'])} shards of urls hold none")
        self._classes = self._shards.classes(classes)
        if len(self._classes.names) < 2:
            raise UserError(
                f"two classes are needed at least, got {', '.join(self._classes.names) or 'none'}; which member says "
                f"the class? label_key={label_key}"
            )
        super().__init__(class_names=self._classes.names, **loading_of(settings))
        self.shuffle, self.streams, self.plain_images = shuffle, streams, plain_images
        self._cache_gib = settings["cache_gib"]
        self.decoder = configured_decoder(self.pixels, settings)

    contents = None  # type: ignore[assignment]  # the images of a stream cannot be found again one by one

    def check_trainable(self) -> None:
        """Raise UserError where there are fewer shards than train, val and test need."""
        if self._too_few is not None:
            raise self._too_few

    @property
    def given_splits(self) -> tuple[str, ...]:
        """The splits with urls of their own; the others are drawn from them."""
        return tuple(split for split, urls in self._given.items() if urls)

    def all_images(self, splits: Collection[str]) -> tuple[Split, list[str]]:
        """All images of the shards of these splits, in the order of the shards, and their names."""
        urls = tuple(url for split, split_urls in self._given.items() if split in splits for url in split_urls)
        whole = self._split_of(urls, self._places(urls), 0)
        return whole, list(whole.names)

    def stored_files(self) -> list[Path]:
        """The shards that are files of this machine."""
        return local_files(url for urls in self._given.values() for url in urls)

    def load(self) -> dict[str, ShardSplit]:
        self.check_trainable()
        places = {"train": self._looked_at()} | {split: self._places(self._urls[split]) for split in ("val", "test")}
        if not places["test"]:
            places["val"], places["test"] = halves(places["val"])
        for split in ("val", "test"):
            if not places[split]:
                raise UserError(f"{split} needs an image at least, its {len(self._urls[split])} shards hold none")
        room = int(self._cache_gib * 2**30) // (self.decoder.size**2 * self.decoder.channels)  # images
        splits = {
            split: self._split_of(
                self._urls["val" if split == "test" and not self._urls["test"] else split], of, room * (split == "val")
            )
            for split, of in places.items()
        }
        self._tell(splits)
        return splits

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The images of val and test, and those of train that are looked at, all in the order of their shards."""
        return dict(self.load())

    @property
    def sizes(self) -> dict[str, int]:
        """Images in each split; of train, in an epoch."""
        return {name: self.samples if name == "train" else len(split.label) for name, split in self.splits.items()}

    def names(self, split: str) -> list[str]:
        """Shard and key of each image; of train, those that are looked at.

        Raises UserError where there is no such split.
        """
        of = self._split(split)
        assert isinstance(of, ShardSplit)
        return list(of.names)

    def _train_loader(self) -> ResumableLoader:
        """This device's batches of the epoch that Lightning says, all of them or those after a loaded position.

        Raises UserError where there are fewer images, or fewer shards, than devices need.
        """
        rank, world_size = self._device()
        if self.samples < world_size:
            raise UserError(f"each device needs a training image at least, got {self.samples} for {world_size} devices")
        shards, needed = len(self._urls["train"]), world_size * self.streams
        if self._counts is None and shards < needed:
            raise UserError(
                f"{world_size} devices with target.streams={self.streams} read {needed} shards at once, there are "
                f"{shards}; take fewer streams, or say in target.index how many images a shard holds: they then share"
            )
        overfits = bool(getattr(self.trainer, "overfit_batches", 0))  # the same few images each epoch, as they are
        shares = stream_shares(
            images=self.samples, batch_size=self.batch_size, rank=rank, world_size=world_size, seed=self.seed,
            overfits=overfits,
        )  # fmt: skip
        lanes = Lanes(
            shards=shards, counts=self._counts, sizes=tuple(shares.sizes().tolist()), lanes=self.streams, rank=rank,
            world_size=world_size, seed=self.seed,
        )  # fmt: skip
        dataset = StreamedBatches(
            urls=self._urls["train"], lanes=lanes, members=self._shards.members, classes=self._classes,
            shuffle=max(1, self.shuffle // self.streams), decoder=self.decoder, pixels=self.pixels,
            augment=None if overfits else self.augment,
        )  # fmt: skip
        loading = self._loading(passes="many", batch_size=self.batch_size, images=self.samples // world_size)
        loading = self._at_most(loading, self.streams)
        return ResumableLoader(dataset, shares=shares, loading=loading)

    def val_dataloader(self) -> DataLoader[Batch]:
        """This device's images of val: over all devices, each image once."""
        return self._of_device("val", passes="many")

    def test_dataloader(self) -> DataLoader[Batch]:
        """This device's images of test: over all devices, each image once."""
        return self._of_device("test", passes="one")

    def plain_dataloader(
        self,
        split: str,
        positions: NDArray[np.int64] | None = None,
        *,
        stored: bool = False,  # noqa: ARG002
    ) -> DataLoader[Batch]:
        """A whole split in its own order, or what lies at these positions, on each device: every image unchanged.

        Of train, those of plain_images. Nothing of a stream is stored. Raises UserError where there is no such split.
        """
        if positions is None:
            positions = np.arange(len(self._split(split).label))
        loading = self._loading(passes="one", batch_size=self._plain_batch_size, images=len(positions))
        return self._in_order(split, positions, self._at_most(loading, 1))

    def view_dataloader(self, places: Sequence[ImagePlace]) -> DataLoader[Batch]:
        raise UserError(f"a stream has no places to look at {len(places)} views; set feature_cache.views=0")

    def _of_device(self, split: str, *, passes: Literal["one", "many"]) -> DataLoader[Batch]:
        """Each device reads a part of the shards, and each of its workers a part of that."""
        rank, world_size = self._device()
        share = np.array_split(np.arange(len(self._split(split).label)), world_size)[rank]
        loading = self._loading(passes=passes, batch_size=self._plain_batch_size, images=len(share))
        return self._in_order(split, by_workers(share, self._plain_batch_size, loading["num_workers"]), loading)

    def _in_order(self, split: str, positions: NDArray[np.int64], loading: dict[str, Any]) -> DataLoader[Batch]:
        dataset = PlainBatches(split=self._split(split), pixels=self.pixels)
        return PlainLoader(
            dataset, positions=positions, batch_size=self._plain_batch_size, loading=loading, labels=dataset.label
        )

    def _at_most(self, loading: dict[str, Any], most: int) -> dict[str, Any]:
        """The same with as many workers as each have equally many of so many streams."""
        fit = [count for count in range(1, loading["num_workers"] + 1) if most % count == 0]
        return loading | ({"num_workers": fit[-1]} if fit else {})

    def _places(self, urls: Sequence[str]) -> ShardPlaces:
        return [
            (shard, number, label)
            for shard, url in enumerate(urls)
            for number, label in enumerate(self._shards.labels(url))
        ]

    def _looked_at(self) -> ShardPlaces:
        """The training images to look at: the first ones of shards that lie evenly among all."""
        urls = self._urls["train"]
        if self._counts is not None and sum(self._counts) <= self.plain_images:
            most, chosen = self.plain_images, list(range(len(urls)))
        else:
            chosen = sorted({at * len(urls) // PLAIN_SHARDS for at in range(PLAIN_SHARDS)})
            most = -(-self.plain_images // len(chosen))
        places: ShardPlaces = []
        for shard in chosen:
            numbered = (
                self._shards.labels(urls[shard])
                if not is_remote(urls[shard])
                else self._shards.first_labels(urls[shard], most)
            )
            places += [(shard, number, label) for number, label in enumerate(numbered[:most])]
        return places[: self.plain_images]

    def _split_of(self, urls: Sequence[str], places: ShardPlaces, room: int) -> ShardSplit:
        names = [name_of(urls[shard], sample.key) for shard, _, sample in places]
        label = [self._classes.number(sample.word, name) for (_, _, sample), name in zip(places, names, strict=True)]
        return ShardSplit(
            urls,
            np.array([(shard, number) for shard, number, _ in places], np.int64).reshape(-1, 2),
            names,
            np.array(label, np.int64),
            members=self._shards.members,
            decoder=self.decoder,
            cached_images=min(room, len(places)),
        )

    def _tell(self, splits: dict[str, ShardSplit]) -> None:
        known = "each once" if self._counts is not None and self.samples <= sum(self._counts) else "as they come"
        rows = [f"train  {self.samples} images an epoch from {len(self._urls['train'])} shards, {known}"]
        for split in SPLITS[1:]:
            classes = len(np.unique(splits[split].label))
            shards = len(np.unique(splits[split].places[:, 0]))
            rows.append(f"{split:<5}  {len(splits[split].label)} images of {classes} classes from {shards} shards")
        looked = len(splits["train"].label)
        rows.append(f"looked at before training: {looked} training images; nothing is compared between splits")
        log.info("shards of %d classes\n%s", self.num_classes, "\n".join(rows))
