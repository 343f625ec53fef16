"""Copies of images among the files of a listing: which files stay, and where a run has each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from headstart.data.dataset_settings import FileSettings
from headstart.data.decoding.image_file_summary import Header
from headstart.data.files.duplicate_files import LEFT_OUT, Duplicate, Place, duplicates, with_two_labels
from headstart.data.splits.image_copies import NO_COPIES, Copies, one_of_each
from headstart.types import SPLITS


@dataclass(frozen=True)
class ListingCopies:
    """Files of the same bytes in a listing.

    Args:
        groups: Groups of (split that the listing says, file).
        conflicting: Those whose files have different labels.
        label: File -> its class, or its classes with | between them.
        left_out: Files that no split has.
        copies: What divisions are told.
    """

    groups: list[list[Place]]
    conflicting: list[list[Place]]
    label: Mapping[str, str]
    left_out: frozenset[str] = frozenset()
    copies: Copies = NO_COPIES

    def records(self, splits: Mapping[str, Sequence[str]]) -> list[Duplicate]:
        """Each file of each group, with where a run has it.

        Args:
            splits: Split of the run -> its files.
        """
        place = {name: split for split, names in splits.items() for name in names}
        records = []
        for number, group in enumerate(self.groups, start=1):
            held_out = {split for split, name in group if place.get(name) in SPLITS[1:]}
            for own_split, name in group:
                crossing = self.copies.leaves_out and held_out - {own_split}
                absent = LEFT_OUT if splits and (name in self.left_out or crossing) else ""
                records.append(Duplicate(number, "copy", place.get(name, absent), name, self.label[name], 0.0))
        return records

    def within(self, splits: Mapping[str, Sequence[str]]) -> list[list[Place]]:
        """The groups of which a run has several files, as (split of the run, file).

        Args:
            splits: Split of the run -> its files.
        """
        place = {name: split for split, names in splits.items() for name in names}
        groups = [[(place[name], name) for _, name in group if name in place] for group in self.groups]
        return [sorted(group, key=lambda member: list(splits).index(member[0])) for group in groups if len(group) > 1]


def listing_copies(
    listed: Mapping[str, Sequence[str]],
    headers: Mapping[str, Header],
    label: Mapping[str, str],
    digest: Callable[[list[str]], list[str]],
    settings: FileSettings,
) -> ListingCopies:
    """The files of the same bytes, and which of them stay as leakage and conflicting_labels say.

    Args:
        listed: Split -> its files.
        headers: Of the files that can be read; the others count for nothing.
        label: File -> its label.
        digest: As headstart.data.files.duplicate_files.duplicates says.
        settings: Those of the data set.
    """
    groups = duplicates(
        {split: [name for name in names if name in headers] for split, names in listed.items()}, headers, digest
    )
    conflicting = with_two_labels(groups, label)
    left_out: set[str] = set()
    if settings["conflicting_labels"] == "drop":
        left_out |= {name for group in conflicting for _, name in group}
    leakage = settings["leakage"]
    if leakage == "drop":
        stays = one_of_each(groups, [*reversed(SPLITS)])
        left_out |= {name for group in groups for _, name in group} - stays
    if leakage == "allow":
        return ListingCopies(groups, conflicting, label, frozenset(left_out))
    image_of = {name: group[0][1] for group in groups for _, name in group if name not in left_out}
    return ListingCopies(
        groups, conflicting, label, frozenset(left_out), Copies(image_of, leaves_out=leakage != "error")
    )
