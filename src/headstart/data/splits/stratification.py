"""Division of images with several labels, or of groups of images, so that every part has its share of every label."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

LEAST = 8  # images of a part of a stratified order: smaller ones are left in the random order


def stratified(
    names: Sequence[str],
    label: NDArray[np.bool_] | NDArray[np.int32],
    shares: Sequence[float],
    key: str,
    sizes: NDArray[np.int64] | None = None,
    least: Sequence[int] = (),
) -> list[list[int]]:
    """The positions of each part's images, ascending; names (N,), label (N, classes), shares that sum to 1.

    The rarest label that is left is dealt out first, each of its images to the part that lacks most of that label, of
    several to the one that lacks most images; images without a label come last. Ties are broken by the hash of key
    and name: an order that no version of a library and no other file can change.
    sizes (N,): where what is dealt out are groups, their images; label then counts those of each class, and larger
    groups (by powers of two) come first. least: how many groups with a label each part is to have before others get
    more of them than they lack; () = none.
    Sechidis, Tsoumakas & Vlahavas 2011, On the Stratification of Multi-label Data (ECML PKDD), algorithm 1.
    """
    hashes = [sha256(f"{key}/{name}".encode()).digest() for name in names]
    weight = np.ones(len(names), np.int64) if sizes is None else sizes
    order = np.array(
        sorted(range(len(names)), key=lambda at: (-int(weight[at]).bit_length(), hashes[at])), dtype=np.int64
    )
    share = np.asarray(shares, np.float64)
    lacking = share * weight.sum()  # (parts,)
    lacking_of = share[:, None] * label.sum(axis=0)  # (parts, classes)
    owed = np.zeros(lacking_of.shape, np.int64) + np.asarray(least or [0] * len(share), np.int64)[:, None]
    left = np.ones(len(names), bool)
    parts: list[list[int]] = [[] for _ in shares]

    def deal(position: int, wanted: NDArray[np.float64]) -> None:
        most = np.flatnonzero(wanted >= wanted.max() - 1e-9)
        most = most[lacking[most] >= lacking[most].max() - 1e-9]
        part = int(most[int.from_bytes(hashes[position][:4], "big") % len(most)])
        parts[part].append(position)
        lacking[part] -= weight[position]
        lacking_of[part] -= label[position]
        owed[part] -= label[position] > 0
        left[position] = False

    while (counts := label[left].sum(axis=0)).any():
        rarest = int(np.where(counts > 0, counts, np.iinfo(np.int64).max).argmin())
        coming = order[left[order] & (label[order, rarest] > 0)].tolist()
        for number, position in enumerate(coming):
            wanted, still = lacking_of[:, rarest], owed[:, rarest].clip(min=0)
            if 0 < still.sum() >= len(coming) - number:
                wanted = np.where(still > 0, wanted, -np.inf)
            deal(position, wanted)
    for position in order[left[order]].tolist():
        deal(position, lacking)
    return [sorted(part) for part in parts]


def stratified_order(names: Sequence[str], label: NDArray[np.bool_], key: str) -> list[int]:
    """All positions, so ordered that any first part has about its share of every label: halves of halves."""
    if len(names) <= LEAST:
        return sorted(range(len(names)), key=lambda position: sha256(f"{key}/{names[position]}".encode()).digest())
    halves = stratified(names, label, (0.5, 0.5), key)
    return [
        half[position]
        for half in halves
        for position in stratified_order([names[at] for at in half], label[half], f"{key}/half")
    ]
