"""Images and labels of a data set of Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from io import SEEK_CUR, SEEK_END, SEEK_SET, BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from typing import IO, Annotated, Any, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Interval
from numpy.typing import NDArray

from headstart.data.datasets.image_folder import ALSO_CALLED, Found, ListedImages, digest_of
from headstart.data.decoding.file_checks import Header, header
from headstart.data.decoding.file_opening import regular
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.transforms.augmentation import Augmentation
from headstart.system.setting_paths import given_path
from headstart.types import SPLITS, Pixels, UserError

LISTED = 5  # rows, classes or columns that an error names
SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk leaves in a folder
PACKAGED = {".parquet": "parquet", ".arrow": "arrow"}  # single files, and what reads them
LABELS = ("label", "labels")  # columns that hold the class though their type does not say so

Rows = Any  # a datasets.Dataset: the library is optional, and has no types that strict mypy takes


class HuggingFace(ListedImages):
    """A data set of images and labels as the library `datasets` reads it, its images decoded as image files are.

    path: an id of the hub, a folder as load_dataset takes it (Parquet, Arrow, images), one of save_to_disk, or one
    Parquet or Arrow file. name: of its configuration. revision: of a data set of the hub, None = the newest.
    train_split, val_split, test_split: what they are called there, slices as `train[:10%]` too; None = those that are
    called so (validation and valid are val), and a lone split is train. What is missing is taken from what there is,
    class by class, as headstart.data.splits.class_division says; a split in which no row has a label counts as missing.
    image_column, label_column: None = the only column of images, the only one of classes or the one called label.
    Words become classes in the order of the alphabet, numbers in theirs; classes without any image are left out.
    group_column: that of what the image belongs to, say a patient, all of which stays in one split. The other arguments
    are ImageFolder's.

    Raises UserError where the library is not installed, there is no such data set, configuration, split or column, it
    cannot be had, or rows have no label; as ListedImages.
    """

    def __init__(
        self,
        *,
        path: str,
        name: str | None,
        revision: str | None,
        train_split: str | None,
        val_split: str | None,
        test_split: str | None,
        image_column: str | None,
        label_column: str | None,
        group_column: str | None,
        shots: Annotated[int, Ge(1)] | None,
        val_shots: Annotated[int, Ge(0)] | None,
        fraction: Annotated[float, Interval(gt=0, le=1)] | None,
        fold: Annotated[int, Ge(0)] | None,
        folds: Annotated[int, Ge(2)],
        val_share: Annotated[float, Interval(gt=0, lt=1)],
        test_share: Annotated[float, Interval(gt=0, lt=1)],
        unreadable: Literal["error", "skip"],
        leakage: Literal["error", "allow", "near"],
        resize: Annotated[int, Ge(1)] | None,
        decode: Literal["reduced", "full"],
        value_range: tuple[float, float] | None,
        background: Annotated[int, Interval(ge=0, le=255)],
        max_pixels: Annotated[int, Ge(1)],
        cache_gib: Annotated[float, Ge(0)],
        batch_size: Annotated[int, Ge(1)],
        num_workers: Annotated[int, Ge(0)] | Literal["auto"],
        augment: Augmentation | None,
        sampler: Literal["balanced"] | None,
        pixels: Pixels,
        seed: Annotated[int, Ge(0)],
    ) -> None:
        wanted = {"train": train_split, "val": val_split, "test": test_split}
        place = given_path(path, "path")
        splits = _splits(path, name=name, revision=revision, wanted=wanted)
        features = next(iter(splits.values())).features
        columns = columns_of(features, image=image_column, label=label_column, path=path)
        found = classes_of(
            {split: _labels(rows, columns.label) for split, rows in splits.items()},
            names=getattr(features[columns.label], "names", None),
            asked=[split for split, said in wanted.items() if said is not None],
            path=path,
        )
        self._records = Records(path, {split: _images(splits[split], columns.image, path) for split in found})
        super().__init__(
            root=place,
            found=found,
            groups=None if group_column is None else groups_of(splits, found, column=group_column, path=path),
            source=path,
            shots=shots,
            val_shots=val_shots,
            fraction=fraction,
            fold=fold,
            folds=folds,
            val_share=val_share,
            test_share=test_share,
            unreadable=unreadable,
            leakage=leakage,
            resize=resize,
            decode=decode,
            value_range=value_range,
            background=background,
            max_pixels=max_pixels,
            cache_gib=cache_gib,
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            sampler=sampler,
            pixels=pixels,
            seed=seed,
        )

    @property
    def storage(self) -> Records:
        return self._records


@dataclass(frozen=True)
class Records:
    """Images in the rows of Arrow tables, which are mapped from files and pickled as their names.

    path: of the data set, for messages. images: split -> a data set of one column of {bytes, path}. A name is the
    split and the row, as named() writes it; where a row holds no bytes, the file of its path is read.
    """

    path: str
    images: Mapping[str, Rows]

    def header(self, name: str, max_pixels: int) -> Header | str:
        try:
            return header(self._file(name), max_pixels)
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"

    def read(self, name: str) -> bytes:
        file = self._file(name)
        with regular(file) if isinstance(file, Path) else file as stream:
            return stream.read()

    def digest(self, name: str, how: bytes) -> str:
        return digest_of(self.read(name), how)

    def decoded(self, name: str, decoder: Decoder) -> NDArray[np.uint8]:
        try:
            stored = self.read(name)
        except (OSError, ValueError) as error:
            raise UserError(f"{name} of {self.path} cannot be read ({type(error).__name__}: {error})") from error
        return decoder.of_bytes(stored, f"{name} of {self.path}")

    def _file(self, name: str) -> Path | IO[bytes]:
        """The image's file; of bytes in a row, none is copied. Raises ValueError where the row has neither."""
        split, row = name.split("/")
        cell = self.images[split].data.column(0)[int(row)]  # a row asked for otherwise takes ten times as long
        if cell.is_valid and cell["bytes"].is_valid:
            return BufferedReader(_Mapped(memoryview(cell["bytes"].as_buffer()).cast("B")))
        if not cell.is_valid or not cell["path"].is_valid:
            raise ValueError("the row holds no image")
        path = cell["path"].as_py()
        if "://" not in path:
            return Path(path)
        with import_module("fsspec").open(path, "rb") as file:  # in an archive, or elsewhere
            return BytesIO(file.read())


