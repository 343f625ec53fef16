"""Downloads of weight files, checked and cached."""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import torch
from tqdm import tqdm

from headstart.system.files.file_lock import locked
from headstart.types import UserError

log = logging.getLogger(__name__)
# in the name of a file, the beginning of its SHA-256; eight digits that are a date are none
HASH = re.compile(r"-(?!(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\.)([0-9a-f]{8,64})\.")
CHUNK = 2**20  # bytes
STALLED_S = 60  # without a byte
PAGE = (b"<!doctype html", b"<html")  # how what a browser shows begins


def fetched(url: str, *, file: Path | None = None, sha256: str | None = None) -> Path:
    """The file of a URL, downloaded unless it is there; one process of a machine downloads, the others wait.

    A file that is there already is taken as it is.

    Args:
        url: Its address.
        file: Its place; None means torch's cache (TORCH_HOME), under its own name.
        sha256: Of the file; None takes what its name says, if it does.

    Raises:
        UserError: It cannot be downloaded, or its SHA-256 differs.
    """
    file = file or cache() / urlsplit(url).path.rpartition("/")[2]
    if file.is_file():
        return file
    in_name = HASH.search(file.name)
    wanted = sha256 or (in_name[1] if in_name else None)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(Path(f"{file}.lock"), busy=lambda: _tell_waiting(file), doing=f"downloads {file.name}"):
            if not file.is_file():  # no other process was faster
                _download(url, file, wanted, why="weights.sha256" if sha256 else "its name")
    except (OSError, HTTPException, ValueError) as error:  # no network, a full disk, no answer of HTTP's, no URL
        raise UserError(
            f"cannot download {url} ({error}); without network download it elsewhere and put the file here by hand, as "
            f"{file}, or take weights=file weights.path=<a file of such weights>"
        ) from error
    return file


def _tell_waiting(file: Path) -> None:
    log.info("waiting for %s, which another process downloads", file.name)


def cache() -> Path:
    """Where torch keeps what it downloads."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def cached_place(url: str) -> Path:
    """Where the file of any URL lies in torch's cache: files of one name from two servers may be two files.

    A name that holds a hash says what is in the file, so that it lies where torch's own downloads do.
    """
    name = urlsplit(url).path.rpartition("/")[2]
    if HASH.search(name):
        return cache() / name
    return cache() / "by_url" / hashlib.sha256(url.encode()).hexdigest()[:16] / name


def _download(url: str, file: Path, wanted: str | None, *, why: str) -> None:
    """Write what a URL gives; under the file's own name once it is whole. wanted: how its SHA-256 begins."""
    for dead in file.parent.glob(f"{_literal(file.name)}.*.partial"):  # of a process that was killed
        dead.unlink(missing_ok=True)
    partial = file.with_name(f"{file.name}.{uuid4().hex}.partial")
    log.info("downloading %s", url)
    digest, size = hashlib.sha256(), 0
    try:
        request = Request(url, headers={"User-Agent": "headstart"})
        with urlopen(request, timeout=STALLED_S) as answer, partial.open("xb") as out:
            length = answer.headers.get("Content-Length")
            expected = int(length) if length and not answer.headers.get("Content-Encoding") else None
            with tqdm(
                total=expected, desc=file.name, unit="B", unit_scale=True, unit_divisor=1024,
                disable=not sys.stderr.isatty(),
            ) as bar:  # fmt: skip
                while chunk := answer.read(CHUNK):
                    if not size and chunk.lstrip()[:20].lower().startswith(PAGE):
                        raise ValueError("that is a web page about the file, not the file; where is its download link?")
                    out.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    bar.update(len(chunk))
        if expected is not None and size != expected:
            raise ValueError(f"{size} of {expected} bytes came")
        if wanted and not digest.hexdigest().startswith(wanted):
            raise ValueError(f"its SHA-256 is {digest.hexdigest()}, but {why} says {wanted}")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _literal(name: str) -> str:
    """The pattern of glob that this name alone fits."""
    return re.sub(r"([*?\[])", r"[\1]", name)
