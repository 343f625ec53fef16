"""Which images and classes the shards of a WebDataset hold, read as rarely as possible."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from headstart.data.webdataset.shard_reading import indexed, is_remote, listed, samples, shards_of
from headstart.data.webdataset.shard_samples import ClassNumbers, SampleLabel, SampleMembers, listed_class_names
from headstart.types import UserError


def shards_of_splits(
    urls: str | list[str], val_urls: str | list[str] | None, test_urls: str | list[str] | None
) -> dict[str, tuple[str, ...]]:
    """Split -> the URLs of its shards, none where none are given. Raises UserError where a shard is in two splits."""
    train = shards_of(urls, setting="urls")
    val = () if val_urls is None else shards_of(val_urls, setting="val_urls")
    test = () if test_urls is None else shards_of(test_urls, setting="test_urls")
    if both := sorted((set(train) & {*val, *test}) | (set(val) & set(test))):
        raise UserError(f"a shard must be in one split, {', '.join(both[:5])} is in two; change the urls")
    return {"train": train, "val": val, "test": test}


class ShardContents:
    """What the shards of a WebDataset hold; each is listed once.

    Args:
        train: URLs of the shards of train.
        members: Which files of a sample are its image and its class.
    """

    def __init__(self, train: Sequence[str], members: SampleMembers) -> None:
        self.train, self.members = tuple(train), members
        self._listed: dict[str, list[SampleLabel]] = {}  # of the shards that were looked at

    def counts(self, samples: int | None, index: str | None, *, has_classes: bool) -> tuple[int, ...] | None:
        """Images of each shard of train, None where they need not be known and would be costly to know."""
        if index is not None:
            return indexed(Path(index).expanduser(), self.train)
        if samples is not None and has_classes:
            return None
        if not any(map(is_remote, self.train)):
            return tuple(len(self.labels(url)) for url in self.train)
        if samples is None:
            raise UserError(
                f"how many images {len(self.train)} shards hold cannot be known without reading them, as "
                f"{self.train[0]} is no file of this machine; say target.samples (images of an epoch) or target.index "
                "(a JSON file of each shard's number)"
            )
        return None

    def classes(self, classes: str | list[str] | None) -> ClassNumbers:
        """The classes as they are given, else those found in local shards. Raises UserError where none can be found."""
        if classes is not None:
            return ClassNumbers(listed_class_names(classes))
        if any(map(is_remote, self.train)):
            raise UserError(
                f"the classes cannot be found without reading all shards, as {self.train[0]} is no file of this "
                "machine; say target.classes: their names, or a file with a name a line"
            )
        return ClassNumbers.of_words(label.word for url in self.train for label in self.labels(url))

    def labels(self, url: str) -> list[SampleLabel]:
        """Key and class of each sample of a shard."""
        if url not in self._listed:
            self._listed[url] = listed(url, self.members)
        return self._listed[url]

    def first_labels(self, url: str, most: int) -> list[SampleLabel]:
        """What lies first in a shard that is read from its beginning."""
        return [SampleLabel(sample.key, sample.word) for sample in islice(samples(url, self.members), most)]
