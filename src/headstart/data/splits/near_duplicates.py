"""Near-duplicates between splits: a picture that was saved again at another size or quality."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

SMALLEST = 64  # pixels of the shorter side: of smaller images, unrelated ones have the same hash
# pixels of the grey image that is hashed, and of the one in colour that is compared; no part of a usual size, as a
# photo that is decoded at just this size is cut at whole pixels, up to a pixel off its copy
SIDE = 37
LOW = 8  # frequencies of each direction that the hash is made of
FLAT = 4.0  # of 255: standard deviation below which the hash would be rounding noise
BITS = 10  # of 64 in which the hashes of copies may differ
NEIGHBOURS = 16  # in the order of the hashes that an image is compared with, in each of the orders
CORRELATION = 0.97  # of the pixels of copies
DIFFERENCE = 10.0  # of 255: mean absolute difference of the pixels of copies

Grey = Callable[[Sequence[str]], NDArray[np.uint8]]  # files -> (N, SIDE, SIDE)
Colour = Callable[[str], NDArray[np.uint8]]  # a file -> (SIDE, SIDE, 3)


class NearPair(NamedTuple):
    """Two images of different splits that show the same picture."""

    split: str
    name: str
    other_split: str
    other: str
    difference: float  # mean absolute difference of their pixels, of 255


def near_duplicates(
    splits: Mapping[str, Sequence[str]], *, copies: Mapping[str, str], grey: Grey, colour: Colour
) -> list[NearPair]:
    """The pairs of images of different splits that are one picture, each image with at least one of its partners.

    The images' perceptual hashes are sorted in eight ways, and neighbours with similar hashes are compared by their
    pixels: the time is that of decoding each image once.

    Args:
        splits: The files of each split.
        copies: File -> which image it is, where there are several of the same bytes; these are no pairs here.
        grey: Makes the images that are hashed.
        colour: Makes an image that is compared.
    """
    named = [(split, name) for split, names in splits.items() for name in names]
    if not named:
        return []
    hashes, varied = perceptual_hashes(grey([name for _, name in named]))
    places = np.flatnonzero(varied)
    of_split = np.array([list(splits).index(split) for split, _ in named], np.int64)
    pairs_found: list[NearPair] = []
    pixels_of: dict[str, NDArray[np.float64]] = {}  # one is compared with several others, one after the other
    for first, second in similar(hashes[places], of_split[places]):
        (split, name), (other_split, other) = named[places[first]], named[places[second]]
        if name in copies and copies.get(name) == copies.get(other):
            continue
        pixels_of = {
            key: pixels_of[key] if key in pixels_of else colour(key).astype(np.float64) for key in (name, other)
        }
        difference = same_picture(pixels_of[name], pixels_of[other])
        if difference is not None:
            pairs_found.append(NearPair(split, name, other_split, other, difference))
    return pairs_found


def perceptual_hashes(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The 64 bits of each grey image (N, SIDE, SIDE), and whether it has any contrast to make them of.

    A bit says whether one of the 8 x 8 lowest frequencies of the cosine transform is above their median, as pHash has
    it (Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions).
    """
    pixels = image.astype(np.float32)
    low = dctn(pixels, axes=(1, 2))[:, :LOW, :LOW].reshape(len(pixels), -1)
    bits = low > np.median(low, axis=1, keepdims=True)
    hashes: NDArray[np.uint64] = np.packbits(bits, axis=1).view(np.uint64).ravel()
    return hashes, pixels.std(axis=(1, 2)) >= FLAT


def similar(hashes: NDArray[np.uint64], of_split: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of positions of different splits whose hashes differ in few bits; at most linearly many."""
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    pairs: set[tuple[int, int]] = set()
    for turn in range(8):
        turned = np.packbits(np.roll(bits, 8 * turn, axis=1), axis=1).view(">u8").ravel()
        order = np.lexsort((of_split, turned))
        for step in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            first, second = order[:-step], order[step:]
            differ = of_split[first] != of_split[second]
            first, second = first[differ], second[differ]
            close = (bits[first] != bits[second]).sum(axis=1) <= BITS
            pairs |= {
                (min(a, b), max(a, b)) for a, b in zip(first[close].tolist(), second[close].tolist(), strict=True)
            }
    return sorted(pairs)


def same_picture(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """The mean absolute difference of two small images (H, W, 3) that show the same picture, None where they do not."""
    difference = float(np.abs(first - second).mean())
    if difference > DIFFERENCE or first.std() == 0 or second.std() == 0:
        return None
    correlation = float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
    return difference if correlation >= CORRELATION else None
