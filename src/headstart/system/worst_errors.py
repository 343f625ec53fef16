"""File of a run's most confident errors: what was true, what was said, and a small picture of each."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.system.files.atomic_write import write_whole

FILE = "worst-test.json"  # in a run's folder of answers
FORMAT = 1
MOST_IMAGES = 64  # of a file that is read
MOST_BYTES = 32 * 1024  # of one picture; larger ones are passed over


@dataclass(frozen=True)
class WorstError:
    """One image that was predicted wrong.

    Attributes:
        image: What it is, as `image` of the answers' arrays; None where the data do not say it.
        mistake: The error in words, with its confidence.
        true: Name of its class; empty where an image has no single class.
        predicted: Name of the predicted class; empty likewise.
        confidence: Probability of the predicted class; None likewise.
        webp: The picture, a WebP file.
    """

    image: int | None
    mistake: str
    true: str
    predicted: str
    confidence: float | None
    webp: bytes

    @property
    def url(self) -> str:
        """The picture as a data URL."""
        return f"data:image/webp;base64,{base64.b64encode(self.webp).decode('ascii')}"


@dataclass(frozen=True)
class WorstErrors:
    """The most confident errors of a run on its test images.

    Attributes:
        images: How many were tested.
        wrong: How many of them were predicted wrong.
        errors: The most confident ones, the surest first.
    """

    images: int
    wrong: int
    errors: tuple[WorstError, ...]


def write_worst_errors(folder: Path, worst: WorstErrors) -> None:
    """Write the file into a folder, which is made; it is whole or not there.

    Args:
        folder: Of the run's answers.
        worst: What is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = [
        {
            "image": None if error.image is None else f"{error.image:016x}",
            "mistake": error.mistake,
            "true": error.true,
            "predicted": error.predicted,
            "confidence": error.confidence,
            "webp": base64.b64encode(error.webp).decode("ascii"),
        }
        for error in worst.errors
    ]
    content = {"format": FORMAT, "images": worst.images, "wrong": worst.wrong, "errors": entries}
    write_whole(folder / FILE, json.dumps(content, ensure_ascii=False))


def read_worst_errors(folder: Path) -> WorstErrors | None:
    """What the file in a folder says; None where there is none that can be read. Whoever wrote it may be a stranger.

    Args:
        folder: Of the run's answers.
    """
    try:
        file = folder / FILE
        if file.stat().st_size > 2 * MOST_IMAGES * MOST_BYTES:
            return None
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            return None
        errors = [_error(entry) for entry in content["errors"][:MOST_IMAGES]]
        return WorstErrors(int(content["images"]), int(content["wrong"]), tuple(filter(None, errors)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def _error(entry: Any) -> WorstError | None:
    """An entry; None where its picture is none."""
    try:
        webp = base64.b64decode(entry["webp"], validate=True)
    except binascii.Error:
        return None
    if not (len(webp) <= MOST_BYTES and webp[:4] == b"RIFF" and webp[8:12] == b"WEBP"):
        return None
    image, confidence = entry["image"], entry["confidence"]
    return WorstError(
        image=None if image is None else int(str(image), 16),
        mistake=str(entry["mistake"]),
        true=str(entry["true"]),
        predicted=str(entry["predicted"]),
        confidence=None if confidence is None else float(confidence),
        webp=webp,
    )
