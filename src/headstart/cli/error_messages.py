"""The line that a user reads where something failed."""

from __future__ import annotations

import errno
import re
import sys
import traceback
from collections.abc import Iterator

from headstart.system.credential_masking import masked
from headstart.system.printing.terminal_escaping import printable, without_commands
from headstart.system.resource_errors import exhausted
from headstart.types import OutcomeError, UserError

ELSEWHERE = "or write elsewhere: hydra.run.dir=<folder>, of a sweep hydra.sweep.dir=<folder>"

UNRESOLVED = ("InterpolationResolutionError", "InterpolationKeyError", "MissingMandatoryValue")  # OmegaConf's


def root_cause(error: BaseException) -> BaseException:
    """The exception of the callable itself, where Hydra's instantiate has wrapped it."""
    while type(error).__name__ == "InstantiationException" and error.__cause__ is not None:
        error = error.__cause__
    return error


def is_users(error: BaseException) -> bool:
    """Whether the user can mend it: a UserError, an interpolation without a value, a `_target_` that makes nothing."""
    cause = root_cause(error)
    named = type(cause).__name__  # by name: Hydra and OmegaConf need not be imported to tell
    return isinstance(cause, UserError) or named in ("InstantiationException", *UNRESOLVED)


def one_line(error: BaseException) -> str:
    """What an exception says, on one line; only a UserError may take several, as where it shows a table.

    Secrets are masked, and what a terminal would obey is written out.
    """
    return without_commands(masked(_told(error)))


def _told(error: BaseException) -> str:
    cause = root_cause(error)
    if isinstance(cause, UserError | OutcomeError):
        return str(cause)
    if told := exhausted(cause) or no_room(cause):
        return told
    text = _flat(str(cause))
    notes = [*getattr(cause, "__notes__", ()), *([str(error)] if cause is not error else [])]  # by Hydra, of its call
    key = re.search(r"full_key: (\S+)", notes[0] if notes else "")
    made = f" (while making {key[1]})" if key else ""
    return f"{type(cause).__name__}: {text}{made}" if text else f"{type(cause).__name__}{made}"


def show_trace(error: BaseException) -> None:
    """Print an exception's trace to stderr, secrets masked."""
    print(without_commands(masked("".join(traceback.format_exception(error)))), end="", file=sys.stderr)


def hydras_reason(error: BaseException) -> str:
    """What Hydra says about a command line that it cannot compose, on one line, its causes included."""
    if told := no_room(error) or unwritable(error):
        return told
    texts: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        text = _flat(str(seen).split("\nConfig search path:")[0])
        if text and not any(text in earlier for earlier in texts):
            texts.append(text)
        seen = seen.__cause__
    return masked(": ".join(texts)) or type(error).__name__


def no_room(error: BaseException) -> str:
    """What to do about a full disk, where an error or what caused it is one; else empty."""
    for system_error in _system_errors(error):
        if system_error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"no space is left on the disk to write {_file(system_error)}; make room, {ELSEWHERE}"
    return ""


def unwritable(error: BaseException) -> str:
    """The same about a folder that nothing can be written into, before a job has begun."""
    for system_error in _system_errors(error):
        if system_error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.ELOOP):
            return f"cannot write {_file(system_error)} ({system_error.strerror}); mend that, {ELSEWHERE}"
    return ""


def _system_errors(error: BaseException | None) -> Iterator[OSError]:
    while error is not None:
        if isinstance(error, OSError):
            yield error
        error = error.__cause__ or error.__context__


def _file(error: OSError) -> str:
    return "a file of the run" if error.filename is None else str(error.filename)


def say(text: str) -> None:
    """Print lines to stderr that begin with the command's name, secrets masked.

    Args:
        text: The lines.
    """
    # a name of a file or a value can hold what a terminal obeys
    print("\n".join(printable(line) for line in f"headstart: {masked(text)}".split("\n")), file=sys.stderr)


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
