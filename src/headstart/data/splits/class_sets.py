"""Class sets of a source and a target: the same, some of the source's, or others that become one unknown class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from headstart.data.splits.class_spelling import renaming
from headstart.system.printing.name_listing import first_few
from headstart.types import UserError

ClassSets = Literal["same", "partial", "open"]
UNKNOWN = "unknown"
LISTED = 8  # classes that an error names


def joint_classes(source: tuple[str, ...], target: tuple[str, ...], sets: ClassSets) -> tuple[str, ...]:
    """The classes of a run that adapts, in the order of their numbers: those of the source, and `unknown` where open.

    Args:
        source: Its classes.
        target: Its classes, matched by name.
        sets: `same`: both have the same. `partial`: the target has some of the source's. `open`: the target has some of
            the source's, and others, which are `unknown`.

    Raises:
        UserError: The two do not have such classes.
    """
    shared = [name for name in source if name in target]
    if sets == "same" and set(source) != set(target):
        raise _differ(source, target, shared)
    if sets == "partial" and (not shared or len(shared) < len(set(target))):
        alone = [name for name in target if name not in source] or list(target)
        renamed = renaming(alone, source)
        ways = [
            *(["try class_sets=open"] if shared else []),
            f"leave classes out: 'target.classes={{{alone[0]}: null}}'",
        ]
        if renamed:
            ways = [f"call them as the source does: 'target.classes={renamed}'"]
        raise UserError(
            "class_sets=partial needs a target whose classes are some of the source's, got "
            f"{first_few(alone, LISTED)}, which the source has not; {', or '.join(ways)}"
        )
    if sets != "open":
        return source
    if UNKNOWN in source or not shared or len(shared) == len(set(target)):
        advice = "check both data sets, which share no class"
        if UNKNOWN in source:
            advice = f"call it otherwise: 'source.classes={{{UNKNOWN}: ...}}'"
        elif renamed := renaming(target, source):
            advice = f"call classes as the source does: 'target.classes={renamed}'"
        elif shared:
            advice = f"try class_sets={'same' if set(source) == set(target) else 'partial'}"
        raise UserError(
            f"class_sets=open needs a target with some of the source's classes and with others, which become "
            f"{UNKNOWN}, a name that the source must not have; the source has {first_few(source, LISTED)}; "
            f"the target has {first_few(target, LISTED)}; {advice}"
        )
    return (*source, UNKNOWN)


def places_of(named: Sequence[str], joint: Sequence[str]) -> list[int]:
    """The number in the joint classes of each class of a data set; what is not among them is unknown."""
    return [joint.index(name) if name in joint else joint.index(UNKNOWN) for name in named]


def _differ(source: tuple[str, ...], target: tuple[str, ...], shared: list[str]) -> UserError:
    alone = sorted(set(source) ^ set(target))
    listed = ",".join(shared)
    own = [name for name in target if name not in source]
    renamed = renaming(own, source) or (f"{{{own[0]}: ...}}" if own else "")
    ways = [f"to call classes as the source does: 'target.classes={renamed}'"] if renamed else []
    if shared:
        sets = "open" if set(target) - set(source) else "partial"
        ways = [
            f"to take those that both have: 'source.classes=[{listed}]' 'target.classes=[{listed}]'",
            *ways,
            f"to adapt all the same: class_sets={sets}",
        ]
    return UserError(
        "adaptation needs the same classes in source and target, matched by name; the source has "
        f"{first_few(source, LISTED)}; the target has {first_few(target, LISTED)}; only one of them has "
        f"{first_few(alone, LISTED)}; {'; '.join(ways)}"
    )
