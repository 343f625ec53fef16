"""Cached activations of the images of a data set."""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from torch import Tensor
from tqdm import tqdm

from headstart.backbones.stages import Backbone
from headstart.data.loading.image_seed import ImageRng
from headstart.features.cache.activation_cache import CacheRanks, FeatureCache, ImagesToCache
from headstart.features.cache.activation_key import Cut, activations
from headstart.features.cache.cache_choice import ImageGroup
from headstart.features.cache.cache_shards import DIGEST
from headstart.features.cache.cached_rows import CachedRows
from headstart.types import Batch

VIEW_SEED = 2**40  # added to the seed: the choice of a view does not depend on the augmentation in it


@dataclass(frozen=True)
class Engine:
    """Device and precision of the stages' forward pass.

    Args:
        device: That computes.
        precision: Of the trainer.
        context: Around a forward pass, as for autocast.
        convert: A batch -> the batch in the precision of the inputs.
    """

    device: torch.device
    precision: str
    context: Callable[[], AbstractContextManager[Any]]
    convert: Callable[[Batch], Batch]

    @classmethod
    def of(cls, trainer: Trainer) -> Engine:
        """The engine of a trainer."""
        plugin = trainer.precision_plugin
        return cls(trainer.strategy.root_device, str(plugin.precision), plugin.forward_context, plugin.convert_input)


EVALUATED_BYTES = 2**24  # of the features of an evaluation batch


class CachedActivations:
    """Cached activations as loaders read them: by epoch and positions.

    One of several views of an image is drawn in each epoch, as a function of seed, epoch and position, so that any
    number of devices and a resumed run draw the same.

    Args:
        rows: Of the images; of views, the first views of all images first.
        start: The number of the stage that the activations enter.
        images: Their count.
        views: Of each image; 0 for images without augmentation.
        seed: Of the data.

    Attributes:
        evaluated_at_once: How many images an evaluation batch may have: of vectors, which a head alone reads, as many
            as fit into 16 MiB, so that Lightning's loop takes few steps; of anything else none more than of images.
            Whoever limits batches by their number sets 0.
    """

    def __init__(self, rows: CachedRows, *, start: int, images: int, views: int, seed: int) -> None:
        self.rows, self.start, self._images, self._views, self._seed = rows, start, images, views, seed
        self.evaluated_at_once = EVALUATED_BYTES // (4 * rows.shape[0]) if len(rows.shape) == 1 else 0

    def at(self, epoch: int, positions: NDArray[np.int64]) -> Tensor:
        """The activations of the images at these positions (B,) in an epoch: (B, ...), float32."""
        if self._views > 1:
            drawn = ImageRng(seed=self._seed + VIEW_SEED, epoch=epoch, position=positions).uniform(1)[:, 0]
            positions = positions + self._images * (drawn.numpy() * self._views).astype(np.int64)
        return self.rows.at(positions)


def cached_activations(
    cache: FeatureCache,
    backbone: Backbone,
    data: Any,
    groups: Sequence[ImageGroup],
    cuts: Sequence[Cut],
    *,
    engine: Engine,
    ranks: CacheRanks | None = None,
) -> tuple[dict[tuple[ImageGroup, Cut], CachedActivations], int]:
    """The activations of each group at each cut, and the number of images that this process has computed.

    Args:
        cache: Where they are cached.
        backbone: Computes the missing ones.
        data: A data module with `contents`, `plain_dataloader` and, for views, `view_dataloader`, `augment`, `seed`.
        groups: Of the data's images.
        cuts: Of the backbone.
        engine: Device and precision.
        ranks: The processes that call this together; None means this one alone.
    """
    images = {group: _images_to_cache(backbone, data, group, cuts, engine) for group in groups}
    with in_eval(backbone, max(cut.place.after for cut in cuts)):
        rows, computed = cache.rows(cuts, images, ranks)
    activations_of = {
        (group, cut): CachedActivations(
            rows[group, cut],
            start=cut.place.after,
            images=data.sizes[group.split],
            views=group.views,
            seed=data.seed if group.views else 0,
        )
        for group in groups
        for cut in cuts
    }
    return activations_of, computed


