"""What does a user read where something failed?"""

from __future__ import annotations

import re

from headstart.exhaustion import exhausted
from headstart.types import UserError


def root_cause(error: BaseException) -> BaseException:
    """The exception of the callable itself, where Hydra's instantiate has wrapped it."""
    while type(error).__name__ == "InstantiationException" and error.__cause__ is not None:
        error = error.__cause__
    return error


def one_line(error: BaseException) -> str:
    """What an exception says, on one line; only a UserError may take several, as where it shows a table."""
    cause = root_cause(error)
    if isinstance(cause, UserError):
        return str(cause)
    if told := exhausted(cause):
        return told
    text = _flat(str(cause))
    key = re.search(r"full_key: (\S+)", str(error)) if cause is not error else None
    made = f" (while making {key[1]})" if key else ""
    return f"{type(cause).__name__}: {text}{made}" if text else f"{type(cause).__name__}{made}"


def hydras_reason(error: BaseException) -> str:
    """What Hydra says about a command line that it cannot compose, on one line, its causes included."""
    texts: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        text = _flat(str(seen).split("\nConfig search path:")[0])
        if text and not any(text in earlier for earlier in texts):
            texts.append(text)
        seen = seen.__cause__
    return ": ".join(texts) or type(error).__name__


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