class _Mapped(RawIOBase):
    """Bytes that are mapped from a file, as a stream; pyarrow's own has no readline(), which Pillow asks for."""

    def __init__(self, stored: memoryview) -> None:
        self._stored, self._at = stored, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        self._at = max(0, offset + {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: len(self._stored)}[whence])
        return self._at

    def readinto(self, into: Any) -> int:
        part = self._stored[self._at : self._at + len(into)]
        into[: len(part)] = part
        self._at += len(part)
        return len(part)


class Columns(NamedTuple):
    """Where a row has its image and its class."""

    image: str
    label: str


def named(split: str, row: int) -> str:
    """What an image is called."""
    return f"{split}/{row:07}"


def columns_of(features: Mapping[str, Any], *, image: str | None, label: str | None, path: str) -> Columns:
    """The columns that are named, or the only ones that their types allow. Raises UserError."""
    there = ", ".join(f"{column} ({_kind(feature)})" for column, feature in features.items())
    for asked, setting in ((image, "image_column"), (label, "label_column")):
        if asked is not None and asked not in features:
            close = get_close_matches(asked, list(features), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"{setting} must be a column of {path}, got {asked!r}; it has {there}{hint}")
    kinds = {column: _kind(feature) for column, feature in features.items()}
    if image is None:
        image = _only([column for column, kind in kinds.items() if kind == "Image"], "image", path, there)
    if label is None:
        classes = [column for column, kind in kinds.items() if kind == "ClassLabel"]
        label = _only(classes or [column for column in LABELS if column in kinds], "label", path, there)
    if kinds[label] != "ClassLabel" and not kinds[label].startswith(("string", "large_string", "int", "uint", "bool")):
        raise UserError(
            f"the class must be a ClassLabel, a word or a whole number, {label} of {path} is {kinds[label]}; "
            f"it has {there}; set target.label_column"
        )
    return Columns(image, label)


def _only(fit: Sequence[str], what: str, path: str, there: str) -> str:
    if len(fit) != 1:
        many = f"{len(fit)} columns could be the {what}" if fit else f"no column is the {what} by its type"
        raise UserError(f"{many}: {path} has {there}; name it by target.{what}_column")
    return fit[0]


