"""Class sets of a source and a target: the same, some of the source's, or others that become one unknown class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from headstart.system.name_listing import first_few
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
        alone = [name for name in target if name not in source]
        raise UserError(
            "class_sets=partial needs a target whose classes are some of the source's, got "
            f"{first_few(alone or list(target), LISTED)}, which the source has not; try class_sets=open, or leave "
            "classes out: 'target.classes={"
            f"{(alone or list(target))[0]}: null" + "}'"
        )
    if sets != "open":
        return source
    if UNKNOWN in source or not shared or len(shared) == len(set(target)):
        raise UserError(
            f"class_sets=open needs a target with some of the source's classes and with others, which become "
            f"{UNKNOWN}, a name that the source must not have; the source has {first_few(source, LISTED)}; "
            f"the target has {first_few(target, LISTED)}; try class_sets=same or class_sets=partial"
        )
    return (*source, UNKNOWN)


def places_of(named: Sequence[str], joint: Sequence[str]) -> list[int]:
    """The number in the joint classes of each class of a data set; what is not among them is unknown."""
    return [joint.index(name) if name in joint else joint.index(UNKNOWN) for name in named]


def _differ(source: tuple[str, ...], target: tuple[str, ...], shared: list[str]) -> UserError:
    alone = sorted(set(source) ^ set(target))
    listed = ",".join(shared)
    sets = "open" if set(target) - set(source) else "partial"
    return UserError(
        "adaptation needs the same classes in source and target, matched by name; the source has "
        f"{first_few(source, LISTED)}; the target has {first_few(target, LISTED)}; only one of them has "
        f"{first_few(alone, LISTED)}; to take those that both have: 'source.classes=[{listed}]' "
        f"'target.classes=[{listed}]'; to call one as another: 'target.classes={{{alone[0]}: ...}}'; to adapt all the "
        f"same: class_sets={sets}"
    )
