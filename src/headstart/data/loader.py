"""Where in its epoch is a training loader, and how does it go on from there?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

from headstart.data.order import Shares
from headstart.types import Batch, UserError


class ResumableLoader(DataLoader[Batch]):
    """A loader whose position is the epoch and the number of batches given out, whatever workers have prefetched.

    Lightning stores `state_dict` in its checkpoints and loads it before the first batch. A loaded position
    holds for its own epoch only, and once: the next epoch begins at its first batch. Skipped batches are not
    made. `len` is that of the whole epoch.
    """

    batch_sampler: Shares

    def __init__(self, dataset: Dataset[Batch], *, shares: Shares, loading: dict[str, Any]) -> None:
        super().__init__(dataset, batch_sampler=shares, **loading)
        self._epoch = self._given = 0
        self._loaded: dict[str, int] | None = None

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch names its own iterator's class
        # a generator: workers begin at the first batch that is asked for, when Lightning has called set_epoch;
        # it makes the iterator of a first or a resumed epoch before
        self._epoch, self._given = self.batch_sampler.sampler.epoch, self._first()
        self._loaded = None
        self.batch_sampler.first = self._given
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The same on all devices."""
        return self._loaded or {"epoch": self._epoch, "batches": self._given, **self._cut()}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self._loaded = dict(state_dict)

    def _first(self) -> int:
        """The batch to begin with."""
        state = self._loaded
        if state is None or state["epoch"] != self.batch_sampler.sampler.epoch:
            return 0
        cut = {name: state[name] for name in self._cut()}
        if cut != self._cut():
            raise UserError(
                f"the checkpoint was written inside epoch {state['epoch']}, after {state['batches']} batches of "
                f"{_said(cut)}, which cannot be found again in batches of {_said(self._cut())}; "
                "resume with the same data, batch_size and devices"
            )
        return state["batches"]

    def _cut(self) -> dict[str, int]:
        """What the number of batches counts."""
        shares = self.batch_sampler
        return {"images": len(shares.sampler), "batch_size": shares.batch_size, "world_size": shares.world_size}


def _said(cut: dict[str, int]) -> str:
    return f"{cut['batch_size']} of {cut['images']} images on {cut['world_size']} device(s)"
