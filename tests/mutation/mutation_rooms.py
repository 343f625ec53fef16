"""The rooms of mutation testing: which code is changed, and which tests must notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Room:
    """One part of the package under mutation.

    Args:
        sources: Folders below src/headstart whose files are changed.
        tests: Files and folders below tests/ that are run for each change, the fastest first.
    """

    sources: tuple[str, ...]
    tests: tuple[str, ...]


ROOMS = {
    "unfreeze": Room(("unfreeze",), ("unfreeze", "callbacks/training/test_unfreeze.py")),
    "report": Room(("report/stored_runs", "report/analysis", "report/statistics", "report/curves"), ("report",)),
    "cache": Room(
        ("features/cache",),
        ("features/cache", "features/test_view_sources.py", "features/test_store_in_training.py"),
    ),
    "modules": Room(("modules",), ("modules", "regularizers")),
}
