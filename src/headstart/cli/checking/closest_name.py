"""The valid name that is closest to a wrong one."""

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name nearest to this one, None where none is near."""
    names = list(valid)
    swapped = [candidate for candidate in names if sorted(candidate) == sorted(name)]
    if swapped:  # modle: difflib would say mode, a hand meant model
        return swapped[0]
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return near[0]
    folded = {candidate.lower(): candidate for candidate in reversed(names)}
    near = get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def listed(valid: Iterable[str]) -> str:
    """The names as a sentence lists them; where there are none, it says so."""
    return ", ".join(valid) or "none"


def hint(name: str, valid: Iterable[str], template: str = "{}") -> str:
    """`; did you mean ...?` with the closest name put into the template, empty where none is near."""
    near = closest(name, valid)
    return f"; did you mean {template.format(near)}?" if near is not None else ""
