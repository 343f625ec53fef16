"""What a command line permits beyond the usual: configs of other people, commands of the shell as data."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Literal

# flag -> environment variable, since workers, ranks and launchers' jobs are other processes
VARIABLES = {"--trust": "HEADSTART_TRUST", "--pipe": "HEADSTART_PIPE"}


def permits(flag: Literal["--trust", "--pipe"]) -> bool:
    """Whether the command that this process belongs to has the flag."""
    return os.environ.get(VARIABLES[flag]) == "1"


@contextmanager
def permitted(flags: Collection[str]) -> Iterator[None]:
    """While a command runs, its flags alone count: a variable that the shell exports permits nothing."""
    before = {variable: os.environ.get(variable) for variable in VARIABLES.values()}
    for flag, variable in VARIABLES.items():
        _set(variable, "1" if flag in flags else None)
    try:
        yield
    finally:
        for variable, value in before.items():
            _set(variable, value)


def _set(variable: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = value
