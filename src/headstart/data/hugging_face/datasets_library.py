"""Splits of a data set as the library `datasets` reads them, and what to try where it cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from headstart.data.hugging_face.row_records import HuggingFaceRows
from headstart.data.splits.split_names import ALSO_CALLED
from headstart.types import SPLITS, UserError

SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk leaves in a folder
PACKAGED = {".parquet": "parquet", ".arrow": "arrow"}  # single files, and what reads them


def dataset_splits(
    path: str, *, name: str | None, revision: str | None, wanted: Mapping[str, str | None]
) -> dict[str, HuggingFaceRows]:
    """Those of train, val and test that are there. Raises UserError, as HuggingFace says."""
    datasets = datasets_library()
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
) -> dict[str, HuggingFaceRows]:
    """As load_dataset reads it, the splits asked of the builder, so that slices of them can be asked for."""
    if place.is_file():
        kind = PACKAGED.get(place.suffix.lower())
        if kind is None:
            raise UserError(
                f"path must be a data set of the hub, a folder, or a {' or '.join(PACKAGED)} file, got {path}"
            )
        builder = datasets.load_dataset_builder(kind, name=name, data_files={"train": str(place)})
    else:
        source = str(place) if place.is_dir() else path
        builder = datasets.load_dataset_builder(source, name=name, revision=revision)
    builder.download_and_prepare()
    chosen = chosen_splits(list(builder.info.splits), wanted, path)
    return {split: builder.as_dataset(split=name_there) for split, name_there in chosen.items()}


def _saved(
    saved: HuggingFaceRows, path: str, wanted: Mapping[str, str | None], datasets: Any
) -> dict[str, HuggingFaceRows]:
    """What save_to_disk wrote: a data set, or one for each split."""
    splits = dict(saved) if isinstance(saved, datasets.DatasetDict) else {str(saved.split or "train"): saved}
    chosen = chosen_splits(list(splits), wanted, path)
    if sliced := [name_there for name_there in chosen.values() if name_there not in splits]:
        raise UserError(
            f"splits of a folder of save_to_disk must be whole, one of {', '.join(splits)}, got {', '.join(sliced)}"
        )
    return {split: splits[name_there] for split, name_there in chosen.items()}


def chosen_splits(names: Sequence[str], wanted: Mapping[str, str | None], path: str) -> dict[str, str]:
    """train, val, test -> what each is called, where there is one. Raises UserError where there is none."""
    chosen: dict[str, str] = {}
    for split in SPLITS:
        wanted_name = wanted[split]
        if wanted_name is None:
            called = [
                other for other in names if ALSO_CALLED.get(other, other) == split and other not in wanted.values()
            ]
            if called:
                chosen[split] = called[0]
            continue
        for part in wanted_name.split("+"):
            if (plain := part.partition("[")[0].strip()) not in names:
                close = get_close_matches(plain, names, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise UserError(f"{split}_split must be of {', '.join(names)}, got {wanted_name!r}{hint}")
        chosen[split] = wanted_name
    if len(names) == 1 and "train" not in chosen and not any(wanted.values()):
        return {"train": names[0]}
    if not chosen:
        raise UserError(f"none of the splits of {path} is called train, it has {', '.join(names)}; set train_split")
    return chosen


def _why(path: str, name: str | None, revision: str | None, error: Exception) -> str:
    """Why there is no such data set, and what to try."""
    data_set = f"{path}{f' (configuration {name})' if name else ''}{f' (revision {revision})' if revision else ''}"
    reason = (
        f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
    )
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
    return f"the data set {data_set} cannot be read ({reason}); {hint}"


def datasets_library() -> Any:
    """The library `datasets`. Raises UserError where it is not installed."""
    try:
        return import_module("datasets")
    except ImportError as error:
        raise UserError(
            "for data sets of Hugging Face, the library datasets is needed, and it is not installed: "
            "pip install 'headstart[hugging_face]'"
        ) from error
