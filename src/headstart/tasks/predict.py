"""The task `predict`: predictions of a finished run's model for unlabelled images."""

from __future__ import annotations

import csv
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from glob import glob, has_magic
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TextIO

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray
from omegaconf import DictConfig
from tqdm import tqdm

from headstart.data.decoding.file_listing import LeftOut, image_files
from headstart.data.decoding.image_decoding import Decoder
from headstart.data.decoding.utf8_names import escaped, utf8
from headstart.evaluation.view_evaluation import view_count
from headstart.runs.model_parts.view_data import views_of
from headstart.runs.outcome.predicted_numbers import NumbersCsv, NumbersJson
from headstart.runs.quiet_logs import quieten
from headstart.runs.saved.finished_model import Finished, finished_model
from headstart.runs.saved.finished_run import CheckpointName
from headstart.runs.saved.run_temperature import Temperature
from headstart.system import rank_environment
from headstart.system.files.csv_cells import cell
from headstart.system.files.setting_paths import given_path, made_folder
from headstart.types import UserError

log = logging.getLogger(__name__)
BEGINNINGS = ("file,predicted,", "file,predicted(", '[\n{"file": ', "\n]")  # of what this task writes, CSV and JSON
LOGGED = 5  # unreadable files in the log


class Prediction(NamedTuple):
    """Of one file; probabilities of the classes in their order, or its numbers; none where there is an error."""

    file: str
    probabilities: tuple[float, ...]
    error: str = ""

    @property
    def best(self) -> int | None:
        """The number of the most probable class."""
        return int(np.argmax(self.probabilities)) if self.probabilities else None

    def labels(self, names: Sequence[str]) -> list[str]:
        """The classes with a probability above 1/2."""
        return [name for name, p in zip(names, self.probabilities, strict=False) if p > 0.5]


