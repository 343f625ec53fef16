"""What do a data set's images become after so many stages, each computed once?"""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from torch import Tensor
from tqdm import tqdm

from headstart.backbones.stages import Backbone
from headstart.data.loading.image_seed import Chance
from headstart.features.cache.activation_key import Cut, activations
from headstart.features.cache.cache_shards import DIGEST
from headstart.features.cache.feature_cache import FeatureCache, Part, Ranks, StoredRows
from headstart.types import Batch

OTHER_CHANCE = 2**40  # added to the seed: which view is drawn has nothing to do with what is in it


class Group(NamedTuple):
    """Images of a data set: a split as it is, or so many augmented views of each of its images."""

    split: str
    views: int = 0


@dataclass(frozen=True)
class Engine:
    """Where and in which precision stages compute."""

    device: torch.device
    precision: str
    context: Callable[[], AbstractContextManager[Any]]
    convert: Callable[[Batch], Batch]

    @classmethod
    def of(cls, trainer: Trainer) -> Engine:
        """A trainer's own."""
        plugin = trainer.precision_plugin
        return cls(trainer.strategy.root_device, str(plugin.precision), plugin.forward_context, plugin.convert_input)


class Served:
    """Stored activations as loaders ask for them: by epoch and positions; start: the stage that they enter.

    Of k views of an image, chance draws one in each epoch: a function of seed, epoch and position, so that any number
    of devices and a resumed run draw the same.
    """

    def __init__(self, rows: StoredRows, *, start: int, images: int, views: int, seed: int) -> None:
        self.rows, self.start, self._images, self._views, self._seed = rows, start, images, views, seed

    def at(self, epoch: int, positions: NDArray[np.int64]) -> Tensor:
        """Those of the images at these positions (B,) in an epoch: (B, ...), float32."""
        if self._views > 1:
            drawn = Chance(seed=self._seed + OTHER_CHANCE, epoch=epoch, position=positions).uniform(1)[:, 0]
            positions = positions + self._images * (drawn.numpy() * self._views).astype(np.int64)
        return self.rows.at(positions)


def served(
    store: FeatureCache,
    backbone: Backbone,
    data: Any,
    groups: Sequence[Group],
    cuts: Sequence[Cut],
    *,
    engine: Engine,
    ranks: Ranks | None = None,
) -> tuple[dict[tuple[Group, Cut], Served], int]:
    """What serves each group after each cut, and how many images this process has computed for it.

    data: with contents, plain_dataloader and, for views, view_dataloader, augment and seed.
    """
    parts = {group: _part(backbone, data, group, cuts, engine) for group in groups}
    with in_eval(backbone, max(cut.place.after for cut in cuts)):
        rows, computed = store.found(cuts, parts, ranks)
    found = {
        (group, cut): Served(
            rows[group, cut],
            start=cut.place.after,
            images=data.sizes[group.split],
            views=group.views,
            seed=data.seed if group.views else 0,
        )
        for group in groups
        for cut in cuts
    }
    return found, computed


def stored_rows(
    store: FeatureCache,
    backbone: Backbone,
    data: Any,
    split: str,
    positions: NDArray[np.int64],
    cut: Cut,
    *,
    engine: Engine,
    ranks: Ranks | None = None,
) -> tuple[StoredRows, int]:
    """The rows (n,) of the images of a split at these positions, and how many of them this process has computed."""
    part = _part(backbone, data, Group(split), [cut], engine, positions)
    with in_eval(backbone, cut.place.after):
        rows, computed = store.found([cut], {split: part}, ranks)
    return rows[split, cut], computed


@contextmanager
def in_eval(backbone: Backbone, count: int) -> Iterator[None]:
    """The first `count` stages in eval(), each module as it was afterwards."""
    modules = [module for stage in list(backbone.stages.values())[:count] for module in stage.modules()]
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _part(
    backbone: Backbone,
    data: Any,
    group: Group,
    cuts: Sequence[Cut],
    engine: Engine,
    chosen: NDArray[np.int64] | None = None,
) -> Part:
    """The images of a group; chosen: those of the split at these positions alone."""
    contents = _contents(data, group.split, chosen)
    digests = contents if not group.views else _of_views(contents, data, group)
    images = len(contents)

    def make(positions: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Mapping[Cut, Tensor]]]:
        if group.views:
            loader = data.view_dataloader([(at // images, at % images) for at in positions.tolist()])
        else:
            where = positions if chosen is None else chosen[positions]
            loader = data.plain_dataloader(group.split, positions=where)
        title = f"storing {group.split}{' views' if group.views else ''}"
        done = 0
        with tqdm(total=len(positions), desc=title, unit="image", leave=False, disable=not sys.stderr.isatty()) as bar:
            for batch in loader:
                image = engine.convert(batch).image.to(engine.device, non_blocking=True)
                with engine.context():
                    found = activations(backbone, image, [cut.place for cut in cuts])
                count = len(batch.label)
                yield positions[done : done + count], {cut: found[cut.place] for cut in cuts}
                done += count
                bar.update(count)

    return Part(digests, make)


def _contents(data: Any, split: str, chosen: NDArray[np.int64] | None) -> NDArray[np.bytes_]:
    """The digests of a split's images; where the data have its images at hand, no other file is read than those chosen.

    chosen: the positions of those that are wanted, None = all.
    """
    splits = getattr(data, "splits", {})
    if chosen is not None and split in splits:
        found, chosen = splits[split].taken(chosen).contents(), None
    else:
        found = data.contents(split)
    digests = np.array([bytes.fromhex(one) for one in found], DIGEST)
    return digests if chosen is None else digests[chosen]


def _of_views(contents: NDArray[np.bytes_], data: Any, group: Group) -> NDArray[np.bytes_]:
    """The digest of each view of each image, the first views of all images first.

    A view depends on the augmentation (its settings, its source text and that of its steps), the data's seed and the
    position.
    """
    augment = data.augment
    digest = blake2b(pickle.dumps(augment), digest_size=16)
    for name in sorted(_modules_of(augment)):
        with suppress(OSError, TypeError):  # made in a session: there is no file
            digest.update(inspect.getsource(sys.modules[name]).encode())
    digest.update(str(data.seed).encode())
    common = digest.digest()
    return np.array(
        [
            blake2b(
                common + content.ljust(DIGEST.itemsize, b"\0") + f"{view},{position}".encode(), digest_size=16
            ).digest()
            for view in range(group.views)
            for position, content in enumerate(contents.tolist())
        ],
        DIGEST,
    )


def _modules_of(augment: Any) -> set[str]:
    """The modules of an augmentation, of those that it holds (steps in a list or a mapping), and what these import
    from their own package."""
    found: set[str] = set()
    coming, seen = [augment], set()
    while coming:
        one = coming.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            coming += one.values()
        elif isinstance(one, list | tuple):
            coming += one
        elif hasattr(one, "__dict__"):
            found.add(type(one).__module__)
            coming += vars(one).values()
    unread = [name for name in found if name in sys.modules]
    while unread:
        module = sys.modules[unread.pop()]
        package = module.__package__
        for value in vars(module).values():
            name = getattr(value, "__module__", None) or (value.__name__ if inspect.ismodule(value) else None)
            near = package and isinstance(name, str) and name.startswith(f"{package}.")
            if near and name in sys.modules and name not in found:
                found.add(name)
                unread.append(name)
    return found
