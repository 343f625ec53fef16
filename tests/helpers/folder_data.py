"""An ImageFolder with settings that suit the tests' small images."""

from data_conf import keywords
from headstart.data.datasets.image_folder import ImageFolder
from headstart.types import Pixels

RGB = Pixels(size=8, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)


def folder(root, **changes) -> ImageFolder:
    small = {"resize": 8, "cache_gib": 0.1, "max_pixels": 10**6, "batch_size": 4, "num_workers": 0}
    settings = keywords("image_folder") | small | {"pixels": RGB, "seed": 0}
    return ImageFolder(**settings | changes | {"root": str(root)})


def places(data) -> dict[str, str]:
    """File -> its split."""
    return {name: split for split in data.sizes for name in data.names(split)}
