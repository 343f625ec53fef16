"""Credentials in addresses, and the values of environment variables, kept out of what is written."""

from __future__ import annotations

import logging
import os
import re
import traceback
from collections.abc import Callable
from typing import Any

from headstart.system.printing.terminal_escaping import without_commands
from headstart.types import UserError

MASK = "***"
# user:password@ behind ://; a slash in a password should be written %2F, but need not be; host:8080/a@b has no password
_USER = re.compile(r"(?<=://)(?:[^\s/?#'\"]+@|[^\s/?#'\"@:]+:(?!\d+(?:[/?#]|$))[^\s'\"@,]+@)")
_WORD = r"[\w.%\[\]-]*"
_QUERY = re.compile(
    rf"(?<=[?&;#])({_WORD}(?:token|sig|secret|key|pass|pwd|auth|cred|session|jwt){_WORD}=)[^\s&#;'\",]+", re.IGNORECASE
)
_VARIABLE = re.compile(r"\$\{\s*oc\.env:\s*['\"]?([A-Za-z_]\w*)")
_OURS = "HEADSTART_"  # folders and switches of our own
_SHORTEST = 6  # characters of a value that is looked for: shorter ones are found in every other word
_values: dict[str, str] = {}  # value of a variable -> the interpolation that gives it


def without_credentials(text: str) -> str:
    """The text with *** for user names, passwords and tokens in the addresses in it."""
    return _QUERY.sub(rf"\1{MASK}", _USER.sub(f"{MASK}@", text))


def masked(text: str) -> str:
    """The same, and the interpolations themselves for the values of environment variables that a config reads."""
    text_left = without_credentials(text)
    for value in sorted(_values, key=len, reverse=True):
        text_left = text_left.replace(value, _values[value])
    return text_left


def masked_in(content: Any, *, without: frozenset[str] = frozenset()) -> Any:
    """The same in all texts of plain values, but for what lies under these keys; there only addresses are masked."""
    return _mapped(content, masked, without)


def _mapped(content: Any, change: Callable[[str], str], without: frozenset[str]) -> Any:
    if isinstance(content, dict):
        return {
            key: _mapped(child, without_credentials if key in without else change, without)
            for key, child in content.items()
        }
    if isinstance(content, list | tuple):
        return [_mapped(child, change, without) for child in content]
    return change(content) if isinstance(content, str) else content


def remember(config: Any) -> None:
    """Have the variables that a config reads (${oc.env:NAME}) masked from now on, in this process.

    config: its text, or its plain values with interpolations. Not masked are numbers, values of fewer than 6
    characters, and headstart's own variables.
    """
    for name in _VARIABLE.findall(str(config)):
        value = os.environ.get(name, "")
        if len(value) >= _SHORTEST and not name.startswith(_OURS) and not _is_number(value):
            _values[value] = f"${{oc.env:{name}}}"


def usable(address: str) -> str:
    """An address that is about to be opened. Raises UserError where its credentials were masked when it was saved."""
    if without_credentials(address) == address and MASK in address:
        raise UserError(
            f"{address} had a user name, a password or a token, which are not kept in a run's folder: put the address "
            "into an environment variable and write ${oc.env:NAME} in its place, then the run can be gone on with"
        )
    return address


def mask_logs() -> None:
    """Have every log record of this process masked, whoever makes it and wherever it goes.

    What a terminal would obey is escaped too: a class, a file or a run can be called by it.
    """
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Masking):
        logging.setLogRecordFactory(_Masking(make))


class _Masking:
    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **settings: Any) -> logging.LogRecord:
        record = self._make(*args, **settings)
        try:
            text = record.getMessage()
        except Exception:  # logging itself tells of arguments that do not fit
            return record
        if (hidden := without_commands(masked(text))) != text:
            record.msg, record.args = hidden, ()
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = masked("".join(traceback.format_exception(record.exc_info[1]))).rstrip("\n")
        return record


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
