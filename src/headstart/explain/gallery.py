"""How do the pictures come onto a page, into files and into TensorBoard?"""

from __future__ import annotations

import base64
import html
import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from headstart.explain.picture import Shown
from headstart.explain.render import Seen


class Kind(NamedTuple):
    """The pictures of one kind; of one that does not apply none, and about says why."""

    name: str
    title: str
    about: str
    shown: tuple[Shown, ...]


def write_gallery(folder: Path, kinds: Sequence[Kind], *, of: str, tensorboard: bool) -> Path:
    """Write <folder>/<kind>/<name>.png and the page gallery.html -> its path; tensorboard: events beside them.

    of: what was looked at, for the heading.
    """
    parts = []
    for kind in kinds:
        place = folder / kind.name
        shutil.rmtree(place, ignore_errors=True)  # an earlier one may have shown others
        place.mkdir(parents=True)
        images = []
        for one in kind.shown:
            data = png(one.image)
            (place / f"{one.name}.png").write_bytes(data)
            source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
            images.append(
                f'<figure><img loading="lazy" alt="{html.escape(one.alt)}" src="{source}">'
                f"<figcaption>{html.escape(one.caption)}</figcaption></figure>"
            )
        parts.append(f"<h2>{html.escape(kind.title)}</h2><p>{html.escape(kind.about)}</p>{''.join(images)}")
    page = folder / "gallery.html"
    page.write_text(f"<!doctype html><title>{html.escape(of)}</title>{''.join(parts)}", encoding="utf-8")
    if tensorboard:
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(folder) as writer:
            for kind in kinds:
                for one in kind.shown:
                    writer.add_image(f"explain/{kind.name}/{one.name}", one.image, dataformats="HWC")
    return page


def png(image: Seen) -> bytes:
    """An image (H, W, 3) as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "PNG", optimize=True)
    return stream.getvalue()
