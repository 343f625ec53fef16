"""Shards of a WebDataset: their URLs, and the samples that lie in them."""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from glob import glob
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from headstart.data.decoding.file_opening import regular
from headstart.data.decoding.utf8_names import utf8
from headstart.data.webdataset.shard_samples import Sample, SampleLabel, SampleMembers
from headstart.system.credential_masking import usable
from headstart.system.files.setting_paths import given_path
from headstart.system.printing.name_listing import first_few
from headstart.system.trust_flags import permits
from headstart.types import UserError

LISTED = 5  # shards that an error names
META = re.compile(r"__[^/]*__($|/)")  # members that are no part of a sample, to webdataset too


def shards_of(urls: str | Sequence[str], *, setting: str) -> tuple[str, ...]:
    """One URL a shard: braces are expanded, of local files * too; a folder is its *.tar files.

    Raises UserError where there is none, or files are missing.
    """
    library("webdataset")  # braceexpand comes with it
    expand = import_module("braceexpand").braceexpand
    shards: list[str] = []
    for url in [urls] if isinstance(urls, str) else urls:
        given_path(url, setting)  # an empty one would mean the working folder
        for shard in expand(url):
            _check_permitted(shard)
            _check_readable(shard)
            shards += [shard] if is_remote(shard) else _files(shard)
    missing = [shard for shard in shards if not is_remote(shard) and not _path(shard).is_file()]
    if missing or not shards:
        absent = f"; there is no {first_few(missing)}" if missing else ""
        raise UserError(f"{setting} must be tar files, as 'shards/train-{{000..009}}.tar', got {urls}{absent}")
    if (
        twice := sorted({shard for shard in shards if shards.count(shard) > 1})
        if len(set(shards)) < len(shards)
        else []
    ):
        raise UserError(f"{setting} must name each shard once, {', '.join(twice[:LISTED])} comes again")
    return tuple(shards)


def is_remote(url: str) -> bool:
    """Whether it is no file of this machine: read from its beginning to its end only, and perhaps not for nothing."""
    return _runs_command(url) or ("://" in url and not url.startswith("file:"))


def local_files(urls: Iterable[str]) -> list[Path]:
    """The files of the shards that are no remote ones."""
    return [_path(url) for url in urls if not is_remote(url)]


def _runs_command(url: str) -> bool:
    return urlsplit(url.strip()).scheme == "pipe"  # in lower case, as webdataset reads it


def _check_permitted(url: str) -> None:
    """Raise UserError where a shard is a command of the shell, and the command line has no --pipe."""
    if _runs_command(url) and not permits("--pipe"):
        raise UserError(
            f"{url} would run a command of the shell, which the command line alone can permit, no config: add --pipe"
        )


def _check_readable(url: str) -> None:
    """Raise UserError where webdataset knows no way to read addresses of this kind, such as s3."""
    scheme = urlsplit(url.strip()).scheme
    known = import_module("webdataset.gopen").gopen_schemes
    if is_remote(url) and scheme not in known:
        copy = "aws s3 cp" if scheme == "s3" else "<a command that copies>"
        reads = ", ".join(sorted(known.keys() - {"__default__"}))
        raise UserError(
            f"webdataset cannot read {scheme}: addresses, it reads {reads}; got {url}; try 'pipe:{copy} {url} -' with "
            "--pipe"
        )


def samples(url: str, members: SampleMembers) -> Iterator[Sample]:
    """The samples of a shard from its first, as webdataset reads it: a file, http(s), gs, `pipe:command`.

    Raises UserError where it cannot be read, or a sample has no image or no class.
    """
    library("webdataset")
    _check_permitted(usable(url))
    opened = import_module("webdataset.gopen").gopen
    tar = import_module("webdataset.tariterators")
    is_over = False
    try:
        stream = opened(url) if is_remote(url) else _path(url).open("rb")
        try:
            for members_read in tar.group_by_keys(tar.tar_file_expander(iter([{"url": url, "stream": stream}]))):
                yield members.sample(members_read, url)
            is_over = True
        finally:
            if is_over:
                stream.close()  # says whether the command that made the stream has failed
            else:
                with suppress(OSError):  # it was broken off
                    stream.close()
    except (OSError, tarfile.TarError, ValueError, EOFError) as error:
        raise UserError(_unreadable(url, error)) from error


