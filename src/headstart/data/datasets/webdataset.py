"""Which images are trained on where they come as a stream of shards?"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import numpy as np
from annotated_types import Ge, Interval
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from headstart.data.datasets.image_datamodule import Batches, Images, Place
from headstart.data.datasets.labelled_split import Split
from headstart.data.datasets.webdataset_shards import (
    Classes,
    InShards,
    Listed,
    Members,
    indexed,
    is_remote,
    listed,
    name_of,
    samples,
    shards_of,
)
from headstart.data.decoding.file_opening import regular
from headstart.data.decoding.image_decoding import decoder_of
from headstart.data.decoding.utf8_names import utf8
from headstart.data.loading.batch_loader import PlainLoader, ResumableLoader
from headstart.data.loading.stream_sampling import Lanes, StreamedBatches, stream_shares
from headstart.data.splits.class_division import shuffled
from headstart.data.transforms.augmentation import Augmentation
from headstart.types import SPLITS, Batch, Pixels, UserError

PLAIN_SHARDS = 16  # that the look at training images takes its images from
Places = list[tuple[int, int, Listed]]  # of images: shard, number in it, key and class

log = logging.getLogger(__name__)


class WebDataset(Images):
    """Images in the tar files of a WebDataset, of which no more is read ahead than what is shuffled.

    urls, val_urls, test_urls: the shards, with braces; files, http(s), s3, gs or `pipe:command`. Where val has none,
    it is a share of the shards of train by the seed; where test has none, half of val's images class by class, or
    where that has no shards either a share of train's shards, the same for every seed. samples: training images of an
    epoch, over all devices; None = all. index: a JSON file of the samples in each shard of train; None = local shards
    are counted, unless samples and classes are given. classes: their names, or a file with a name a line (or a JSON
    list); None = found in local shards. image_key, label_key, label_field: as Members. shuffle: undecoded images of a
    device that wait for chance to draw them. streams: shards that a device reads at once; workers share them, so that
    there are at most as many. plain_images: of train, evenly from up to 16 shards, where training images are only
    looked at: the class means before the first step, the naive models, probes. cache_gib: decoded images of val that
    stay in memory, per process.

    Nothing is stored of a stream (`contents` is missing). Raises UserError where shards or classes are missing or
    cannot be known without reading what is far away, a sample has no image or class, or there are fewer shards than
    val, test and the devices need.
    """

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
    ) -> None:
        self._members = Members(image_key, label_key.lower().lstrip("."), label_field)
        given = shards_of(urls, setting="urls")
        val = () if val_urls is None else shards_of(val_urls, setting="val_urls")
        test = () if test_urls is None else shards_of(test_urls, setting="test_urls")
        if both := sorted((set(given) & {*val, *test}) | (set(val) & set(test))):
            raise UserError(f"a shard must be in one split, {', '.join(both[:5])} is in two; change the urls")
        self._given = {"train": given, "val": val, "test": test}
        self._too_few: UserError | None = None
        try:
            self._urls = divided_shards(
                given, val=val, test=test, val_share=val_share, test_share=test_share, seed=seed
            )
        except UserError as error:  # one shard is enough to evaluate on
            self._too_few, self._urls = error, self._given
        self._listed: dict[str, list[Listed]] = {}  # of the shards that were looked at
        self._counts = self._counted(samples, index, has_classes=classes is not None)
        self.samples = sum(self._counts) if samples is None and self._counts is not None else samples or 0
        if not self.samples:
            raise UserError(f"images are needed to train on, the {len(self._urls['train'])} shards of urls hold none")
        self._classes = self._named(classes)
        if len(self._classes.names) < 2:
            raise UserError(
                f"two classes are needed at least, got {', '.join(self._classes.names) or 'none'}; which member says "
                f"the class? label_key={label_key}"
            )
        super().__init__(
            class_names=self._classes.names,
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            pixels=pixels,
            seed=seed,
        )
        self.shuffle, self.streams, self.plain_images, self.cache_gib = shuffle, streams, plain_images, cache_gib
        self.decoder = decoder_of(
            pixels,
            resize=resize,
            reduced=decode == "reduced",
            value_range=value_range,
            background=background,
            max_pixels=max_pixels,
        )

    # ------------------------------------------------------------------ what there is

    @property
    def contents(self) -> NoReturn:
        """Missing: the feature store asks for it, and images of a stream cannot be found again one by one."""
        raise AttributeError("a stream does not say what each of its images contains")

    in_any_order = False

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
        urls = tuple(url for split, given in self._given.items() if split in splits for url in given)
        whole = self._split_of(urls, self._places(urls), 0)
        return whole, list(whole.names)

    def load(self) -> dict[str, InShards]:
        self.check_trainable()
        places = {"train": self._looked_at()} | {split: self._places(self._urls[split]) for split in ("val", "test")}
        if not places["test"]:
            places["val"], places["test"] = halves(places["val"])
        for split in ("val", "test"):
            if not places[split]:
                raise UserError(f"{split} needs an image at least, its {len(self._urls[split])} shards hold none")
        room = int(self.cache_gib * 2**30) // (self.decoder.size**2 * self.decoder.channels)  # images
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
        assert isinstance(of, InShards)
        return list(of.names)

    # ------------------------------------------------------------------ loaders

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
            urls=self._urls["train"], lanes=lanes, members=self._members, classes=self._classes,
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

    def view_dataloader(self, places: Sequence[Place]) -> DataLoader[Batch]:
        raise UserError(f"a stream has no places to look at {len(places)} views; set store.views=0")

    def _of_device(self, split: str, *, passes: Literal["one", "many"]) -> DataLoader[Batch]:
        """Each device reads a part of the shards, and each of its workers a part of that."""
        rank, world_size = self._device()
        share = np.array_split(np.arange(len(self._split(split).label)), world_size)[rank]
        loading = self._loading(passes=passes, batch_size=self._plain_batch_size, images=len(share))
        return self._in_order(split, by_workers(share, self._plain_batch_size, loading["num_workers"]), loading)

    def _in_order(self, split: str, positions: NDArray[np.int64], loading: dict[str, Any]) -> DataLoader[Batch]:
        dataset = Batches(split=self._split(split), pixels=self.pixels)
        return PlainLoader(
            dataset, positions=positions, batch_size=self._plain_batch_size, loading=loading, labels=dataset.label
        )

    def _at_most(self, loading: dict[str, Any], most: int) -> dict[str, Any]:
        """The same with as many workers as each have equally many of so many streams."""
        fit = [count for count in range(1, loading["num_workers"] + 1) if most % count == 0]
        return loading | ({"num_workers": fit[-1]} if fit else {})

    # ------------------------------------------------------------------ looking into shards

    def _counted(self, samples: int | None, index: str | None, *, has_classes: bool) -> tuple[int, ...] | None:
        """Images of each shard of train, None where they need not be known and would be costly to know."""
        train = self._urls["train"]
        if index is not None:
            return indexed(Path(index).expanduser(), train)
        if samples is not None and has_classes:
            return None
        if not any(map(is_remote, train)):
            return tuple(len(self._list(url)) for url in train)
        if samples is None:
            raise UserError(
                f"how many images {len(train)} shards hold cannot be known without reading them, as {train[0]} is no "
                "file of this machine; say target.samples (images of an epoch) or target.index (a JSON file of each "
                "shard's number)"
            )
        return None

    def _named(self, classes: str | list[str] | None) -> Classes:
        if classes is not None:
            return Classes(class_names(classes))
        train = self._urls["train"]
        if any(map(is_remote, train)):
            raise UserError(
                f"the classes cannot be found without reading all shards, as {train[0]} is no file of this machine; "
                "say target.classes: their names, or a file with a name a line"
            )
        return Classes.found(one.word for url in train for one in self._list(url))

    def _list(self, url: str) -> list[Listed]:
        if url not in self._listed:
            self._listed[url] = listed(url, self._members)
        return self._listed[url]

    def _places(self, urls: Sequence[str]) -> Places:
        return [(shard, number, one) for shard, url in enumerate(urls) for number, one in enumerate(self._list(url))]

    def _looked_at(self) -> Places:
        """The training images to look at: the first ones of shards that lie evenly among all."""
        urls = self._urls["train"]
        if self._counts is not None and sum(self._counts) <= self.plain_images:
            most, chosen = self.plain_images, list(range(len(urls)))
        else:
            chosen = sorted({at * len(urls) // PLAIN_SHARDS for at in range(PLAIN_SHARDS)})
            most = -(-self.plain_images // len(chosen))
        found: Places = []
        for shard in chosen:
            there = self._list(urls[shard]) if not is_remote(urls[shard]) else self._first(urls[shard], most)
            found += [(shard, number, one) for number, one in enumerate(there[:most])]
        return found[: self.plain_images]

    def _first(self, url: str, most: int) -> list[Listed]:
        return [Listed(one.key, one.word) for one in islice(samples(url, self._members), most)]

    def _split_of(self, urls: Sequence[str], places: Places, room: int) -> InShards:
        names = [name_of(urls[shard], one.key) for shard, _, one in places]
        label = [self._classes.number(one.word, name) for (_, _, one), name in zip(places, names, strict=True)]
        return InShards(
            urls,
            np.array([(shard, number) for shard, number, _ in places], np.int64).reshape(-1, 2),
            names,
            np.array(label, np.int64),
            members=self._members,
            decoder=self.decoder,
            kept_images=min(room, len(places)),
        )

    def _tell(self, splits: dict[str, InShards]) -> None:
        known = "each once" if self._counts is not None and self.samples <= sum(self._counts) else "as they come"
        rows = [f"train  {self.samples} images an epoch from {len(self._urls['train'])} shards, {known}"]
        for split in SPLITS[1:]:
            classes = len(np.unique(splits[split].label))
            shards = len(np.unique(splits[split].places[:, 0]))
            rows.append(f"{split:<5}  {len(splits[split].label)} images of {classes} classes from {shards} shards")
        looked = len(splits["train"].label)
        rows.append(f"looked at before training: {looked} training images; nothing is compared between splits")
        log.info("shards of %d classes\n%s", self.num_classes, "\n".join(rows))


def divided_shards(
    urls: tuple[str, ...],
    *,
    val: tuple[str, ...],
    test: tuple[str, ...],
    val_share: float,
    test_share: float,
    seed: int,
) -> dict[str, tuple[str, ...]]:
    """The shards of train, val and test; none for test where it is half of val's images.

    Chance draws numbers, so that it matters not where the shards lie. Raises UserError where too few are left.
    """
    left = [f"{number:09}" for number in range(len(urls))]
    taken: dict[str, list[str]] = {"val": [], "test": []}
    if not test and not val:
        left, taken["test"] = _cut(shuffled(left, "test"), test_share, len(urls))
    if not val:
        left, taken["val"] = _cut(shuffled(left, f"seed {seed}"), val_share, len(urls))
    if not left or not (val or taken["val"]):
        raise UserError(
            f"val and test take whole shards of train, and one must be left: {len(urls)} are too few; set val_urls and "
            "test_urls, or write more and smaller shards"
        )
    named = {split: tuple(urls[int(number)] for number in sorted(of)) for split, of in taken.items()}
    return {
        "train": tuple(urls[int(number)] for number in sorted(left)),
        "val": val or named["val"],
        "test": test or named["test"],
    }


def halves(places: Places) -> tuple[Places, Places]:
    """Each class's images in two parts, the same for every seed; the second has the larger half."""
    of_class: dict[str, list[str]] = {}
    by_name = {f"{shard:09}/{number:09}": (shard, number, one) for shard, number, one in places}
    for name, (_, _, one) in by_name.items():
        of_class.setdefault(one.word, []).append(name)
    second = {name for names in of_class.values() for name in _cut(shuffled(names, "test"), 0.5, len(names))[1]}
    return [by_name[name] for name in by_name if name not in second], [
        by_name[name] for name in by_name if name in second
    ]


