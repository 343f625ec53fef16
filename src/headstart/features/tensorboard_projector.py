"""Features for TensorBoard's projector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor
from torch.nn.functional import interpolate

from headstart.backbones.denormalise import denormalised
from headstart.system.files.csv_cells import cell
from headstart.types import Pixels

WRITTEN = ("projector_config.pbtxt", "tensors.tsv", "metadata.tsv", "sprite.png")
EVENTS = "events.out.tfevents."
SIDE = 32  # of a thumbnail, in pixels: 1000 of them make a picture of 1024 pixels a side
WIDEST = 8192  # the browser takes no picture with a longer side


def write_projector(
    folder: Path,
    features: Mapping[str, Tensor],
    *,
    classes: Sequence[str],
    names: Sequence[str],
    thumbnails: Tensor | None = None,
) -> None:
    """Write what TensorBoard's projector shows into a folder, in place of what was written there before.

    features: tag -> (N, D). classes, names: of the N images, shown beside the points. thumbnails (N, C, h, w) in
    [0, 1], C 1 or 3.
    """
    from torch.utils.tensorboard import SummaryWriter

    _clear(folder)  # the writer would add the same embeddings once more
    rows = [[_cell(word) for word in row] for row in zip(classes, names, strict=True)]
    writer = SummaryWriter(folder)
    for tag, points in features.items():
        writer.add_embedding(points, metadata=rows, metadata_header=["class", "image"], label_img=thumbnails, tag=tag)
    writer.close()


def _clear(folder: Path) -> None:
    """Take away what an earlier call has written, and nothing else."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what lies in a folder before the folder
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):  # it holds something else
                path.rmdir()
        elif path.name in WRITTEN or path.name.startswith(EVENTS):
            path.unlink()


def thumbnails(images: Tensor, pixels: Pixels, *, count: int) -> Tensor:
    """Images (N, C, H, W), uint8 or normalised as `pixels` say -> (N, C, side, side) in [0, 1], C 1 or 3.

    side: 32 pixels, and less where a picture of `count` of them would be too large for a browser.
    """
    plain = denormalised(images, pixels)
    if plain.shape[1] not in (1, 3):
        plain = plain[:, :1]
    side = max(1, min(SIDE, WIDEST // math.ceil(math.sqrt(count))))  # TensorBoard lays them out in a square
    return interpolate(plain, size=(side, side), mode="bilinear", antialias=True).clamp(0, 1)


def _cell(word: str) -> str:
    return cell(" ".join(word.split()))  # a tab or a line break would end the cell