def _kind(feature: Any) -> str:
    """`Image`, `ClassLabel`, or the type of a value as `string` and `int64`."""
    return str(getattr(feature, "dtype", None) if type(feature).__name__ == "Value" else type(feature).__name__)


def classes_of(
    labels: Mapping[str, Sequence[str | int | None]], *, names: Sequence[str] | None, asked: Sequence[str], path: str
) -> dict[str, Found]:
    """Split -> class -> the names of its images. names: of a ClassLabel, whose rows hold numbers, of which -1 is none.

    asked: the splits that somebody chose. Raises UserError where rows have no label.
    """
    lacking = {split: [row for row, one in enumerate(of) if one is None or one == ""] for split, of in labels.items()}
    if names is not None:
        lacking |= {
            split: [row for row, one in enumerate(of) if not isinstance(one, int) or not 0 <= one < len(names)]
            for split, of in labels.items()
        }
    found: dict[str, Found] = {}
    for split, of in labels.items():
        if len(lacking[split]) == len(of) and split not in ("train", *asked) and len(labels) > 1:
            continue  # a test whose labels only its makers have
        if lacking[split]:
            rows = ", ".join(map(str, lacking[split][:LISTED]))
            raise UserError(
                f"each row of {path} must have a label, {len(lacking[split])} of {len(of)} in {split} have none: rows "
                f"{rows}{', ...' if len(lacking[split]) > LISTED else ''}; take other splits or another label_column"
            )
        rows_of: dict[Any, list[str]] = {}
        for row, one in enumerate(of):
            rows_of.setdefault(one, []).append(named(split, row))
        said = names or ()
        found[split] = {
            str(said[one]) if names is not None else str(one): rows_of[one] for one in sorted(rows_of, key=_order)
        }
    return found


def _order(label: str | int) -> tuple[bool, int, str]:
    """Numbers by their size, then words by the alphabet."""
    return (True, 0, label) if isinstance(label, str) else (False, label, "")


