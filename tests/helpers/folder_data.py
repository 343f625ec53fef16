"""An ImageFolder with settings that suit the tests' small images."""

from headstart.data.datasets.image_folder import ImageFolder
from headstart.types import Pixels

RGB = Pixels(size=8, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)


def folder(root, **changes) -> ImageFolder:
    given = {
        "folders": None, "group_pattern": None,
        "shots": None, "val_shots": None, "fraction": None, "fold": None, "folds": 5,
        "unreadable": "error", "leakage": "error",
        "val_share": 0.2, "test_share": 0.2, "resize": 8, "decode": "reduced", "cache_gib": 0.1,
        "value_range": None, "background": 255, "max_pixels": 10**6,
        "batch_size": 4, "num_workers": 0, "augment": None, "sampler": None, "pixels": RGB, "seed": 0,
    }  # fmt: skip
    return ImageFolder(root=str(root), **given | changes)
