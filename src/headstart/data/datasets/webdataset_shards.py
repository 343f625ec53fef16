"""Images in the shards of a WebDataset."""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from glob import glob
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from headstart.data.datasets.image_folder import Decoded, by_threads
from headstart.data.datasets.labelled_split import Labels
from headstart.data.decoding.file_listing import USUAL
from headstart.data.decoding.file_opening import regular
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.decoding.utf8_names import utf8
from headstart.system.command_permissions import permits
from headstart.system.credential_masking import usable
from headstart.system.name_listing import first_few
from headstart.system.setting_paths import given_path
from headstart.types import UserError

LISTED = 5  # shards or classes that an error names
META = re.compile(r"__[^/]*__($|/)")  # members that are no part of a sample, to webdataset too


class Sample(NamedTuple):
    """An image of a shard, as it is stored, and the word that says its class."""

    key: str
    image: bytes
    word: str


class Listed(NamedTuple):
    """The same without the image."""

    key: str
    word: str


@dataclass(frozen=True)
class Members:
    """Which files of a sample are its image and its class: by their extensions, in lower case.

    image_key: None = the first that is an image to Pillow. label_field: of a label in JSON, the field that holds the
    class; with dots for fields of fields.
    """

    image_key: str | None
    label_key: str
    label_field: str | None

    def sample(self, given: Mapping[str, Any], url: str) -> Sample:
        """A sample as webdataset groups it. Raises UserError where it has no image or no class."""
        image = self._image_key(given)
        if image is None:
            wanted = f"a member .{self.image_key}" if self.image_key else "an image"
            raise UserError(f"{_said(given, url)}, and {wanted} is needed; set image_key to what holds the image")
        return Sample(utf8(str(given["__key__"])), given[image], self.word(given, url))

    def word(self, given: Mapping[str, Any], url: str) -> str:
        """The class that a sample says. Raises UserError where it says none."""
        stored = given.get(self.label_key)
        if stored is None:
            raise UserError(
                f"{_said(given, url)}, and a member .{self.label_key} is needed for its class; set label_key (and "
                "label_field, where that is JSON)"
            )
        try:
            text = stored.decode("utf-8-sig").strip()
            found = _field(json.loads(text), self.label_field) if self._is_json else text
        except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
            field = f" with a field {self.label_field}" if self.label_field else ""
            what = f"JSON{field}" if self._is_json else "text"
            raise UserError(
                f"{_said(given, url)}, and .{self.label_key} is no {what} ({type(error).__name__}: {error}); set "
                "label_key and label_field"
            ) from error
        if not found or "\n" in found:
            raise UserError(f"{_said(given, url)}, and .{self.label_key} must hold one class, got {found[:40]!r}")
        return utf8(found)  # JSON may hold half a character

    @property
    def _is_json(self) -> bool:
        return self.label_field is not None or self.label_key.rpartition(".")[2] == "json"

    def is_label(self, member: str) -> bool:
        return member.lower().endswith(f".{self.label_key}")

    def _image_key(self, given: Mapping[str, Any]) -> str | None:
        if self.image_key is not None:
            return self.image_key if self.image_key in given else None
        return next((key for key in given if f".{key.rpartition('.')[2]}" in USUAL), None)


def shards_of(urls: str | Sequence[str], *, setting: str) -> tuple[str, ...]:
    """One URL a shard: braces are expanded, of local files * too; a folder is its *.tar files.

    Raises UserError where there is none, or files are missing.
    """
    library("webdataset")  # braceexpand comes with it
    expand = import_module("braceexpand").braceexpand
    found: list[str] = []
    for url in [urls] if isinstance(urls, str) else urls:
        given_path(url, setting)  # an empty one would mean the working folder
        for one in expand(url):
            _check_permitted(one)
            found += [one] if is_remote(one) else _files(one)
    missing = [one for one in found if not is_remote(one) and not _path(one).is_file()]
    if missing or not found:
        absent = f"; there is no {first_few(missing)}" if missing else ""
        raise UserError(f"{setting} must be tar files, as 'shards/train-{{000..009}}.tar', got {urls}{absent}")
    if twice := sorted({one for one in found if found.count(one) > 1}) if len(set(found)) < len(found) else []:
        raise UserError(f"{setting} must name each shard once, {', '.join(twice[:LISTED])} comes again")
    return tuple(found)


def is_remote(url: str) -> bool:
    """Whether it is no file of this machine: read from its beginning to its end only, and perhaps not for nothing."""
    return _runs_command(url) or ("://" in url and not url.startswith("file:"))


def _runs_command(url: str) -> bool:
    return urlsplit(url.strip()).scheme == "pipe"  # in lower case, as webdataset reads it


def _check_permitted(url: str) -> None:
    """Raise UserError where a shard is a command of the shell, and the command line has no --pipe."""
    if _runs_command(url) and not permits("--pipe"):
        raise UserError(
            f"{url} would run a command of the shell, which the command line alone can permit, no config: add --pipe"
        )


