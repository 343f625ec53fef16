"""Small pictures of a run's most confident errors, for its study's report."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from headstart.callbacks.predictions.surest_errors import SurestErrors
from headstart.modules.labels.label_kinds import Labels
from headstart.modules.labels.single_label import OneLabel
from headstart.system.worst_errors import WorstError

SIDE = 96  # pixels of the longer side, at most
QUALITY = 75


def error_records(
    wrong: SurestErrors,
    images: Tensor,
    numbers: NDArray[np.uint64] | None,
    names: Sequence[str],
    kind: type[Labels],
) -> tuple[WorstError, ...]:
    """A record for each wrong prediction, with its thumbnail.

    Args:
        wrong: The predictions (N).
        images: What they are of (N, channels, H, W) in [0, 1].
        numbers: What each image is (N,), as answers have it; None where the data do not say it.
        names: Of the classes.
        kind: Of the labels.
    """
    records = []
    for i, (logits, label) in enumerate(zip(wrong.logits, wrong.labels, strict=True)):
        probability, predicted = logits.softmax(dim=0).max(dim=0)
        single = kind is OneLabel
        records.append(
            WorstError(
                image=None if numbers is None else int(numbers[i]),
                mistake=kind.mistake(logits, label, names),
                true=names[int(label)] if single else "",
                predicted=names[int(predicted)] if single else "",
                confidence=round(float(probability), 4) if single else None,
                webp=thumbnail(images[i]),
            )
        )
    return tuple(records)


def thumbnail(image: Tensor) -> bytes:
    """An image (channels, H, W) in [0, 1] as a WebP file, its longer side 96 pixels at most.

    Of other than three channels the first is shown in grey.
    """
    pixels = (image.mul(255).round().clamp(0, 255)).byte().numpy()
    picture = Image.fromarray(pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels[0])
    picture.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "WEBP", quality=QUALITY)
    return stream.getvalue()