def groups_of(splits: Mapping[str, Rows], found: Mapping[str, Found], *, column: str, path: str) -> dict[str, str]:
    """The name of each image that was found -> what its row has in a column. Raises UserError where it has nothing."""
    groups: dict[str, str] = {}
    for split in found:
        rows = splits[split]
        if column not in rows.features:
            close = get_close_matches(column, list(rows.features), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(
                f"group_column must be a column of {path}, got {column!r}; {split} has {', '.join(rows.features)}{hint}"
            )
        said = ["" if one is None else str(one).strip() for one in rows.data.column(column).to_pylist()]
        if lacking := [row for row, one in enumerate(said) if not one]:
            raise UserError(
                f"each row of {path} must have a group, {len(lacking)} of {len(said)} in {split} have none: rows "
                f"{', '.join(map(str, lacking[:LISTED]))}{', ...' if len(lacking) > LISTED else ''}; take another "
                "group_column"
            )
        groups |= {named(split, row): one for row, one in enumerate(said)}
    return groups


def _labels(rows: Rows, column: str) -> list[str | int | None]:
    if column not in rows.features:
        raise UserError(f"all splits must have the column {column}, got one with {', '.join(rows.features)}")
    labels: list[str | int | None] = rows.data.column(column).to_pylist()
    return [one.strip() if isinstance(one, str) else one for one in labels]


def _images(rows: Rows, column: str, path: str) -> Rows:
    """The column of images as {bytes, path}, undecoded. Raises UserError where it cannot be that."""
    datasets = _library()
    try:
        return rows.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    except (TypeError, ValueError, NotImplementedError, KeyError) as error:
        raise UserError(
            f"image_column must hold image files, {column} of {path} holds {_kind(rows.features[column])} ({error}); "
            f"it has the columns {', '.join(rows.features)}"
        ) from error


def _splits(path: str, *, name: str | None, revision: str | None, wanted: Mapping[str, str | None]) -> dict[str, Rows]:
    """Those of train, val and test that are there. Raises UserError, as HuggingFace says."""
    datasets = _library()
    place = Path(path).expanduser()
    if place.exists() and revision is not None:
        raise UserError(f"revision is of a data set of the hub, {path} lies on this machine; set target.revision=null")
    try:
        if any((place / file).is_file() for file in SAVED):
            return _saved(datasets.load_from_disk(str(place)), path, wanted, datasets)
        return _built(datasets, place, path, name=name, revision=revision, wanted=wanted)
    except UserError:
        raise
    except Exception as error:  # the library, its hub client and its HTTP client raise errors of their own
        raise UserError(_why(path, name, revision, error)) from error


def _built(
    datasets: Any, place: Path, path: str, *, name: str | None, revision: str | None, wanted: Mapping[str, str | None]
) -> dict[str, Rows]:
    """As load_dataset reads it, the splits asked of the builder, so that slices of them can be asked for."""
    if place.is_file():
        kind = PACKAGED.get(place.suffix.lower())
        if kind is None:
            raise UserError(
                f"path must be a data set of the hub, a folder, or a {' or '.join(PACKAGED)} file, got {path}"
            )
        builder = datasets.load_dataset_builder(kind, name=name, data_files={"train": str(place)})
    else:
        found = str(place) if place.is_dir() else path
        builder = datasets.load_dataset_builder(found, name=name, revision=revision)
    builder.download_and_prepare()
    chosen = chosen_splits(list(builder.info.splits), wanted, path)
    return {split: builder.as_dataset(split=said) for split, said in chosen.items()}


def _saved(held: Rows, path: str, wanted: Mapping[str, str | None], datasets: Any) -> dict[str, Rows]:
    """What save_to_disk wrote: a data set, or one for each split."""
    of = dict(held) if isinstance(held, datasets.DatasetDict) else {str(held.split or "train"): held}
    chosen = chosen_splits(list(of), wanted, path)
    if sliced := [said for said in chosen.values() if said not in of]:
        raise UserError(
            f"splits of a folder of save_to_disk must be whole, one of {', '.join(of)}, got {', '.join(sliced)}"
        )
    return {split: of[said] for split, said in chosen.items()}


def chosen_splits(there: Sequence[str], wanted: Mapping[str, str | None], path: str) -> dict[str, str]:
    """train, val, test -> what each is called, where there is one. Raises UserError where there is none."""
    chosen: dict[str, str] = {}
    for split in SPLITS:
        said = wanted[split]
        if said is None:
            called = [one for one in there if ALSO_CALLED.get(one, one) == split and one not in wanted.values()]
            if called:
                chosen[split] = called[0]
            continue
        for part in said.split("+"):
            if (plain := part.partition("[")[0].strip()) not in there:
                close = get_close_matches(plain, there, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise UserError(f"{split}_split must be of {', '.join(there)}, got {said!r}{hint}")
        chosen[split] = said
    if len(there) == 1 and "train" not in chosen and not any(wanted.values()):
        return {"train": there[0]}
    if not chosen:
        raise UserError(f"none of the splits of {path} is called train, it has {', '.join(there)}; set train_split")
    return chosen


def _why(path: str, name: str | None, revision: str | None, error: Exception) -> str:
    """Why there is no such data set, and what to try."""
    what = f"{path}{f' (configuration {name})' if name else ''}{f' (revision {revision})' if revision else ''}"
    said = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
    if import_module("datasets.config").HF_HUB_OFFLINE:
        hint = (
            "HF_HUB_OFFLINE is set, and it is neither a folder here nor among what was fetched before (HF_HOME); "
            "unset it, or give a folder"
        )
    elif isinstance(error, ConnectionError | TimeoutError) or "Connect" in type(error).__name__:
        hint = (
            "is there a network? Else fetch it elsewhere, save it with save_to_disk, and give that folder; "
            "HF_HUB_OFFLINE=1 takes what was fetched before without asking"
        )
    elif name is not None or "Config name" in str(error):
        hint = "is that one of its configurations (target.name)?"
    else:
        hint = "is its name right (org/name), and if it is private or gated, are you logged in (hf auth login)?"
    return f"the data set {what} cannot be read ({said}); {hint}"


def _library() -> Any:
    try:
        return import_module("datasets")
    except ImportError as error:
        raise UserError(
            "for data sets of Hugging Face, the library datasets is needed, and it is not installed: "
            "pip install 'headstart[hugging_face]'"
        ) from error