def samples(url: str, members: Members) -> Iterator[Sample]:
    """The samples of a shard from its first, as webdataset reads it: a file, http(s), s3, gs, `pipe:command`.

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
            for given in tar.group_by_keys(tar.tar_file_expander(iter([{"url": url, "stream": stream}]))):
                yield members.sample(given, url)
            is_over = True
        finally:
            if is_over:
                stream.close()  # says whether the command that made the stream has failed
            else:
                with suppress(OSError):  # it was broken off
                    stream.close()
    except (OSError, tarfile.TarError, ValueError, EOFError) as error:
        raise UserError(_unreadable(url, error)) from error


def listed(url: str, members: Members) -> list[Listed]:
    """What lies in a shard, in its order; of a local one, only headers and labels are read."""
    if is_remote(url):
        with closing(samples(url, members)) as found:  # type: ignore[type-var]  # a generator has close()
            return [Listed(one.key, one.word) for one in found]
    try:
        with tarfile.open(_path(url)) as tar:
            group = import_module("webdataset.tariterators").group_by_keys
            return [
                Listed(utf8(str(given["__key__"])), members.word(given, url)) for given in group(_labels(tar, members))
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
            held = json.loads(stream.read())
        pairs = (
            [(one["url"], one["nsamples"]) for one in held["shardlist"]] if "shardlist" in held else list(held.items())
        )
        counts = {_last(str(url)): int(count) for url, count in pairs} | {str(url): int(c) for url, c in pairs}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'index must be a JSON file as {{"train-000.tar": 1000, ...}} or as wids writes it, {file} is none '
            f"({type(error).__name__}: {error})"
        ) from error
    found = [counts.get(url, counts.get(_last(url))) for url in urls]
    if lacking := [url for url, count in zip(urls, found, strict=True) if count is None]:
        raise UserError(f"{file} must list each shard, it lacks {len(lacking)}: {', '.join(lacking[:LISTED])}")
    return tuple(count for count in found if count is not None)


@dataclass(frozen=True)
class Classes:
    """The classes' names; a word of a sample is one of them, or else its number among them."""

    names: tuple[str, ...]

    @classmethod
    def found(cls, words: Iterable[str]) -> Classes:
        """Of all words that there are: numbers in their order, else by the alphabet."""
        there = set(words)
        if all(word.isdecimal() for word in there):
            return cls(tuple(sorted(there, key=int)))
        return cls(tuple(sorted(there)))

    def number(self, word: str, where: str) -> int:
        """Raises UserError where it is no class."""
        try:
            return self._places[word]
        except KeyError:
            if word.isdecimal() and int(word) < len(self.names):
                return int(word)
        close = get_close_matches(word, self.names, n=1)
        listed = ", ".join(self.names[:LISTED]) + (", ..." if len(self.names) > LISTED else "")
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(
            f"{where} says the class {word!r}, which is none of the {len(self.names)} classes {listed}{hint}"
        )

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}


class InShards(Decoded):
    """Images of which one knows where they lie, read in the order of the shards as far as that is what is asked for.

    places (N, 2): of each image, its shard in urls and its number there. Whoever asks for positions that rise reads
    each shard once, others read it from its beginning again.
    """

    def __init__(
        self,
        urls: Sequence[str],
        places: NDArray[np.int64],
        names: list[str],
        label: Labels,
        *,
        members: Members,
        decoder: Decoder,
        kept_images: int = 0,
    ) -> None:
        super().__init__(label, decoder=decoder, kept_images=kept_images)
        self.urls, self.places, self.names, self.members = urls, places, names, members
        self._reader = Reader(urls, members)

    def taken(self, order: NDArray[np.int64]) -> InShards:
        """The images at these positions, in this order."""
        names = [self.names[position] for position in order.tolist()]
        return InShards(
            self.urls, self.places[order], names, self.label[order],
            members=self.members, decoder=self.decoder, kept_images=min(self._kept.count, len(names)),
        )  # fmt: skip

    def contents(self) -> list[str]:
        raise NotImplementedError("to know what a stream holds, all of it would have to be read")

    def _decoded(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        places = self.places[positions]
        order = np.lexsort((places[:, 1], places[:, 0]))
        found = [self._reader.at(int(shard), int(number)) for shard, number in places[order].tolist()]
        names = [self.names[position] for position in positions[order].tolist()]
        decoded = by_threads(lambda one: self.decoder.of_bytes(*one), list(zip(found, names, strict=True)))
        image = np.empty((len(positions), *decoded[0].shape), np.uint8)
        image[order] = np.stack(decoded)
        return image


class Reader:
    """Where a process is in a shard that it reads; another process that gets it begins anew."""

    def __init__(self, urls: Sequence[str], members: Members) -> None:
        self.urls, self.members = urls, members
        self._shard, self._next = -1, 0
        self._found: Iterator[Sample] = iter(())
        self._process = -1

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_shard": -1, "_found": iter(()), "_process": -1}

    def at(self, shard: int, number: int) -> bytes:
        """The image of that number in a shard. Raises UserError where there are fewer."""
        if (self._shard, self._process) != (
            shard,
            os.getpid(),
        ) or self._next > number:  # a fork shares the file's place
            self._shard, self._next, self._process = shard, 0, os.getpid()
            self._found = samples(self.urls[shard], self.members)
        for one in self._found:
            self._next += 1
            if self._next > number:
                return one.image
        self._shard = -1
        raise UserError(f"{self.urls[shard]} held more than {number} images before, and has {self._next} now")


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


def _labels(tar: tarfile.TarFile, members: Members) -> Iterator[dict[str, Any]]:
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


def _field(held: Any, field: str | None) -> str:
    for name in field.split(".") if field else ():
        held = held[name]
    if isinstance(held, bool) or not isinstance(held, str | int):
        raise ValueError(f"{field or 'it'} is {type(held).__name__}, not a word or a whole number")
    return str(held).strip()


def _said(given: Mapping[str, Any], url: str) -> str:
    there = ", ".join(f".{key}" for key in given if not key.startswith("__")) or "none"
    return f"sample {given['__key__']} of {url} has the members {there}"


def _unreadable(url: str, error: Exception) -> str:
    said = str(error).strip().splitlines()
    hint = "is there a network, and is that its address?" if is_remote(url) else "is it a whole tar file?"
    return f"the shard {url} cannot be read ({type(error).__name__}{f': {said[0][:200]}' if said else ''}); {hint}"
