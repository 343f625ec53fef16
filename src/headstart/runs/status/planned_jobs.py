"""Jobs of a sweep's command, a line each, in the sweep's folder: also those that have not begun."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

FILE = "jobs.jsonl"


class PlannedJob(NamedTuple):
    """A job of a command.

    Attributes:
        folder: Where it goes.
        overrides: Its own.
    """

    folder: Path
    overrides: tuple[str, ...]


def note_job(sweep: Path, job: PlannedJob, *, is_first: bool) -> None:
    """Add a job to the list of a sweep's folder; nothing where the folder cannot be written.

    Args:
        sweep: The folder.
        job: The job.
        is_first: Whether it is the first of its command: the list of the command before is replaced.
    """
    line = json.dumps({"folder": job.folder.name, "overrides": list(job.overrides)}, ensure_ascii=False)
    with suppress(OSError), (sweep / FILE).open("w" if is_first else "a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")


def planned_jobs(sweep: Path) -> list[PlannedJob]:
    """The jobs of the last command in a sweep's folder, each folder once; empty where no list is there.

    Args:
        sweep: The folder.
    """
    try:
        lines = (sweep / FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    jobs: dict[str, PlannedJob] = {}
    for line in lines:
        try:
            read = json.loads(line)
            name, overrides = str(read["folder"]), tuple(map(str, read["overrides"]))
        except (ValueError, KeyError, TypeError):  # the last line may be cut
            continue
        if Path(name).name == name:
            jobs.setdefault(name, PlannedJob(sweep / name, overrides))
    return list(jobs.values())


def written_overrides(folder: Path) -> tuple[str, ...] | None:
    """The overrides that a job's folder was made with; None where they cannot be read."""
    import yaml  # here: most commands do not need it

    try:
        read = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return tuple(map(str, read)) if isinstance(read, list) else None


def command_of_job(sweep: Path, overrides: Sequence[str], *, outputs: Path) -> str:
    """The command line that runs one job of a sweep again, in the same folder.

    Args:
        sweep: The folder of the sweep.
        overrides: Of the job.
        outputs: The folder that sweeps lie in unless a command says another.
    """
    import shlex

    own = [text for text in overrides if text.lstrip("+").partition("=")[0] not in ("study_name", "trial")]
    lies_below = sweep.resolve().parent == outputs.resolve()
    place = f"study_name={sweep.resolve().name}" if lies_below else f"hydra.sweep.dir={sweep}"
    return shlex.join(["headstart", "-m", *own, place])
