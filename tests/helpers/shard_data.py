"""Shards of a WebDataset with numbered images, and the data set of them."""

import json
import tarfile
from io import BytesIO
from pathlib import Path

from PIL import Image

from data_conf import keywords
from headstart.data.datasets.webdataset import WebDataset
from headstart.types import Pixels

GREY = Pixels(size=8, channels=1, mean=(0.0,), std=(1 / 255,))  # the image's number comes back
SHARDS = (5, 9, 3, 7, 6, 4)  # images in each
TRAIN = 24  # images of shards 0 to 3
KINDS = ("ant", "bee", "cat")
REMOTE = {"samples": 24, "classes": ["0", "1", "2"]}


def png(number: int, kind="PNG") -> bytes:
    file = BytesIO()
    Image.new("L", (8, 8), number).save(file, kind)
    return file.getvalue()


def written(path: Path, samples, *, mode="w") -> Path:
    """A tar file of {key: {extension: bytes}}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for key, members in samples.items():
            for extension, content in members.items():
                member = tarfile.TarInfo(f"{key}.{extension}")
                member.size = len(content)
                tar.addfile(member, BytesIO(content))
    return path


def sample(number: int) -> dict[str, bytes]:
    kind = number % 3
    return {"cls": str(kind).encode(), "json": json.dumps({"of": {"kind": KINDS[kind]}}).encode(), "png": png(number)}


def web(folder, *, device=(0, 1), pixels=GREY, **changes) -> WebDataset:
    conf = keywords("webdataset")
    settings = {
        "urls": f"{folder}/part-{{0..3}}.tar", "val_urls": f"{folder}/part-4.tar", "test_urls": f"{folder}/part-5.tar",
        "batch_size": 4, "num_workers": 0, "streams": 2, "shuffle": 6,
    }  # fmt: skip
    data = WebDataset(**conf | settings | changes, pixels=pixels, seed=0)
    data._device = lambda: device
    return data


def flat(batches) -> list[int]:
    return [number for batch in batches for number in batch]


def ended(loader) -> None:
    """Its workers end now: when they wait for the collector, torch waits five seconds for each."""
    if loader.num_workers:
        loader._iterator._shutdown_workers()


def remote(folder, first=0, last=3) -> str:
    return f"pipe:cat {folder}/part-{{{first}..{last}}}.tar"