def predict(
    *,
    cfg: DictConfig,
    run_dir: str,
    images: str,
    out: str | None,
    format: Literal["csv", "json"],  # noqa: A002 - it is the word on the command line
    checkpoint: CheckpointName,
    batch_size: Annotated[int, Ge(1)],
    unreadable: Literal["error", "skip"],
    tta: DictConfig | None,
    temperature: Temperature,
) -> Path | None:
    """Write each image's class, its labels or its numbers, and the probabilities of all classes to a file -> its path.

    Images are decoded as those that the run was trained on. The file is there whole or not at all. Only the first of
    several ranks computes.

    Args:
        cfg: The composed config, of which only the trainer's accelerator and precision count.
        run_dir: The folder of a finished run.
        images: A folder, a file or a pattern.
        out: The file to write; None for <run_dir>/predictions.<format>.
        format: Of the file.
        checkpoint: The weights that predict.
        batch_size: Images of a forward pass.
        unreadable: Whether a file that cannot be read is an error, or left out.
        tta: Views of each image, whose probabilities are averaged.
        temperature: What logits are divided by, so that probabilities are calibrated: a number, `val` for the one that
            suits the run's val images, None for nothing. The file then has it in a column. It goes without tta.
    """
    quieten()
    if rank_environment.rank() > 0:
        return None
    _check_one(tta, temperature)
    views = None if tta is None else views_of(tta)
    model = finished_model(cfg, run_dir, checkpoint, views, temperature)
    shown = None if temperature is None else model.temperature
    count = 1 if views is None else view_count(views, model.backbone.pixels)
    files = files_of(images, setting="predict.images")
    path = given_path(out, "predict.out") if out is not None else Path(run_dir).expanduser() / f"predictions.{format}"
    made_folder(path.parent, "the folder of predict.out")
    if out:
        _check_own(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # of two commands at once, each has its own
    try:
        with partial.open("w", newline="", encoding="utf-8") as stream:
            lines = _writer(format, stream, model, shown)
            predictions = _predicted(model, files, batch_size)
            progress = tqdm(predictions, total=len(files), unit="image", disable=not sys.stderr.isatty())
            failed = _written(lines, progress, skips=unreadable == "skip")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    for prediction in failed[:LOGGED]:
        log.warning("%s", prediction.error)
    unread = f", {len(failed)} of them could not be read" if failed else ""
    how = f", the mean of {count} views" if views else f", at temperature {shown:.3f}" if shown else ""
    log.info("%s: %d images%s%s", path, len(files), how, unread)
    return path


def _check_one(tta: DictConfig | None, temperature: Temperature) -> None:
    """Raise UserError where views and a temperature are wanted, which was fitted on images as they are."""
    if tta is not None and temperature is not None:
        raise UserError(
            "predict.temperature is of the image as it is, got predict.tta beside it; leave one of them null"
        )


def _written(lines: Any, predictions: Iterable[Prediction], *, skips: bool) -> list[Prediction]:
    """Write all predictions -> those of files that cannot be read. Raises UserError at the first, unless it skips."""
    failed = []
    for prediction in predictions:
        if prediction.error:
            if not skips:
                raise UserError(f"{prediction.error}; predict.unreadable=skip leaves such files out")
            failed.append(prediction)
        lines.write(prediction)
    lines.end()
    return failed


def _check_own(path: Path) -> None:
    """Raise UserError where the file to write holds something other than predictions, as a table of labels."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            begin = stream.read(200)
    except OSError:
        return
    if begin.strip() and not begin.startswith((*BEGINNINGS,)):
        raise UserError(f"{path} holds something other than predictions, which would be lost; give another predict.out")


def files_of(images: str, *, setting: str) -> list[str]:
    """The image files that are meant, sorted; those that a folder holds besides are logged by the reason.

    Raises UserError, which names the setting, where there are none, or where a name is not UTF-8.
    """
    path = given_path(images, setting)
    outside = LeftOut()
    if path.is_dir():
        files = [str(path / name) for name in image_files(path, path, outside)]
    elif path.is_file():
        files = [str(path)]
    else:
        matching = glob(str(path), recursive=True)  # noqa: PTH207 - a pattern may be absolute, Path.glob's may not
        files = sorted(name for name in matching if Path(name).is_file() and not _loops(Path(name), path))
    outside.log(log, path)
    if not files:
        left_out = outside.told()
        problem = (
            f"no image lies in it{f', but {left_out}' if left_out else ''}" if path.is_dir()
            else "nothing matches" if has_magic(images)
            else "it is no regular file" if path.exists()
            else "it is not there"
        )  # fmt: skip
        raise UserError(
            f"{setting} must be a folder with images, a file or a pattern, got {escaped(images)}: {problem}"
        )
    return [utf8(name) for name in files]


def _loops(path: Path, pattern: Path) -> bool:
    """Whether a path goes through a folder twice, by a link to it: `**` would find its files again and again."""
    plain = next((number for number, part in enumerate(pattern.parts) if has_magic(part)), len(pattern.parts))
    above = [os.path.realpath(folder) for folder in path.parents if len(folder.parts) >= plain]
    return len(set(above)) < len(above)


def _predicted(model: Finished, files: list[str], batch_size: int) -> Iterator[Prediction]:
    """Each file's prediction in their order; the next batch is decoded while one is computed."""
    decode = _readable(model.decoder)
    threads = max(1, torch.get_num_threads())
    with ThreadPoolExecutor(threads) as pool:
        batches = [files[at : at + batch_size] for at in range(0, len(files), batch_size)]
        futures = [pool.submit(decode, name) for name in batches[0]]
        for at, names in enumerate(batches):
            images = [pending.result() for pending in futures]
            futures = [pool.submit(decode, name) for name in batches[at + 1]] if at + 1 < len(batches) else []
            yield from _of_batch(model, names, images)


def _of_batch(model: Finished, names: list[str], images: list[NDArray[np.uint8] | str]) -> Iterator[Prediction]:
    readable = [image for image in images if not isinstance(image, str)]
    rows = iter(model.probabilities(np.stack(readable)).tolist() if readable else [])
    for name, image in zip(names, images, strict=True):
        yield Prediction(name, (), image) if isinstance(image, str) else Prediction(name, tuple(next(rows)))


def _readable(decoder: Decoder) -> Callable[[str], NDArray[np.uint8] | str]:
    def decoded(name: str) -> NDArray[np.uint8] | str:
        try:
            return decoder(Path(name))
        except UserError as error:
            return str(error)

    return decoded


def _writer(format: str, stream: TextIO, model: Finished, shown: float | None) -> Any:  # noqa: A002 - it is the word on the command line
    """What writes predictions to a stream; shown: their temperature, None for no column of it."""
    if model.numbers:
        return (NumbersCsv if format == "csv" else NumbersJson)(stream, model.class_names)
    return (_Csv if format == "csv" else _Json)(stream, model.class_names, model.separator, shown)


class _Csv:
    """A line for each prediction; separator: between several labels of an image, None = it is of one class.

    temperature: of the probabilities; None for no such column.

    Files and classes whose names a spreadsheet would compute have an apostrophe before them.
    """

    def __init__(
        self, stream: TextIO, class_names: tuple[str, ...], separator: str | None, temperature: float | None = None
    ) -> None:
        self._lines, self._names, self._separator = csv.writer(stream), class_names, separator
        self._temperature = [] if temperature is None else [f"{temperature:.6f}"]
        columns = ["predicted", "probability"] if separator is None else ["predicted"]
        beside = ["temperature"] if self._temperature else []
        self._lines.writerow(["file", *columns, "error", *beside, *(f"p({name})" for name in class_names)])

    def _said(self, prediction: Prediction) -> list[str]:
        if self._separator is not None:
            return [cell(self._separator.join(prediction.labels(self._names)))]
        best = prediction.best
        return ["", ""] if best is None else [cell(self._names[best]), f"{prediction.probabilities[best]:.6f}"]

    def write(self, prediction: Prediction) -> None:
        numbers = (f"{p:.6f}" for p in prediction.probabilities)
        texts = [cell(prediction.file), *self._said(prediction), cell(prediction.error)]
        self._lines.writerow([*texts, *self._temperature, *numbers])

    def end(self) -> None:
        pass


class _Json:
    """A list with an object for each prediction; separator: None = an image is of one class."""

    def __init__(
        self, stream: TextIO, class_names: tuple[str, ...], separator: str | None, temperature: float | None = None
    ) -> None:
        self._stream, self._names, self._before = stream, class_names, "[\n"
        self._temperature = {} if temperature is None else {"temperature": round(temperature, 6)}
        self._several = separator is not None

    def write(self, prediction: Prediction) -> None:
        entry: dict[str, Any] = {"file": prediction.file}
        if prediction.best is None:
            entry["error"] = prediction.error
        else:
            rounded = [round(p, 6) for p in prediction.probabilities]
            if self._several:
                entry["predicted"] = prediction.labels(self._names)
            else:
                entry |= {"predicted": self._names[prediction.best], "probability": rounded[prediction.best]}
            entry |= self._temperature
            entry["probabilities"] = dict(zip(self._names, rounded, strict=True))
        self._stream.write(self._before + json.dumps(entry, ensure_ascii=False))
        self._before = ",\n"

    def end(self) -> None:
        self._stream.write("\n]\n")
