"""A leaderboard's records: its columns, and an entry for each run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

STUDY = "study"  # the key of the folder that a run lies in, where runs lie in several
REPLICATES = ("seed", "target.fold")  # what tells runs of one setting apart
FINISHED, DIVERGED = "finished", "diverged"
SECONDS, MEMORY, PARAMETERS, TRAINABLE = "wall_s", "peak_memory_mib", "parameters", "trainable_parameters"
COSTS = (SECONDS, MEMORY, PARAMETERS)  # what a figure is weighed against


@dataclass(frozen=True)
class BoardColumn:
    """A number of each run.

    Attributes:
        key: Of the value in an entry.
        title: For a reader.
        lower: Whether less is better; None where neither is.
        decimals: Of its text.
    """

    key: str
    title: str
    lower: bool | None
    decimals: int = 3


@dataclass(frozen=True)
class RunEntry:
    """One run.

    Attributes:
        folder: Of the run.
        state: finished, diverged, or why it is in no comparison: failed, pruned, ...
        why: More about the state; may be empty.
        settings: What differs between runs, seed and fold too: key -> value as it was written; "" where it has none.
        values: Column -> number; nan where it was not measured.
    """

    folder: Path
    state: str
    why: str
    settings: dict[str, str] = field(hash=False)
    values: dict[str, float] = field(hash=False)


@dataclass(frozen=True)
class Leaderboard:
    """All runs of a report.

    Attributes:
        entries: The best first, by `figure`; what has none at the end.
        keys: Settings that differ, mode and control first, seed and fold last.
        columns: Numbers of the runs, the figure that ranks them first.
    """

    entries: tuple[RunEntry, ...]
    keys: tuple[str, ...]
    columns: tuple[BoardColumn, ...]

    @property
    def figure(self) -> BoardColumn:
        """What ranks the runs."""
        return self.columns[0]

    @property
    def setting_keys(self) -> tuple[str, ...]:
        """The keys without seed and fold."""
        return tuple(key for key in self.keys if key not in REPLICATES)