def listed(url: str, members: SampleMembers) -> list[SampleLabel]:
    """What lies in a shard, in its order; of a local one, only headers and labels are read."""
    if is_remote(url):
        with closing(samples(url, members)) as stream:  # type: ignore[type-var]  # a generator has close()
            return [SampleLabel(sample.key, sample.word) for sample in stream]
    try:
        with tarfile.open(_path(url)) as tar:
            group = import_module("webdataset.tariterators").group_by_keys
            return [
                SampleLabel(utf8(str(members_read["__key__"])), members.word(members_read, url))
                for members_read in group(_labels(tar, members))
            ]
    except (OSError, tarfile.TarError, ValueError, EOFError) as error:
        raise UserError(_unreadable(url, error)) from error


def indexed(file: Path, urls: Sequence[str]) -> tuple[int, ...]:
    """The number of samples in each shard, as a JSON file says: {"shardlist": [{"url": .., "nsamples": ..}]} as wids
    writes it, or {shard: number}; shards by their URL or its last part.

    Raises UserError where it is no such file, or lacks a shard.
    """
    try:
        with regular(file) as stream:
            content = json.loads(stream.read())
        pairs = (
            [(entry["url"], entry["nsamples"]) for entry in content["shardlist"]]
            if "shardlist" in content
            else list(content.items())
        )
        counts = {_last(str(url)): int(count) for url, count in pairs} | {str(url): int(c) for url, c in pairs}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'index must be a JSON file as {{"train-000.tar": 1000, ...}} or as wids writes it, {file} is none '
            f"({type(error).__name__}: {error})"
        ) from error
    images = [counts.get(url, counts.get(_last(url))) for url in urls]
    if lacking := [url for url, count in zip(urls, images, strict=True) if count is None]:
        raise UserError(f"{file} must list each shard, it lacks {len(lacking)}: {', '.join(lacking[:LISTED])}")
    return tuple(count for count in images if count is not None)


def name_of(url: str, key: str) -> str:
    """What an image is called: the last part of its shard's URL, and its key."""
    return f"{_last(url)}:{key}"


def library(name: str) -> Any:
    """The optional library. Raises UserError where it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"for shards of a WebDataset, the library {name} is needed, and it is not installed: "
            "pip install 'headstart[webdataset]'"
        ) from error


def _labels(tar: tarfile.TarFile, members: SampleMembers) -> Iterator[dict[str, Any]]:
    """What webdataset would yield of a tar file, without the bytes of what is no label.

    Raises ReadError where the file is cut off, of which tarfile says nothing.
    """
    end = 0
    for member in tar:
        end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        if not member.isreg() or META.match(member.name):
            continue
        label = tar.extractfile(member) if members.is_label(member.name) else None
        yield {"fname": member.name, "data": label.read() if label is not None else b"", "__url__": ""}
    file: Any = tar.fileobj  # typeshed knows less of it than there is
    left = file.seek(0, os.SEEK_END) - end
    if left < 0 or left % tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it is cut off")


def _files(pattern: str) -> list[str]:
    path = _path(pattern)
    if path.is_dir():
        return [str(file) for file in sorted(path.glob("*.tar"))]
    return sorted(glob(str(path))) if glob(str(path)) else [str(path)]  # noqa: PTH207 - patterns may be absolute


def _path(url: str) -> Path:
    return Path(url.removeprefix("file://").removeprefix("file:")).expanduser()


def _last(url: str) -> str:
    return PurePosixPath(url.split()[-1].partition("?")[0]).name


def _unreadable(url: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()
    hint = "is there a network, and is that its address?" if is_remote(url) else "is it a whole tar file?"
    return f"the shard {url} cannot be read ({type(error).__name__}{f': {reason[0][:200]}' if reason else ''}); {hint}"
