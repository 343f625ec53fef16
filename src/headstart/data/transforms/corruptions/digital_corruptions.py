"""Digital corruptions of ImageNet-C: contrast, saturation, JPEG, pixelation and elastic deformation."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy.ndimage import gaussian_filter1d, map_coordinates

from headstart.data.transforms.corruptions.blur_corruptions import SIDE
from headstart.data.transforms.corruptions.noise_corruptions import Image
from headstart.data.transforms.corruptions.resized_layers import resized_layer
from headstart.types import UserError

CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)  # what is left of the distance to the mean, by severity
SATURATE = ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))  # factor, and what is added
JPEG = (25, 18, 15, 10, 7)  # quality
PIXELATE = (0.6, 0.5, 0.4, 0.3, 0.25)  # the smaller side over the whole
# displacement, its smoothness and the move of the corners, in 244 pixels, as the paper's code has it for 224
ELASTIC = ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
ELASTIC_UNIT = 244


def contrast(image: Image, severity: int, rng: Generator) -> Image:  # noqa: ARG001 - as others, which draw numbers
    """Each channel nearer to its mean over the image; image (H, W, channels) in [0, 1] -> the same."""
    mean = image.mean(axis=(0, 1), keepdims=True)
    nearer: Image = np.clip((image - mean) * CONTRAST[severity - 1] + mean, 0, 1)
    return nearer


def saturate(image: Image, severity: int, rng: Generator) -> Image:  # noqa: ARG001
    """The saturation of HSV lowered or raised; grey has the hue of red. Raises UserError of an image without colour."""
    if image.shape[2] != 3:
        raise UserError("corruption=saturate needs images in colour, got grey ones; try contrast or brightness")
    factor, more = SATURATE[severity - 1]
    value, least = image.max(axis=2, keepdims=True), image.min(axis=2, keepdims=True)
    distance = value - least
    wanted = np.clip(distance / np.where(value > 0, value, 1) * factor + more, 0, 1) * value  # value less least
    away = np.where(distance > 0, (value - image) / np.where(distance > 0, distance, 1), np.array([0.0, 1.0, 1.0]))
    saturated: Image = value - away * wanted
    return saturated


def jpeg_compression(image: Image, severity: int, rng: Generator) -> Image:  # noqa: ARG001
    """Written as a JPEG file of low quality, and read again."""
    stream = io.BytesIO()
    _picture(image).save(stream, "JPEG", quality=JPEG[severity - 1])
    return _values(PillowImage.open(stream), image)


def pixelate(image: Image, severity: int, rng: Generator) -> Image:  # noqa: ARG001
    """Reduced by means over boxes, and enlarged again without smoothing."""
    picture = _picture(image)
    reduced = [max(1, int(side * PIXELATE[severity - 1])) for side in picture.size]
    box = PillowImage.Resampling.BOX
    return _values(picture.resize((reduced[0], reduced[1]), box).resize(picture.size, box), image)


def elastic_transform(image: Image, severity: int, rng: Generator) -> Image:
    """A random affine map, then a smooth random displacement of each pixel; the image is mirrored at its edges.

    The displacement is drawn at 224 pixels a side and resized, so that it is as smooth in the image as in ImageNet-C.
    Simard, Steinkraus & Platt 2003, Best practices for convolutional neural networks.
    """
    amplitude, sigma, corner = (ELASTIC_UNIT * share for share in ELASTIC[severity - 1])
    sides = image.shape[:2]
    scale = min(sides) / SIDE
    turned = _affine(image, corner * scale, rng)
    smooth = _smoothing(SIDE, sigma)
    fields = [smooth @ rng.uniform(-1, 1, (SIDE, SIDE)) @ smooth.T * amplitude for _ in sides]
    down, right = (resized_layer(field, sides) * scale for field in fields)
    rows, columns = np.mgrid[: sides[0], : sides[1]]
    return np.clip(_sampled(turned, rows + down, columns + right, "reflect"), 0, 1)


def _affine(image: Image, corner: float, rng: Generator) -> Image:
    """Three points around the centre move by up to `corner` pixels, the image with them."""
    sides = np.array(image.shape[:2])
    centre, reach = sides // 2, sides.min() // 3
    before = centre + np.array([[reach, reach], [reach, -reach], [-reach, -reach]], np.float64)
    after = before + rng.uniform(-corner, corner, before.shape)
    if reach == 0:  # an image of two pixels
        return image
    # rows of (row, column, 1) after the map -> where they were before
    back = np.linalg.solve(np.column_stack([after, np.ones(3)]), before)
    rows, columns = np.mgrid[: sides[0], : sides[1]]
    places = np.stack([rows, columns, np.ones_like(rows)], axis=2) @ back
    return _sampled(image, places[:, :, 0], places[:, :, 1], "mirror")


def _sampled(image: Image, rows: NDArray[np.float64], columns: NDArray[np.float64], edge: str) -> Image:
    """Values at these places, bilinear."""
    planes = [map_coordinates(plane, [rows, columns], order=1, mode=edge) for plane in np.moveaxis(image, 2, 0)]
    return np.stack(planes, axis=2)


@lru_cache(maxsize=8)
def _smoothing(side: int, sigma: float) -> NDArray[np.float64]:
    """The matrix (side, side) of a Gaussian filter, mirrored at its ends and cut after 3 standard deviations."""
    matrix: NDArray[np.float64] = gaussian_filter1d(np.eye(side), sigma, axis=0, mode="reflect", truncate=3)
    return matrix


def _picture(image: Image) -> PillowImage.Image:
    """Values in [0, 1] (H, W, channels) as an image of 8 bits."""
    levels = np.round(image * 255).astype(np.uint8)
    return PillowImage.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels)


def _values(picture: PillowImage.Image, like: Image) -> Image:
    return np.asarray(picture, np.float64).reshape(like.shape) / 255
