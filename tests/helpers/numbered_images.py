"""Images that are numbers, whose rows in the feature cache are made up."""

from collections import Counter

import numpy as np
import torch

from headstart.features.cache.activation_cache import FeatureCache, ImagesToCache
from headstart.features.cache.activation_key import Cut, Place
from headstart.features.cache.cache_shards import DIGEST

SHAPE = (2, 3)


def cut(name="a", fingerprint=(1.0, 2.0)):
    facts = {"stages": {"stem": ["code", name]}, "pooled": False, "dtype": "float32"}
    return Cut(Place(1, False), f"{name:0>16}", SHAPE, facts, fingerprint)


def row(number):
    return torch.full(SHAPE, float(number)) + torch.arange(6).view(SHAPE) / 7


class Images:
    """Images that are numbers; what is computed of them is counted."""

    def __init__(self, *numbers):
        self.numbers = numbers
        self.computed = Counter()

    def part(self, batch=4):
        digests = np.array([f"{number:016d}".encode() for number in self.numbers], DIGEST)

        def compute(positions):
            for begin in range(0, len(positions), batch):
                here = positions[begin : begin + batch]
                self.computed.update(self.numbers[at] for at in here)
                yield here, {of_cut: torch.stack([row(self.numbers[at]) for at in here]) for of_cut in self.cuts}

        return ImagesToCache(digests, compute)

    def of(self, store, *cuts, ranks=None):
        self.cuts = cuts or (cut(),)
        rows, _ = store.rows(list(self.cuts), {"images": self.part()}, ranks)
        return rows["images", self.cuts[0]]


def made_cache(folder, **settings):
    return FeatureCache(**{"folder": folder / "store", "max_gib": 1, "dtype": "float32", "views": 0} | settings)
