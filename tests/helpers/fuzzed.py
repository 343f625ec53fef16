"""Number and seeds of random inputs of a test."""

import os
import random
from collections.abc import Iterator

from hypothesis import HealthCheck, settings

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


def thorough(examples: int) -> settings:
    """Hypothesis with so many examples, scaled by FAULTS, the same in each run; no example is slow for its sake."""
    return settings(
        max_examples=max(10, round(SCALE * examples)),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
