"""Groups of images, such as those of one patient or one site, that must stay in one split."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from headstart.data.dataset_settings import Leakage, SplitSettings
from headstart.data.splits.class_division import check_split_settings, chosen_classes, drawn
from headstart.data.splits.image_copies import NO_COPIES, Copies, without_crossing
from headstart.data.splits.stratification import stratified
from headstart.system.printing.name_listing import first_few
from headstart.types import UserError

Groups = Mapping[str, str]  # file -> its group

log = logging.getLogger(__name__)


def groups_by_pattern(names: Iterable[str], pattern: str) -> dict[str, str]:
    """The group of each file: what the first group of a regular expression finds in its path.

    Raises UserError where the pattern is none, has no group, or a path does not match.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"group_pattern must be a regular expression, got {pattern!r} ({error})") from error
    if compiled.groups < 1:
        raise UserError(
            f"group_pattern must have a group in brackets that finds the patient, site or burst in a path, got "
            f"{pattern!r}; as in target.group_pattern='(patient\\d+)'"
        )
    group_of, without = {}, []
    for name in names:
        match = compiled.search(name)
        if match and match[1]:
            group_of[name] = match[1]
        else:
            without.append(name)
    if without:
        raise UserError(
            f"group_pattern must match the path of each image, {pattern!r} finds no group in {len(without)} of "
            f"{len(without) + len(group_of)}: {first_few(without)}; an image of its own may be a group"
        )
    return group_of


def with_copies(groups: Groups, copies: Copies) -> dict[str, str]:
    """The same groups, those that share an image joined to one, which is called as the first of them."""
    parent: dict[str, str] = {}

    def root(group: str) -> str:
        while (above := parent.get(group, group)) != group:
            group = above
        return group

    first: dict[str, str] = {}  # image -> a group that has it
    for name in sorted(copies.image_of):
        group = root(groups[name])
        other = root(first.setdefault(copies.image_of[name], group))
        low, high = sorted((group, other))
        if low != high:
            parent[high] = low
    return {name: root(group) for name, group in groups.items()}


def cut_groups(
    names: Sequence[str],
    shares: Sequence[float],
    key: str,
    least: Sequence[int],
    *,
    label: Mapping[str, Sequence[int]],
    groups: Groups,
) -> list[list[str]]:
    """Files in as many parts as there are shares, each group in one of them; stratified by the classes.

    Args:
        names: The files.
        shares: Of each part; they sum to 1.
        key: Of the random order.
        least: How many groups of a class each part needs, as far as there are so many.
        label: File -> its classes, by their numbers.
        groups: File -> its group.
    """
    called = sorted({groups[name] for name in names})
    number = {group: at for at, group in enumerate(called)}
    classes = 1 + max((number_of_class for of in label.values() for number_of_class in of), default=0)
    counts = np.zeros((len(called), classes), np.int32)
    sizes: NDArray[np.int64] = np.zeros(len(called), np.int64)
    for name in names:
        row = number[groups[name]]
        sizes[row] += 1
        counts[row, list(label[name])] += 1
    parts = stratified(called, counts, shares, key, sizes, least)
    part_of = {called[row]: part for part, rows in enumerate(parts) for row in rows}
    files_of_parts: list[list[str]] = [[] for _ in shares]
    for name in names:
        files_of_parts[part_of[groups[name]]].append(name)
    return files_of_parts


def divided_groups(
    listed: Mapping[str, Mapping[str, Sequence[str]]],
    groups: Groups,
    settings: SplitSettings,
    *,
    copies: Copies = NO_COPIES,
) -> list[dict[str, list[str]]]:
    """Of each class its files for train, val and test, as class_division.divided_classes, but whole groups.

    Args:
        listed: Split -> class -> files.
        groups: File -> its group; copies of one image are of one.
        settings: Shares, shots, folds and seed.
        copies: Which files are copies of one image.

    Raises UserError as class_division.divided_classes does.
    """
    check_split_settings(settings)
    class_names = list(listed["train"])
    number_of = {name: number for number, name in enumerate(class_names)}
    class_of = {file: name for classes in listed.values() for name, files in classes.items() for file in files}
    label = {file: (number_of[name],) for file, name in class_of.items()}
    splits = drawn(
        {split: [file for files in classes.values() for file in files] for split, classes in listed.items()},
        partial(cut_groups, label=label, groups=groups),
        settings,
    )
    listed_counts = [{split: len(classes.get(name, ())) for split, classes in listed.items()} for name in class_names]
    counts = [
        len({groups[file] for classes in listed.values() for file in classes.get(name, ())}) for name in class_names
    ]
    return chosen_classes(
        class_names, without_crossing(splits, copies), class_of, settings, listed_counts=listed_counts, groups=counts
    )


def group_counts(splits: Mapping[str, Iterable[str]], groups: Groups) -> dict[str, int]:
    """How many groups the files of each split are of."""
    return {split: len({groups[name] for name in names}) for split, names in splits.items()}


def check_groups(splits: Mapping[str, Iterable[str]], groups: Groups, *, leakage: Leakage) -> None:
    """Raise UserError that names the groups which lie in two splits; a warning where leakage is allowed."""
    of_group: dict[str, dict[str, int]] = defaultdict(dict)
    for split, names in splits.items():
        for name in names:
            counts = of_group[groups[name]]
            counts[split] = counts.get(split, 0) + 1
    apart = {group: counts for group, counts in sorted(of_group.items()) if len(counts) > 1}
    if not apart:
        return
    listed = [
        f"{group} ({', '.join(f'{count} in {split}' for split, count in counts.items())})"
        for group, counts in apart.items()
    ]
    problem = (
        f"{len(apart)} groups of images lie in two splits that the data come with, so that val or test measures what "
        f"was learnt of these groups by heart: {first_few(listed)}"
    )
    if leakage != "allow":
        raise UserError(
            f"{problem}; move each group to one split, leave the splits out so that they are drawn, or go on all the "
            "same with target.leakage=allow"
        )
    log.warning("%s", problem)
