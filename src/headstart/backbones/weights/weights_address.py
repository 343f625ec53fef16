"""The place that a weights.path names: a file, an address, the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from headstart.system.credential_masking import usable
from headstart.system.files.setting_paths import given_path
from headstart.types import UserError

SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/")  # two letters at least: C:/ is a drive
NAME = re.compile(r"[\w.-]+")
EXAMPLES = "weights.pth, https://host/weights.pth or hf://org/name/model.safetensors"


@dataclass(frozen=True)
class Url:
    """An address by HTTP or HTTPS."""

    text: str

    @property
    def name(self) -> str:
        """What the file is called there."""
        return urlsplit(self.text).path.rpartition("/")[2]


@dataclass(frozen=True)
class OnHub:
    """A file of a repository of the Hugging Face Hub."""

    repo: str  # org/name
    revision: str | None  # a branch, tag or commit; None = the main branch
    file: str | None  # its path in the repository; None = the one file of weights there


def address_of(path: str) -> Path | Url | OnHub:
    """The place that a text names: a path (file:///... too), http(s)://..., or hf://org/name[@revision][/file].

    Raises UserError for another scheme, and for an address that names no file.
    """
    scheme = SCHEME.match(usable(path))
    if scheme is None:
        return given_path(path, "weights.path")
    kind = scheme[1].lower()
    if not path[len(kind) :].startswith("://"):
        raise UserError(f"weights.path={path} has one slash behind {kind}: where two are needed; try {EXAMPLES}")
    if kind == "file":
        return Path(url2pathname(urlsplit(path).path))
    if kind in ("http", "https"):
        url = Url(path)
        if not urlsplit(path).hostname or url.name in ("", ".", ".."):
            raise UserError(f"weights.path={path} names no file of a server; try {EXAMPLES}")
        return url
    if kind == "hf":
        return _on_hub(path)
    raise UserError(f"weights.path must be a file, http(s)://..., file:///... or hf://..., got {path}; try {EXAMPLES}")


def _on_hub(path: str) -> OnHub:
    org, _, rest = path.partition("://")[2].partition("/")
    repo, _, file = rest.partition("/")
    name, at, revision = repo.partition("@")
    revision = unquote(revision)  # refs%2Fpr%2F1 is the branch refs/pr/1
    if not (NAME.fullmatch(org) and NAME.fullmatch(name)) or (at and not revision):
        raise UserError(
            f"weights.path must be hf://<org>/<name>, hf://<org>/<name>/<file> or hf://<org>/<name>@<revision>/<file>, "
            f"got {path}"
        )
    return OnHub(f"{org}/{name}", revision or None, file or None)
