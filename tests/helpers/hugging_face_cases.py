"""Small data sets of Hugging Face."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from data_conf import keywords
from headstart.data.datasets.hugging_face import HuggingFace
from headstart.types import Pixels

datasets = pytest.importorskip("datasets")


RGB = Pixels(size=8, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)


NAMES = ["ants", "bees"]


def hugging_face(path, **changes) -> HuggingFace:
    return HuggingFace(**keywords("hugging_face") | {"path": str(path), "num_workers": 0} | changes, pixels=RGB, seed=0)


def stored(label: int, number: int, kind="PNG", mode="RGB", size=(12, 10), **how) -> bytes:
    drawn = np.random.default_rng([label, number]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(drawn).convert(mode).save(file, kind, **how)
    return file.getvalue()


def rows(count=10, *, first=0, label=None, extra=None):
    """A data set of 2 x count images, one class after the other."""
    features = {"image": datasets.Image(), "label": label or datasets.ClassLabel(names=NAMES)}
    held = {
        "image": [{"bytes": stored(of, first + n), "path": None} for of in (0, 1) for n in range(count)],
        "label": [of if label is None else NAMES[of] for of in (0, 1) for _ in range(count)],
    }
    for name, (feature, values) in (extra or {}).items():
        features[name], held[name] = feature, values
    return datasets.Dataset.from_dict(held, features=datasets.Features(features))
