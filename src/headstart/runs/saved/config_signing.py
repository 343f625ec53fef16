"""Signatures by which a user's own runs are told from those of other people."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

log = logging.getLogger(__name__)
BYTES = 32  # of a key
PURPOSE = b"headstart config 1\n"


def key_file() -> Path:
    """Where this user's key lies: headstart/signing.key in XDG_CONFIG_HOME, else in ~/.config."""
    config_home = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    folder = (
        config_home if config_home.is_absolute() else Path.home() / ".config"
    )  # the XDG specification ignores relative paths
    return folder / "headstart" / "signing.key"


def sign(config: Path) -> None:
    """Write <name>.signature beside a config that this user's command has composed.

    The key is made when the first config is signed. Where it cannot be had, a warning says so once for a process,
    and the config stays unsigned.
    """
    file, key = _signature_file(config), _key(make=True)
    with suppress(OSError):  # the folder of a run that is only read
        if key is None:
            unsign(config)
        else:
            file.write_text(f"{_name(key)} {_digest(key, config.read_bytes())}\n", encoding="ascii")


def unsign(config: Path) -> None:
    """Take away the signature of a config that was there before."""
    _signature_file(config).unlink(missing_ok=True)


def signed(config: Path, content: bytes) -> Literal["own", "changed", "unknown"]:
    """Whose config it is: `own`, this user's; `changed`, no longer what this user's key has signed; else `unknown`.

    content: the bytes that were read from the file, so that what is checked is what is used.
    """
    key = _key(make=False)
    try:
        name, _, digest = _signature_file(config).read_text(encoding="ascii").strip().partition(" ")
    except (OSError, UnicodeDecodeError):
        return "unknown"
    if key is None or name != _name(key):
        return "unknown"
    return "own" if hmac.compare_digest(digest, _digest(key, content)) else "changed"


def _signature_file(config: Path) -> Path:
    return config.with_suffix(".signature")


def _name(key: bytes) -> str:
    """What tells keys apart and says nothing about them."""
    return hashlib.sha256(b"name of " + PURPOSE + key).hexdigest()[:16]


def _digest(key: bytes, content: bytes) -> str:
    return hmac.new(key, PURPOSE + content, hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes | None:
    """This user's key; None where there is none and it is not, or cannot be, made."""
    try:
        file = key_file()
        if make and not file.exists():
            _make(file)
        key = bytes.fromhex(file.read_text(encoding="ascii"))
        if len(key) < BYTES:
            raise ValueError(f"it must have {2 * BYTES} hexadecimal digits")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: there is no home folder
        _tell(str(error))
        return None
    return key


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(BYTES))
        try:
            os.link(partial, file)
        except FileExistsError:  # another process was faster: there is one key
            pass
        except OSError:  # a file system without hard links
            partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


@cache  # once for a process, not once for each job of a sweep
def _tell(reason: str) -> None:
    log.warning(
        "runs cannot be signed as your own (%s): commands that read a run's folder will ask for --trust where it names "
        "parts that headstart does not ship; XDG_CONFIG_HOME=<a folder that can be written> mends it",
        reason,
    )
