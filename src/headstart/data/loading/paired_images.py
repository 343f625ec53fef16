"""Batches of one data set, each with a paired batch of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from headstart.data.loading.batch_loader import ResumableLoader
from headstart.types import Batch

Field = Literal["paired", "labelled"]
EARLIER = {"companion": "paired"}  # fields in checkpoints of earlier versions, and their names now


class PairLoader:
    """Batches of the first loader, each with one of every other; the longest of them is the epoch.

    Shorter ones are cycled, in another order each time, and go on in the next epoch where they were: which batches come
    is a function of the epoch and the number of batches given out, as of a ResumableLoader. Each loader has its own
    batch size, and its own share of a device.

    Args:
        first: The loader of the run's own batches.
        beside: The others, by the batch's field that theirs come in.
    """

    def __init__(self, *, first: ResumableLoader, beside: Mapping[Field, ResumableLoader]) -> None:
        self.loaders: dict[str, ResumableLoader] = {"first": first} | dict(beside)
        self.sampler = self  # where Lightning looks for set_epoch
        self._epoch = self._given = 0
        self._loaded: dict[str, Any] | None = None

    @property
    def num_workers(self) -> int:
        """Of all."""
        return sum(loader.num_workers for loader in self.loaders.values())

    def set_epoch(self, epoch: int) -> None:
        self._epoch, self._given = epoch, 0

    def __len__(self) -> int:
        """Batches of the whole epoch."""
        return max(map(len, self.loaders.values()))

    def sizes(self, numbers: range) -> dict[str, list[int]]:
        """How many images the batches of these numbers in the epoch have on this device, by the batch's field."""
        before = self._epoch * len(self)
        fields = ("image", *(name for name in self.loaders if name != "first"))
        return {
            field: [loader.size((before + number) % len(loader)) for number in numbers]
            for field, loader in zip(fields, self.loaders.values(), strict=True)
        }

    def __iter__(self) -> Iterator[Batch]:
        self._given = self._begin()  # a generator: Lightning has called set_epoch when the first batch is asked for
        self._loaded = None
        before = self._epoch * len(self) + self._given
        together = zip(*(_cycled(loader, before) for loader in self.loaders.values()), strict=True)
        _, *fields = self.loaders
        while self._given < len(self):
            batch, *others = next(together)
            self._given += 1
            yield batch._replace(**dict(zip(fields, others, strict=True)))

    def state_dict(self) -> dict[str, Any]:
        """The same on all devices."""
        cuts = {name: loader.cut() for name, loader in self.loaders.items()}
        return self._loaded or {"epoch": self._epoch, "batches": self._given, **cuts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loaded = {EARLIER.get(name, name): value for name, value in state_dict.items()}

    def _begin(self) -> int:
        """The batch to begin with. Raises UserError where the batches of a checkpoint cannot be found again."""
        state = self._loaded
        if state is None or state["epoch"] != self._epoch:
            return 0
        for name, loader in self.loaders.items():
            loader.check(state[name], epoch=state["epoch"], batches=state["batches"])
        return int(state["batches"])


def _cycled(loader: ResumableLoader, before: int) -> Iterator[Batch]:
    """The loader's batches, epoch after epoch and without end, as they come when so many have been given out."""
    epoch, first = divmod(before, len(loader))
    while True:
        loader.batch_sampler.sampler.set_epoch(epoch)
        loader.load_state_dict({"epoch": epoch, "batches": first, **loader.cut()})
        yield from loader
        epoch, first = epoch + 1, 0