def cached_rows_at(
    cache: FeatureCache,
    backbone: Backbone,
    data: Any,
    split: str,
    positions: NDArray[np.int64],
    cut: Cut,
    *,
    engine: Engine,
    ranks: CacheRanks | None = None,
) -> tuple[CachedRows, int]:
    """The rows (n,) of images of a split, and the number of images that this process has computed.

    Args:
        cache: Where they are cached.
        backbone: Computes the missing ones.
        data: As for `cached_activations`.
        split: Of the data.
        positions: Of the images in the split (n,).
        cut: Of the backbone.
        engine: Device and precision.
        ranks: The processes that call this together; None means this one alone.
    """
    images = _images_to_cache(backbone, data, ImageGroup(split), [cut], engine, positions)
    with in_eval(backbone, cut.place.after):
        rows, computed = cache.rows([cut], {split: images}, ranks)
    return rows[split, cut], computed


@contextmanager
def in_eval(backbone: Backbone, count: int) -> Iterator[None]:
    """Within it the first `count` stages are in eval(); afterwards each module is as before."""
    modules = [module for stage in list(backbone.stages.values())[:count] for module in stage.modules()]
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _images_to_cache(
    backbone: Backbone,
    data: Any,
    group: ImageGroup,
    cuts: Sequence[Cut],
    engine: Engine,
    chosen: NDArray[np.int64] | None = None,
) -> ImagesToCache:
    """The images of a group, or those of the split at the `chosen` positions alone."""
    contents = _contents(data, group.split, chosen)
    digests = contents if not group.views else _of_views(contents, data, group)
    count = len(contents)

    def compute(positions: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Mapping[Cut, Tensor]]]:
        if group.views:
            loader = data.view_dataloader([(at // count, at % count) for at in positions.tolist()])
        else:
            where = positions if chosen is None else chosen[positions]
            loader = data.plain_dataloader(group.split, positions=where)
        title = f"caching {group.split}{' views' if group.views else ''}"
        done = 0
        with tqdm(total=len(positions), desc=title, unit="image", leave=False, disable=not sys.stderr.isatty()) as bar:
            for batch in loader:
                image = engine.convert(batch).image.to(engine.device, non_blocking=True)
                with engine.context():
                    computed = activations(backbone, image, [cut.place for cut in cuts])
                images = len(batch.label)
                yield positions[done : done + images], {cut: computed[cut.place] for cut in cuts}
                done += images
                bar.update(images)

    return ImagesToCache(digests, compute)


def _contents(data: Any, split: str, chosen: NDArray[np.int64] | None) -> NDArray[np.bytes_]:
    """The digests of a split's images, or of those at the `chosen` positions; only their files are read if possible."""
    splits = getattr(data, "splits", {})
    if chosen is not None and split in splits:
        texts, chosen = splits[split].taken(chosen).contents(), None
    else:
        texts = data.contents(split)
    digests = np.array([bytes.fromhex(text) for text in texts], DIGEST)
    return digests if chosen is None else digests[chosen]


def _of_views(contents: NDArray[np.bytes_], data: Any, group: ImageGroup) -> NDArray[np.bytes_]:
    """The digest of each view of each image, the first views of all images first.

    A view depends on the augmentation (its settings, its source text and that of its steps), the data's seed and the
    position.
    """
    augment = data.augment
    digest = blake2b(pickle.dumps(augment), digest_size=16)
    for name in sorted(_modules_of(augment)):
        with suppress(OSError, TypeError):  # defined in an interactive session, without a file
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
    names: set[str] = set()
    remaining, visited = [augment], set()
    while remaining:
        value = remaining.pop()
        if id(value) in visited:
            continue
        visited.add(id(value))
        if isinstance(value, Mapping):
            remaining += value.values()
        elif isinstance(value, list | tuple):
            remaining += value
        elif hasattr(value, "__dict__"):
            names.add(type(value).__module__)
            remaining += vars(value).values()
    unread = [name for name in names if name in sys.modules]
    while unread:
        module = sys.modules[unread.pop()]
        package = module.__package__
        for value in vars(module).values():
            name = getattr(value, "__module__", None) or (value.__name__ if inspect.ismodule(value) else None)
            near = package and isinstance(name, str) and name.startswith(f"{package}.")
            if near and name in sys.modules and name not in names:
                names.add(name)
                unread.append(name)
    return names
