"""The gallery as an HTML page."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image, features

from headstart.explain.explained_predictions import ExplainedPrediction
from headstart.explain.rendering.map_rendering import RgbImage
from headstart.system.headstart_version import VERSION

if TYPE_CHECKING:
    from jinja2 import Template

LEAST = 160  # pixels of the longer side that a picture has on the page at least: smaller ones become larger
PHOTO = 96  # pixels of the longer side of a photo below which it is pixel art, and not compressed with loss
WORTH = 0.6  # of the size without loss, below which a loss is worth it
QUALITY = 70  # of WebP and JPEG, of 100
WEBP_MOST = 16383  # pixels of a side that WebP can hold
WORDS = 224  # pixels that a caption has at least


class GalleryPicture(NamedTuple):
    """An image file and its words; name: its kind and its own."""

    file: Path
    name: str
    width: int
    height: int
    caption: str
    alt: str


class GallerySection(NamedTuple):
    """A kind of picture; unfit: why it does not apply, where it does not."""

    name: str
    title: str
    about: str
    pictures: tuple[GalleryPicture, ...]
    unfit: str = ""


class GalleryAnswer(NamedTuple):
    """An image that was explained, (H, W, 3), and what the model says of it."""

    image: RgbImage
    answer: ExplainedPrediction


class _Box(NamedTuple):
    """How large a picture of width x height is shown: each of its pixels as a block of that many, no less than 1."""

    width: int
    height: int

    @property
    def blocks(self) -> int:
        return max(1, LEAST // max(self.width, self.height))

    @property
    def style(self) -> str:
        """The picture's width on the page, that of its figure, and the height of both for a browser that waits."""
        wide, high = self.width * self.blocks, self.height * self.blocks
        return f"--w:{wide}px;--f:{max(wide, WORDS)}px;--h:{high}px"

    @property
    def crisp(self) -> bool:
        return self.blocks > 1


def page(
    sections: Sequence[GallerySection], *, of: str, facts: Sequence[tuple[str, str]], answered: Sequence[GalleryAnswer]
) -> Iterator[str]:
    """The page as pieces of HTML: self-contained, readable without JavaScript; a picture at a time is in memory."""
    known = [answer.answer.right for answer in answered if answer.answer.right is not None]
    return _template().generate(
        of=of,
        facts=facts,
        answered=answered,
        told=f"The model is right about {sum(known)} of {len(known)}." if known else "",
        sections=[(place, section) for place, section in zip(_places(sections), sections, strict=True)],
        count=sum(len(section.pictures) for section in sections),
        version=VERSION,
    )


def _places(sections: Sequence[GallerySection]) -> list[str]:
    """What to find each section by behind the page's address."""
    directives = ["top", "images"]
    for section in sections:
        place = re.sub(r"\W+", "-", section.name)
        while place in directives:
            place += "-"
        directives.append(place)
    return directives[2:]


def _url(picture: GalleryPicture) -> str:
    """A picture with a little loss where that makes it much smaller, as photos and noise; as it is, where it is small.

    The file beside the page is without loss in both cases.
    """
    exact = _data_url("png", picture.file.read_bytes())
    if max(picture.width, picture.height) < PHOTO:
        return exact
    with Image.open(picture.file) as image:
        smaller = _with_loss(image.convert("RGB"))
    return smaller if len(smaller) < WORTH * len(exact) else exact


def _photo_url(image: RgbImage) -> str:
    """A photo with the little loss that nobody sees, a small image as it is."""
    if max(image.shape[:2]) >= PHOTO:
        return _with_loss(Image.fromarray(image))
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return _data_url("png", stream.getvalue())


def _with_loss(image: Image.Image) -> str:
    stream = io.BytesIO()
    kind = "webp" if features.check("webp") and max(image.size) <= WEBP_MOST else "jpeg"
    image.save(stream, kind.upper(), quality=QUALITY)
    return _data_url(kind, stream.getvalue())


def _data_url(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _box(answered: GalleryPicture | GalleryAnswer) -> _Box:
    return (
        _Box(answered.image.shape[1], answered.image.shape[0])
        if isinstance(answered, GalleryAnswer)
        else _Box(answered.width, answered.height)
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("headstart.explain.rendering", "."),
        autoescape=True,  # file names and class names are anybody's text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {"url": _url, "photo_url": _photo_url, "box": _box}
    environment.filters.update(filters)
    return environment.get_template("page.html.jinja")
