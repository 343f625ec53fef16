"""Named test sets in words, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headstart.runs.test_sets.run_test_sets import TESTS


def named_test_lines(result: Mapping[str, Any]) -> list[str]:
    """A row for the test images and for each named test set: images, monitored metric and loss; none without such.

    Args:
        result: The content of a run's result.json.
    """
    tests = result.get(TESTS)
    if not isinstance(tests, dict) or not tests:
        return []
    monitor = str(result["monitor"]).partition("/")[2]
    return table_of(tests, result["metrics"], monitor, images=result["sizes"].get("test"))


def table_of(
    tests: Mapping[str, Any], metrics: Mapping[str, float], monitor: str, *, images: int | None = None
) -> list[str]:
    """The same of test sets as a result file describes them.

    Args:
        tests: Name -> {images, passes, kinds}.
        metrics: Tag -> value.
        monitor: Name of the monitored metric, without its split.
        images: Of the test split, which has the first row; None for no such row.
    """
    rows = [] if images is None else [("test", images, "test")]
    for name, facts in tests.items():
        rows.append((name, facts["images"], f"test/{name}"))
        rows += [(f"  {kind}", facts["images"], f"test/{name}/{kind}") for kind in facts["kinds"]]
    width = max(9, *(len(name) for name, *_ in rows))
    lines = [f"{'test sets':<{width}}  images  {monitor:>12}  {'loss':>8}"]
    for name, count, tag in rows:
        level, loss = (metrics.get(f"{tag}/{each}", float("nan")) for each in (monitor, "loss"))
        lines.append(f"{name:<{width}}  {count:>6}  {level:>12.4f}  {loss:>8.4f}")
    return lines
