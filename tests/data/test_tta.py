"""Views of a test image are those of the papers, and the same each time."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import FiveCrop, TenCrop

from headstart.data.decoding.image_decoding import decoder_of
from headstart.evaluation.views.five_crops import FiveCrops
from headstart.evaluation.views.flip import Flip
from headstart.evaluation.views.ten_crops import TenCrops
from headstart.evaluation.views.view import enlarged, views_of
from headstart.types import Pixels, UserError

PIXELS = Pixels(size=32, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)


@pytest.mark.parametrize("size", [(36, 36), (37, 35), (41, 32)])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_crops_are_torchvisions_in_its_order(size, kind):
    image = (torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(0)) * 255).to(kind)
    for views, theirs in ((FiveCrops(larger=1.1), FiveCrop(32)), (TenCrops(larger=1.1), TenCrop(32))):
        made, want = views_of(views, image, 32), theirs(image)
        assert len(made) == len(want)
        assert all(torch.equal(one, other) for one, other in zip(made, want, strict=True))


def test_a_flip_is_the_image_and_its_mirror_image():
    image = torch.arange(6).view(1, 1, 2, 3)
    one, other = Flip()(image, 2)
    assert torch.equal(one, image)
    assert other.tolist() == [[[[2, 1, 0], [5, 4, 3]]]]


def test_ten_crops_of_a_mirror_image_are_the_same_ten():
    image = torch.rand(1, 1, 9, 9)
    one, other = (
        {tuple(view.flatten().tolist()) for view in TenCrops(larger=1)(at, 6)} for at in (image, image.flip(-1))
    )
    assert one == other
    assert len(one) == 10


@pytest.mark.parametrize(
    ("pixels", "larger", "resize", "want"),
    [
        ((224, None), 256 / 224, None, (256, 256)),  # Krizhevsky's
        ((224, 232), 256 / 224, None, (256, 256)),  # 232 would not hold a square of 256
        ((224, 256), 1.1, None, (246, 256)),
        ((224, 232), 256 / 224, 300, (256, 300)),
        ((32, None), 256 / 224, 33, (37, 37)),
        ((224, 232), 1.0, None, (224, 232)),
    ],
)
def test_what_is_cut_from_is_larger_and_never_than_the_shorter_side(pixels, larger, resize, want):
    given = PIXELS._replace(size=pixels[0], resize=pixels[1])
    found = enlarged(given, larger, resize=resize)
    assert (found.size, found.resize) == want
    decoder_of(found, resize=None, reduced=True)  # takes it


def test_the_centre_crop_is_what_the_backbone_sees_without_views(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (70, 90, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    size = 28  # of 32, both even: no edge lies between pixels
    pixels = PIXELS._replace(size=size, resize=32)
    plain = decoder_of(pixels, resize=None, reduced=True)(tmp_path / "noise.png")
    larger = decoder_of(enlarged(pixels, 32 / 28, resize=None), resize=None, reduced=True)(tmp_path / "noise.png")
    centre = FiveCrops(larger=32 / 28)(torch.from_numpy(larger.copy()).permute(2, 0, 1)[None], size)[-1]
    gap = centre[0].permute(1, 2, 0).int() - torch.from_numpy(plain.copy()).int()
    assert gap.abs().max() <= 1  # of 255: Pillow rounds


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda _: [], "made none"),
        (lambda image: [image], r"made \(2, 3, 36, 36\) of torch.uint8"),
        (lambda image: [image[..., :32, :32].float()], r"of torch.float32"),
    ],
)
def test_views_that_no_backbone_takes_are_told(make, told):
    def views(image, size):
        return make(image)

    with pytest.raises(UserError, match=rf"views of \(2, 3, 32, 32\) of torch.uint8.*{told}"):
        views_of(views, torch.zeros(2, 3, 36, 36, dtype=torch.uint8), 32)
