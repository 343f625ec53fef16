"""How many random inputs does a test try, and which?"""

import os
import random
from collections.abc import Iterator

SCALE = float(os.environ.get("FAULTS", "0.1"))
PART = 500  # inputs of one test, so that several processes share them


def parts(count: int) -> list[range]:
    """The numbers of `count` inputs, scaled by FAULTS, in parts."""
    scaled = max(1, round(SCALE * count))
    return [range(begin, min(begin + PART, scaled)) for begin in range(0, scaled, PART)]


def chances(numbers: range, kind: str) -> Iterator[tuple[int, random.Random]]:
    """Each number with a random generator of its own, so that one input can be made again alone."""
    for number in numbers:
        yield number, random.Random(f"{kind} {number}")
