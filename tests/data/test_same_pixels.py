"""The same bytes are the same pixels, whether a folder, a table, a row or a shard brings them."""

import tarfile
from io import BytesIO
from pathlib import Path
from pydoc import locate

import numpy as np
import pytest
from PIL import Image

from container_pixels import ALPHA, CMYK, GREY, INDEX, PALETTE, RGB, WIDE, of_pillow, p_image
from containers import png, tiff
from data_conf import data_conf
from headstart.data.decoding.image_decoding import decoder_like
from headstart.tasks.predict import files_of
from headstart.types import Pixels

datasets = pytest.importorskip("datasets")
pytest.importorskip("webdataset")
datasets.disable_progress_bars()

PIXELS = Pixels(size=16, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
FILES = {
    "turned.tif": tiff(RGB, photometric=2, orientation=6),
    "deep.tif": tiff(WIDE, photometric=1, order=">", orientation=8),
    "float.tif": tiff(GREY.astype(np.float32) * 200, photometric=1),
    "behind.png": png(RGB, colour=2, orientation=5, is_exif_last=True),
    "alpha.png": png(np.dstack([RGB, ALPHA]), colour=6),
    "palette.png": png(INDEX, colour=3, before=[(b"PLTE", PALETTE.tobytes()), (b"tRNS", bytes(range(256)))]),
    "key.gif": of_pillow(p_image(), "GIF", transparency=9)(1),
    "ink.jpg": of_pillow(Image.fromarray(CMYK, "CMYK"), "JPEG", takes_exif=True)(3),
    "small.webp": of_pillow(Image.fromarray(np.dstack([RGB, ALPHA])), "WEBP", takes_exif=True)(7),
}
SETTINGS = {"value_range": [0, 60000], "background": 40, "resize": 16, "num_workers": 0}


def made(name, **changes):
    conf = data_conf(name)
    return locate(conf.pop("_target_"))(**conf | SETTINGS | changes, pixels=PIXELS, seed=0)


def pixels_of(data) -> list[bytes]:
    """Of all splits, in an order that no name decides."""
    found = []
    for of in data.splits.values():
        found += [one.numpy().tobytes() for one in of.at(np.arange(len(of.label)))]
    return sorted(found)


def test_a_folder_a_table_rows_a_shard_and_a_prediction_have_the_same_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    root, kinds = tmp_path / "photos", ("ants", "bees")
    for kind in kinds:
        (root / kind).mkdir(parents=True)
        for name, stored in FILES.items():
            (root / kind / name).write_bytes(stored + b"\0" * (kind == "bees"))  # or the same would lie in two splits
    listed = [(kind, name, (root / kind / name).read_bytes()) for kind in kinds for name in FILES]
    (root / "photos.csv").write_text(
        "path,label\n" + "".join(f"{kind}/{name},{kind}\n" for kind, name, _ in listed), encoding="utf-8"
    )
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(kinds))})
    held = {
        "image": [{"bytes": stored, "path": None} for *_, stored in listed],
        "label": [kind for kind, *_ in listed],
    }
    datasets.Dataset.from_dict(held, features=features).save_to_disk(tmp_path / "saved")
    for shard in range(3):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as tar:
            for number, (kind, name, stored) in enumerate(listed[shard::3]):
                for extension, content in ((name.partition(".")[2], stored), ("cls", kind.encode())):
                    member = tarfile.TarInfo(f"{shard}-{number:02}.{extension}")
                    member.size = len(content)
                    tar.addfile(member, BytesIO(content))
    shards = [str(tmp_path / f"{shard}.tar") for shard in range(3)]
    decode = decoder_like(SETTINGS, PIXELS, resize=16)
    files = [name for kind in kinds for name in files_of(str(root / kind), setting="predict.images")]
    want = sorted(decode(Path(name)).tobytes() for name in files)
    assert len(set(want)) == len(FILES)
    for data in (
        made("image_folder", root=str(root), leakage="allow"),
        made("table", table=str(root / "photos.csv"), leakage="allow"),
        made("hugging_face", path=str(tmp_path / "saved"), leakage="allow"),
        made("webdataset", urls=shards[0], val_urls=shards[1], test_urls=shards[2]),
    ):  # fmt: skip
        assert pixels_of(data) == want
