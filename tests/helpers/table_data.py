"""Tables that list the images of a folder, and the data set of such a table."""

from data_conf import keywords
from headstart.data.datasets.image_table import ImageTable
from headstart.types import Pixels

RGB = Pixels(size=8, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)


def table(file, **changes) -> ImageTable:
    return ImageTable(**keywords("table") | {"table": str(file), "num_workers": 0} | changes, pixels=RGB, seed=0)


def rows_of(root, split=None) -> list[str]:
    return [
        ",".join([file.relative_to(root).as_posix(), file.parent.name, *([split(file)] if split else [])])
        for file in sorted(root.rglob("*.png"))
    ]


def written(root, rows, head="path,label", name="photos.csv"):
    file = root / name
    file.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return file