def by_workers(positions: NDArray[np.int64], batch_size: int, workers: int) -> NDArray[np.int64]:
    """The same positions in an order of which each worker, who gets every so many-th batch, gets a part that rises.

    The smaller last batch stays the last.
    """
    batches = [positions[begin : begin + batch_size] for begin in range(0, len(positions), batch_size)]
    workers = min(workers, len(batches))
    if workers < 2:
        return positions
    least, more = divmod(len(batches), workers)
    last = (more - 1) % workers  # who gets the last batch
    of_worker: dict[int, list[NDArray[np.int64]]] = {}
    begin = 0
    for worker in [*(one for one in range(workers) if one != last), last]:
        end = begin + least + (worker < more)
        of_worker[worker], begin = batches[begin:end], end
    turns = [(turn, worker) for turn in range(least + 1) for worker in range(workers)]
    return np.concatenate([of_worker[worker][turn] for turn, worker in turns if turn < len(of_worker[worker])])


def class_names(classes: str | Sequence[str]) -> tuple[str, ...]:
    """Names, or those in a file: a JSON list, or one a line. Raises UserError where they are none."""
    if isinstance(classes, str):
        file = Path(classes).expanduser()
        try:
            with regular(file) as stream:
                text = stream.read().decode("utf-8-sig")
            named = json.loads(text) if file.suffix.lower() == ".json" else text.splitlines()
        except (OSError, ValueError) as error:
            raise UserError(
                f"classes must be a list of names, a file with a name a line, or a JSON list, got {classes} "
                f"({type(error).__name__}: {error})"
            ) from error
    else:
        named = list(classes)
    if not isinstance(named, list):
        raise UserError(f"classes must be a list of names, {classes} holds {type(named).__name__}")
    names = tuple(utf8(name) for name in (str(one).strip() for one in named) if name)
    if twice := [name for name, number in Counter(names).items() if number > 1]:
        raise UserError(f"classes must be named once each, got {', '.join(twice[:5])} again")
    return names


def _cut(names: list[str], share: float, whole: int) -> tuple[list[str], list[str]]:
    """What is left, and a share of the whole from the end, one at least."""
    keep = max(0, len(names) - max(1, round(share * whole)))
    return names[:keep], names[keep:]
