"""What does a user read where something failed?"""

from __future__ import annotations

import re

from headstart.types import UserError


def one_line(error: BaseException) -> str:
    """What an exception says, on one line; only a UserError may take several, as where it shows a table."""
    if isinstance(error, UserError):
        return str(error)
    name = type(error).__name__
    text = _flat(str(error))
    return f"{name}: {text}" if text else name


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
